//! What LCS may write to a source: frames come apart, messages decode or are malformed, and loregd answers
//! every request.
#![no_main]

use lcs_abi::rsi::{Received, Request, decode_to_source, split_frame};
use libfuzzer_sys::fuzz_target;
use loregd::hive::Hive;

fuzz_target!(|bytes: &[u8]| {
    let mut hive = Hive::in_memory("Machine").expect("memory has room");
    let root = hive.root();
    let mut rest = bytes;
    while let Ok(Some((contents, after))) = split_frame(rest, 1 << 20) {
        rest = after;
        if let Ok(Received::Request(_, request)) = decode_to_source(contents) {
            let before = hive.max_sequence();
            let done = hive.answer(&request);
            assert!(hive.max_sequence() >= before, "sequence numbers never fall");
            if done.is_err() {
                assert_eq!(hive.max_sequence(), before, "what failed reserved nothing");
            }
        }
    }
    assert!(hive.answer(&Request::ReadKey { key: root }).is_ok(), "the root stays");
});
