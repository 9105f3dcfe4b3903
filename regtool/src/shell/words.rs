//! Words of a line. No crate does this: in all of them `\` is an escape, and here it is a separator of
//! names and nothing else.

/// A word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it begins in the line, quotes included, in bytes.
    pub start: usize,
    /// What it says, without quotes.
    pub text: String,
}

/// Splits a line at blanks, except within quotes (`"` or `'`), which may also be in the middle of a word.
///
/// # Errors
/// A quote is not closed.
pub fn split(line: &str) -> Result<Vec<Word>, &'static str> {
    let (words, open) = split_unfinished(line);
    if open { Err("a quote is not closed") } else { Ok(words) }
}

/// As [`split`], for a line in the making: a quote may still be open, as the second part says.
pub fn split_unfinished(line: &str) -> (Vec<Word>, bool) {
    let mut words: Vec<Word> = Vec::new();
    let mut quote = None;
    let mut in_word = false;
    for (at, character) in line.char_indices() {
        if quote.is_none() && character.is_whitespace() {
            in_word = false;
            continue;
        }
        if !in_word {
            words.push(Word { start: at, text: String::new() });
            in_word = true;
        }
        match quote {
            Some(closing) if character == closing => quote = None,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            _ => {
                if let Some(word) = words.last_mut() {
                    word.text.push(character);
                }
            }
        }
    }
    (words, quote.is_some())
}

/// A word that says `text`, quoted if it must be.
pub fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && !text.starts_with('#')
        && !text.contains(|character: char| {
            character.is_whitespace() || matches!(character, '"' | '\'')
        });
    if plain {
        return text.to_owned();
    }
    // A quote of one kind stands between quotes of the other.
    let parts: Vec<_> = text.split('"').map(|part| format!("\"{part}\"")).collect();
    parts.join("'\"'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(line: &str) -> Vec<String> {
        split(line).unwrap().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn backslashes_are_nothing_special_and_quotes_keep_blanks() {
        assert_eq!(texts(r"get Machine\System\ @ "), ["get", r"Machine\System\", "@"]);
        assert_eq!(texts(r#"  get "A b\"C 'd "e"' "" "#), ["get", r"A b\C", "d \"e\"", ""]);
        assert!(split("a 'b").is_err());
    }

    #[test]
    fn words_know_where_they_begin() {
        let (words, open) = split_unfinished("get  \"Ä b");
        assert!(open);
        assert_eq!(words[1], Word { start: 5, text: "Ä b".to_owned() });
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_one_word(text: String) {
            prop_assert_eq!(texts(&quoted(&text)), [text]);
        }
    }
}
