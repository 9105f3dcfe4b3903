//! Words as POSIX shells quote them, in a line that is not finished: the crates for this refuse a line whose quote
//! is still open, and here it always may be.

/// The words of a line, without quotes; the last one is what the line ends in, and empty after a blank.
pub fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut begun = false;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if quote.is_none() && character.is_ascii_whitespace() {
            if begun {
                words.push(String::new());
            }
            begun = false;
            continue;
        }
        begun = true;
        let word = words.last_mut().map(|word| move |character| word.push(character));
        let Some(mut push) = word else { break };
        match (quote, character) {
            (Some(closing), _) if character == closing => quote = None,
            (Some('\''), _) => push(character),
            (Some(_), '\\') => match characters.next() {
                Some(escaped @ ('"' | '\\' | '$' | '`')) => push(escaped),
                other => [Some('\\'), other].into_iter().flatten().for_each(push),
            },
            (None, '\\') => characters.next().into_iter().for_each(push),
            (None, '"' | '\'') => quote = Some(character),
            _ => push(character),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_line_are_those_that_a_shell_would_see() {
        for (line, expected) in [
            ("", &[""][..]),
            ("regtool ", &["regtool", ""]),
            ("regtool  get HKLM/My\\ App/", &["regtool", "get", "HKLM/My App/"]),
            ("regtool get \"HKLM\\My App", &["regtool", "get", "HKLM\\My App"]),
            ("x 'a\\b' \"c\\\\d\\\"\" e\\\\f", &["x", "a\\b", "c\\d\"", "e\\f"]),
            ("x '' ", &["x", "", ""]),
            ("x a'b c'd", &["x", "ab cd"]),
            ("x a\\", &["x", "a"]),
            ("x \"a\\", &["x", "a\\"]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
