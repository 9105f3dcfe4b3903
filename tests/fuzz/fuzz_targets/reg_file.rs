//! A `.reg` file of any bytes is read; what was read can be written and is read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regtool::formats::reg::{Encoding, SectionKind, Value, Writer, parse};

/// What a document says: keys, and their values that are not deletions.
type Contents = Vec<(Vec<String>, Vec<(String, Value)>)>;

fn contents(file: &[u8]) -> Contents {
    let mut keys = Contents::new();
    for section in parse(file).sections {
        if let SectionKind::Key(entries) = section.kind {
            let values = entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
            keys.push((section.path, values.collect()));
        }
    }
    keys
}

fuzz_target!(|file: &[u8]| {
    let read = contents(file);
    for encoding in [Encoding::Utf8, Encoding::Utf16] {
        let mut writer = Writer::new(Vec::new(), encoding).expect("memory takes all");
        let mut written = Contents::new();
        for (path, values) in &read {
            let components: Vec<&str> = path.iter().map(String::as_str).collect();
            if writer.key(&components).expect("memory takes all").is_err() {
                continue;
            }
            let mut exact = Vec::new();
            for (name, value) in values {
                if writer.value(name, value).expect("memory takes all").is_none() {
                    exact.push((name.clone(), value.clone()));
                }
            }
            written.push((path.clone(), exact));
        }
        let again = contents(&writer.finish().expect("memory takes all"));
        assert_eq!(again.len(), written.len());
        for ((_, again), (_, written)) in again.iter().zip(&written) {
            assert!(written.iter().all(|value| again.contains(value)), "{again:?} {written:?}");
        }
    }
});
