//! Key names that contain `/`.
//!
//! Windows allows `/` in the name of a key; here it separates. Such a name is kept with `%2F` in its place
//! (the spelling that such a name has as a file, too) and exported with `/` again. So that nothing is
//! ambiguous, a name that itself contains `%2F` gets one more `25`: `/` ↔ `%2F`, `%2F` ↔ `%252F`, `%252F`
//! ↔ `%25252F`. All other names stay as they are, so every name comes back as it was, both ways.

const SLASH: &[u8] = b"2f";

/// The name by which the registry keeps a key that Windows calls `name`.
pub fn from_windows(name: &str) -> String {
    replace(name, |rest| match rest.as_bytes() {
        [b'/', ..] => Some((1, "%2F")),
        // The `%` alone is replaced; what made it special follows as it is.
        [b'%', more @ ..] if escapes_of_slash(more).is_some() => Some((1, "%25")),
        _ => None,
    })
}

/// The name that Windows knows a key by; the inverse of [`from_windows`].
pub fn to_windows(name: &str) -> String {
    replace(name, |rest| {
        let (b'%', more) = rest.as_bytes().split_first()? else {
            return None;
        };
        match escapes_of_slash(more)? {
            0 => Some((3, "/")),
            _ => Some((3, "%")),
        }
    })
}

/// How many times `25` stands before the `2F` with which `rest` begins; `None` if it does not so begin.
fn escapes_of_slash(rest: &[u8]) -> Option<usize> {
    let count = rest.chunks(2).take_while(|pair| pair == b"25").count();
    let digits = rest.get(count * 2..count * 2 + 2)?;
    digits.eq_ignore_ascii_case(SLASH).then_some(count)
}

fn replace(name: &str, rule: impl Fn(&str) -> Option<(usize, &'static str)>) -> String {
    let mut replaced = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let (taken, by) = rule(rest).unwrap_or((first.len_utf8(), &rest[..first.len_utf8()]));
        replaced.push_str(by);
        rest = &rest[taken..];
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_with_a_slash_and_names_that_look_like_one() {
        for (windows, here) in [
            ("TCP/IP", "TCP%2FIP"),
            ("http://x", "http:%2F%2Fx"),
            ("50%", "50%"),
            ("%25", "%25"),
            ("a%2Fb", "a%252Fb"),
            ("a%252Fb", "a%25252Fb"),
            ("%/", "%%2F"),
            ("%2/", "%2%2F"),
        ] {
            assert_eq!(from_windows(windows), here);
            assert_eq!(to_windows(here), windows);
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "[%25fF/aä]{0,16}") {
            prop_assert_eq!(to_windows(&from_windows(&name)), name.clone());
            prop_assert!(!from_windows(&name).contains('/'));
        }

        #[test]
        fn every_name_of_ours_comes_back(name in "[%25fFaä]{0,16}") {
            let back = from_windows(&to_windows(&name));
            // `%2f` is spelled `%2F` from then on, which is the same name.
            prop_assert_eq!(back.to_lowercase(), name.to_lowercase());
        }
    }
}
