//! UTF-16 and WTF-8, the UTF-8 that can also hold lone surrogates, both ways and without loss.
//!
//! Windows text is any sequence of 16-bit units; our text is UTF-8. A unit that is no character (a lone
//! surrogate) has a place in WTF-8 (<https://simonsapin.github.io/wtf-8/>), so that nothing is lost.

/// The WTF-8 of a sequence of UTF-16 units.
pub fn to_wtf8(units: impl IntoIterator<Item = u16>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for decoded in char::decode_utf16(units) {
        match decoded {
            Ok(character) => {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Err(lone) => {
                let unit = lone.unpaired_surrogate();
                bytes.extend([
                    0xE0 | (unit >> 12) as u8,
                    0x80 | (unit >> 6 & 0x3F) as u8,
                    0x80 | (unit & 0x3F) as u8,
                ]);
            }
        }
    }
    bytes
}

/// The UTF-16 units of WTF-8; `None` if the bytes are not well-formed WTF-8.
pub fn from_wtf8(bytes: &[u8]) -> Option<Vec<u16>> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut after_high_surrogate = false;
    loop {
        let (valid, invalid) = match std::str::from_utf8(rest) {
            Ok(text) => (text, &[][..]),
            Err(error) => {
                let (valid, invalid) = rest.split_at(error.valid_up_to());
                (std::str::from_utf8(valid).unwrap_or_default(), invalid)
            }
        };
        units.extend(valid.encode_utf16());
        after_high_surrogate &= valid.is_empty();
        match invalid {
            [] => return Some(units),
            [0xED, second @ 0xA0..=0xBF, third @ 0x80..=0xBF, more @ ..] => {
                let unit = 0xD000 | u16::from(second & 0x3F) << 6 | u16::from(third & 0x3F);
                let high = unit < 0xDC00;
                // Two halves that make a character are spelled as that character and in no other way.
                if after_high_surrogate && !high {
                    return None;
                }
                after_high_surrogate = high;
                units.push(unit);
                rest = more;
            }
            _ => return None,
        }
    }
}

/// The units of UTF-16LE bytes. A last odd byte is left out.
pub fn units_of_le(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
}

/// The UTF-16LE bytes of units.
pub fn le_of_units(units: &[u16]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_units_survive_wtf8(units: Vec<u16>) {
            prop_assert_eq!(from_wtf8(&to_wtf8(units.iter().copied())), Some(units));
        }

        #[test]
        fn whatever_is_taken_for_wtf8_comes_back(bytes: Vec<u8>) {
            if let Some(units) = from_wtf8(&bytes) {
                prop_assert_eq!(to_wtf8(units), bytes);
            }
        }

        #[test]
        fn text_is_its_own_wtf8(text: String) {
            prop_assert_eq!(to_wtf8(text.encode_utf16()), text.into_bytes());
        }
    }

    #[test]
    fn halves_of_a_character_are_not_well_formed() {
        assert_eq!(from_wtf8(b"\xED\xA0\x80"), Some(vec![0xD800]));
        assert_eq!(from_wtf8(b"\xED\xB0\x80\xED\xA0\x80"), Some(vec![0xDC00, 0xD800]));
        assert_eq!(from_wtf8(b"\xED\xA0\x80\xED\xB0\x80"), None);
        assert_eq!(from_wtf8(b"\xED\xA0\x80x\xED\xB0\x80"), Some(vec![0xD800, 0x78, 0xDC00]));
        assert_eq!(from_wtf8(b"\xFF"), None);
    }
}
