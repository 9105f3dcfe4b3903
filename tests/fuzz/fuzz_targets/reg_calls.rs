//! What a client may send over a `reg:` handle, and what it may be answered: any bytes decode or are
//! malformed, and what was decoded is decoded alike when it is encoded again.
#![no_main]

use lcs_abi::call::{
    ChangeValues, DeleteValue, Derive, EnumSubkeys, EnumSubkeysAnswer, GetSecurity, GetSecurityAnswer,
    KeyInfoAnswer, LayerOnly, Op, QueryValue, QueryValueAnswer, QueryValues, QueryValuesAnswer,
    SetSecurity, SetTombstone, SetValue, SetValueAnswer, StatusAnswer, Unhide,
};
use lcs_abi::{decode, encode};
use libfuzzer_sys::fuzz_target;

macro_rules! decode_all {
    ($bytes:expr; $($message:ty),*) => {$(
        if let Ok(message) = decode::<$message>($bytes) {
            assert_eq!(decode::<$message>(&encode(&message)), Ok(message));
        }
    )*};
}

fuzz_target!(|bytes: &[u8]| {
    if let Some((word, _)) = bytes.split_first_chunk() {
        let word = u64::from_le_bytes(*word);
        assert_eq!(
            Op::from_raw(word).map(|op| op as u64),
            Some(word).filter(|it| (1..=23).contains(it))
        );
    }
    decode_all!(bytes;
        Derive, QueryValue, QueryValues, SetValue, DeleteValue, SetTombstone, LayerOnly,
        ChangeValues, EnumSubkeys, Unhide, GetSecurity, SetSecurity, QueryValueAnswer, QueryValuesAnswer,
        SetValueAnswer, EnumSubkeysAnswer, KeyInfoAnswer, GetSecurityAnswer, StatusAnswer);
});
