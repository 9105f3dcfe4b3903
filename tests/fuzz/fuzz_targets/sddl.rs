//! What somebody may type as a security descriptor or as rights: any text is one or is refused, at a place that it
//! has, and what was read is read alike when it is written again, as text or in bytes.
#![no_main]

use lcs_core::security::SecurityDescriptor;
use lcs_core::security::sddl::{MaskText, parse, parse_mask};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(mask) = parse_mask(text) {
        assert_eq!(parse_mask(&MaskText(mask).to_string()), Some(mask));
    }
    match parse(text) {
        Ok(sd) => {
            assert_eq!(parse(&sd.to_string()).as_ref(), Ok(&sd));
            assert_eq!(SecurityDescriptor::from_bytes(&sd.to_bytes()), Ok(sd));
        }
        Err(error) => assert!(text.is_char_boundary(error.position), "{error}"),
    }
});
