//! How people write rights, and how they read them.

use libreg::Access;
use libreg::security::{
    ACE_RIGHTS, AclPart, Parts, SecurityDescriptor, map_generic, parse_mask, rights,
};

/// Rights taken together, the larger ones first.
const TOGETHER: [(&str, Access); 4] = [
    ("full control", Access::KEY_ALL_ACCESS),
    ("read+write", Access::KEY_READ.union(Access::KEY_WRITE)),
    ("read", Access::KEY_READ),
    ("write", Access::KEY_WRITE),
];

/// The names of the single rights in a mask, in the order of their bits.
pub fn names(mask: Access) -> Vec<&'static str> {
    mask.iter_names().map(|(name, _)| name).collect()
}

/// A mask in few words: `full control`, `read`, `read, DELETE`.
pub fn summary(mask: Access) -> String {
    let mut rest = mask;
    let mut words = Vec::new();
    for (name, rights) in TOGETHER {
        if rest.contains(rights) {
            words.push(name);
            rest -= rights;
        }
    }
    words.extend(names(rest));
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

/// The parts that an SDDL names.
pub fn parts_of(sd: &SecurityDescriptor) -> Parts {
    let mut parts = Parts::empty();
    parts.set(Parts::OWNER, sd.owner.is_some());
    parts.set(Parts::GROUP, sd.group.is_some());
    parts.set(Parts::DACL, *sd.dacl() != AclPart::Absent);
    parts.set(Parts::SACL, *sd.sacl() != AclPart::Absent);
    parts
}

/// Reads rights, separated by commas: their names, with or without `KEY_`; `read`, `write`, `all` and their
/// names on Windows; what SDDL calls them; a number. Generic rights become what they mean.
///
/// # Errors
/// What is none of these, with all that would be.
pub fn parse(text: &str) -> Result<Access, String> {
    let mut wanted = Access::empty();
    for word in text.split(',').map(str::trim) {
        let found = by_name(word).or_else(|| parse_mask(word));
        let found = found.filter(|found| !found.is_empty() && ACE_RIGHTS.contains(*found));
        let Some(found) = found else {
            return Err(format!(
                "{word:?} is not a right; rights are {}, read, write, all, what SDDL calls them (KR, KW, \
                 KA, …), or a number (0x…), separated by commas",
                rights().map(|(_, name)| name).collect::<Vec<_>>().join(", ")
            ));
        };
        wanted |= map_generic(found);
    }
    if wanted.is_empty() {
        Err("for a key these rights mean nothing".to_owned())
    } else {
        Ok(wanted)
    }
}

fn by_name(word: &str) -> Option<Access> {
    let word = word.to_ascii_uppercase();
    match word.strip_prefix("KEY_").unwrap_or(&word) {
        "READ" | "EXECUTE" => Some(Access::KEY_READ),
        "WRITE" => Some(Access::KEY_WRITE),
        "ALL" | "ALL_ACCESS" => Some(Access::KEY_ALL_ACCESS),
        name => Access::from_name(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_as_people_write_them() {
        for (text, rights) in [
            ("QUERY_VALUE", Access::QUERY_VALUE),
            ("key_query_value, set_value", Access::QUERY_VALUE | Access::SET_VALUE),
            ("read", Access::KEY_READ),
            ("KEY_WRITE,delete", Access::KEY_WRITE | Access::DELETE),
            ("all", Access::KEY_ALL_ACCESS),
            ("KEY_ALL_ACCESS", Access::KEY_ALL_ACCESS),
            ("KR", Access::KEY_READ),
            ("krsd", Access::KEY_READ | Access::DELETE),
            ("0x20019", Access::KEY_READ),
            ("GENERIC_WRITE", Access::KEY_WRITE),
            ("ACCESS_SYSTEM_SECURITY", Access::ACCESS_SYSTEM_SECURITY),
        ] {
            assert_eq!(parse(text), Ok(rights), "{text}");
        }
        for text in ["", ",", "read,", "frobnicate", "0", "0x100000", "MAXIMUM_ALLOWED", "GX"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("x").unwrap_err().contains("ENUMERATE_SUB_KEYS"));
    }

    #[test]
    fn a_mask_is_told_in_few_words() {
        for (mask, words) in [
            (Access::KEY_ALL_ACCESS, "full control"),
            (Access::KEY_READ, "read"),
            (Access::KEY_WRITE, "write"),
            (Access::KEY_READ | Access::KEY_WRITE, "read+write"),
            (Access::KEY_READ | Access::DELETE, "read, DELETE"),
            (Access::GENERIC_ALL, "GENERIC_ALL"),
            (Access::SET_VALUE | Access::NOTIFY, "SET_VALUE, NOTIFY"),
            (Access::empty(), "nothing"),
        ] {
            assert_eq!(summary(mask), words);
        }
    }

    #[test]
    fn every_right_has_one_name() {
        let read = ["QUERY_VALUE", "ENUMERATE_SUB_KEYS", "NOTIFY", "READ_CONTROL"];
        assert_eq!(names(Access::KEY_READ), read);
        assert_eq!(names(Access::KEY_ALL_ACCESS).len(), 10);
    }
}
