//! The reader and the writer against text written by hand, against each other, and against any bytes.

use libreg::ValueType;
use proptest::prelude::*;

use super::data::{Inexact, TextForm, from_windows};
use super::*;
use libreg::windows::utf16;
use libreg::windows::{
    Inexact::{ExtraTerminator, MissingTerminator, OddLength},
    to_windows,
};

const HEADER: &str = "Windows Registry Editor Version 5.00\r\n\r\n";

fn entries(body: &str) -> Vec<(String, Option<Value>)> {
    let document = parse(format!("{HEADER}[HKEY_LOCAL_MACHINE\\Test]\r\n{body}").as_bytes());
    assert_eq!(document.errors, []);
    let [Section { kind: SectionKind::Key(entries), .. }] = document.sections.as_slice() else {
        panic!("not one section: {document:?}");
    };
    entries.iter().map(|entry| (entry.name.clone(), entry.value.clone())).collect()
}

fn only_value(body: &str) -> Value {
    let found = entries(body);
    let [(_, Some(value))] = found.as_slice() else {
        panic!("not one value in {body}: {found:?}");
    };
    value.clone()
}

fn value(value_type: ValueType, data: &[u8]) -> Value {
    Value { value_type: value_type.code(), data: data.to_vec() }
}

fn errors(text: &str) -> Vec<(usize, ProblemKind)> {
    parse(text.as_bytes()).errors.iter().map(|problem| (problem.line, problem.kind)).collect()
}

fn notes(text: &str) -> Vec<(usize, Inexact)> {
    parse(text.as_bytes()).notes.iter().map(|note| (note.line, note.what)).collect()
}

#[test]
fn every_kind_of_value_is_read() {
    for (line, expected) in [
        ("\"a\"=\"text\"", value(ValueType::Sz, b"text")),
        ("\"a\"=\"\"", value(ValueType::Sz, b"")),
        (r#""a"="C:\\x \"y\"""#, value(ValueType::Sz, br#"C:\x "y""#)),
        ("\"a\"=dword:0000002a", value(ValueType::Dword, &[42, 0, 0, 0])),
        ("\"a\" = DWORD:2A ; comment", value(ValueType::Dword, &[42, 0, 0, 0])),
        ("\"a\"=hex:", value(ValueType::Binary, &[])),
        ("\"a\"=hex:1,02,Ff", value(ValueType::Binary, &[1, 2, 255])),
        ("\"a\"=hex(0):", value(ValueType::None, &[])),
        ("\"a\"=hex(2):25,00,61,00,00,00", value(ValueType::ExpandSz, b"%a")),
        ("\"a\"=hex(4):01,02", value(ValueType::Dword, &[1, 2])),
        ("\"a\"=hex(5):00,00,00,01", value(ValueType::DwordBigEndian, &[0, 0, 0, 1])),
        ("\"a\"=hex(6):5c,00,61,00", value(ValueType::Link, b"\\a")),
        ("\"a\"=hex(7):61,00,00,00,62,00,00,00,00,00", value(ValueType::MultiSz, b"a\0b\0")),
        ("\"a\"=hex(7):00,00", value(ValueType::MultiSz, b"")),
        ("\"a\"=hex(8):01", value(ValueType::ResourceList, &[1])),
        (
            "\"a\"=hex(b):01,00,00,00,00,00,00,80",
            value(ValueType::Qword, &[1, 0, 0, 0, 0, 0, 0, 128]),
        ),
        ("\"a\"=hex:01,\\\r\n  02,\\\r\n  03", value(ValueType::Binary, &[1, 2, 3])),
        (
            "\"a\"=hex:01\\\n,02,\\ ; why\n ; a comment\n\t03,\n",
            value(ValueType::Binary, &[1, 2, 3]),
        ),
        ("\"a\"=\"two\r\nlines\"", value(ValueType::Sz, b"two\r\nlines")),
    ] {
        assert_eq!(only_value(line), expected, "{line}");
    }
}

#[test]
fn names_defaults_and_deletions_are_read() {
    assert_eq!(
        entries("@=\"d\"\n\"\"=\"e\"\n\"@\"=\"at\"\n\"q\\\"\\\\\"=-\n@=-\n;\"x\"=\"y\"\n"),
        [
            (String::new(), Some(value(ValueType::Sz, b"d"))),
            (String::new(), Some(value(ValueType::Sz, b"e"))),
            ("@".into(), Some(value(ValueType::Sz, b"at"))),
            ("q\"\\".into(), None),
            (String::new(), None),
        ]
    );
}

#[test]
fn key_lines_are_read() {
    let document = parse(
        format!(
            "{HEADER}[HKEY_LOCAL_MACHINE\\A\\]\n[-HKEY_LOCAL_MACHINE\\B]\n[HKLM\\c ]d] ; why\n\
             [HKLM\\TCP/IP]\n"
        )
        .as_bytes(),
    );
    assert_eq!(document.errors, []);
    let found: Vec<_> = document
        .sections
        .iter()
        .map(|section| (section.line, section.path.join("|"), section.kind == SectionKind::Delete))
        .collect();
    assert_eq!(
        found,
        [
            (3, "HKEY_LOCAL_MACHINE|A".to_owned(), false),
            (4, "HKEY_LOCAL_MACHINE|B".to_owned(), true),
            (5, "HKLM|c ]d".to_owned(), false),
            (6, "HKLM|TCP%2FIP".to_owned(), false),
        ]
    );
    assert_eq!(document.notes, [Note { line: 6, what: Inexact::SlashInKeyName }]);
}

#[test]
fn every_encoding_is_read() {
    let text = format!("{HEADER}[HKLM\\Ä]\r\n\"ö\"=\"ü €\"\r\n");
    let units: Vec<u16> = text.encode_utf16().collect();
    let le: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let be: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    let utf8 = parse(text.as_bytes());
    assert_eq!(utf8.sections[0].path[1], "Ä");
    assert_eq!(utf8.notes, []);
    for file in [
        [b"\xEF\xBB\xBF".as_slice(), text.as_bytes()].concat(),
        [b"\xFF\xFE".as_slice(), &le].concat(),
        [b"\xFE\xFF".as_slice(), &be].concat(),
        le,
    ] {
        assert_eq!(parse(&file), utf8);
    }
    let (ansi, _, _) = encoding_rs::WINDOWS_1252.encode(&text);
    let ansi = parse(&ansi);
    assert_eq!(ansi.sections, utf8.sections);
    assert_eq!(ansi.notes, [Note { line: 1, what: Inexact::AssumedWindows1252 }]);
}

#[test]
fn regedit4_has_text_in_one_byte_per_character() {
    let document = parse(
        b"REGEDIT4\n\n[HKLM\\T]\n\"a\"=hex(7):61,00,62,00,00\n\"b\"=hex(2):80,00\n\"c\"=\"\x80\"\n",
    );
    assert_eq!(document.version, Version::Regedit4);
    assert_eq!(document.errors, []);
    let SectionKind::Key(entries) = &document.sections[0].kind else {
        panic!("a key");
    };
    let values: Vec<_> = entries.iter().filter_map(|entry| entry.value.clone()).collect();
    assert_eq!(
        values,
        [
            value(ValueType::MultiSz, b"a\0b\0"),
            value(ValueType::ExpandSz, "€".as_bytes()),
            value(ValueType::Sz, "€".as_bytes()),
        ]
    );
}

#[test]
fn each_error_has_its_line_and_reading_goes_on() {
    assert_eq!(errors(""), [(1, ProblemKind::NoHeader)]);
    assert_eq!(errors("REGEDIT5\n"), [(1, ProblemKind::NoHeader)]);
    let text = "\n REGEDIT4 \n\"early\"=\"x\"\n[HKLM\\a\n[HKLM\\\\b]\n[HKLM]\nwhat\n\"a\"\n\"a\"=x\n\"a\"=dword:\n\
                \"a\"=dword:123456789\n\"a\"=hex(:1\n\"a\"=hex:0g,\\\n  00\n\"a\"=\"x\" y\n\"ok\"=\"1\"\n[-HKLM\\d]\n\
                \"a\"=\"x\"\n[HKLM\\e] f\n\"open\n[HKLM\\last]\n\"a\"=hex:01,\\\n[HKLM\\after]";
    assert_eq!(
        errors(text),
        [
            (3, ProblemKind::ValueWithoutKey),
            (4, ProblemKind::UnterminatedKey),
            (5, ProblemKind::EmptyKeyName),
            (7, ProblemKind::UnexpectedText),
            (8, ProblemKind::MissingEquals),
            (9, ProblemKind::UnknownData),
            (10, ProblemKind::BadDword),
            (11, ProblemKind::BadDword),
            (12, ProblemKind::BadHex),
            (13, ProblemKind::BadHex),
            (15, ProblemKind::TrailingText),
            (18, ProblemKind::ValueOfDeletedKey),
            (19, ProblemKind::TrailingText),
            (20, ProblemKind::MissingEquals),
            (22, ProblemKind::BadHex),
        ]
    );
    let document = parse(text.as_bytes());
    let lines: Vec<_> = document.sections.iter().map(|section| section.line).collect();
    assert_eq!(lines, [6, 17, 21, 23]);
}

#[test]
fn what_the_registry_cannot_keep_is_told_and_left_out() {
    let text =
        format!("{HEADER}[HKLM\\T]\n\"a\"=hex(ffff0012):01\n\"b\"=hex(ffff):\n\"c\"=\"kept\"\n");
    let document = parse(text.as_bytes());
    assert_eq!(
        document.skipped,
        [
            Problem { line: 4, kind: ProblemKind::UnknownType(0xFFFF_0012) },
            Problem { line: 5, kind: ProblemKind::UnknownType(0xFFFF) },
        ]
    );
    let SectionKind::Key(entries) = &document.sections[0].kind else {
        panic!("a key");
    };
    assert_eq!(entries.len(), 1);

    let units = [
        b"Windows Registry Editor Version 5.00\n[HKLM\\".as_slice(),
        b"]\n\"v\"=\"1\"\n[HKLM]\n\"",
        b"\"=\"2\"\n",
    ]
    .map(|part| part.iter().map(|byte| u16::from(*byte)).collect::<Vec<_>>())
    .join(&0xDC00);
    let document = parse(&utf16::le_of_units(&units));
    assert_eq!(
        document.skipped,
        [
            Problem { line: 2, kind: ProblemKind::KeyName },
            Problem { line: 5, kind: ProblemKind::ValueName },
        ]
    );
}

#[test]
fn what_is_not_exact_is_told() {
    let line = |body: &str| notes(&format!("{HEADER}[HKLM\\T]\n\"a\"={body}\n"));
    assert_eq!(line("hex(1):61,00,00,00"), []);
    assert_eq!(line("hex(1):61,00"), [(4, Inexact::Data(MissingTerminator))]);
    assert_eq!(line("hex(1):"), [(4, Inexact::Data(MissingTerminator))]);
    assert_eq!(line("hex(1):61,00,00,00,00,00"), [(4, Inexact::Data(ExtraTerminator))]);
    assert_eq!(line("hex(2):61"), [(4, Inexact::Data(OddLength))]);
    assert_eq!(line("hex(7):61,00,00,00"), [(4, Inexact::Data(MissingTerminator))]);
    assert_eq!(line("hex(7):00,00,00,00"), [(4, Inexact::Data(ExtraTerminator))]);
    assert_eq!(line("hex(6):61,00,00,00"), [(4, Inexact::Data(ExtraTerminator))]);
    assert_eq!(line("\"C:\\new\""), [(4, Inexact::UnknownEscape)]);
    assert_eq!(only_value("\"a\"=\"C:\\new\""), value(ValueType::Sz, b"C:\\new"));
    assert_eq!(only_value("\"a\"=hex(2):61"), value(ValueType::Binary, b"a"));
    assert_eq!(only_value("\"a\"=hex(1):00,d8,00,00"), value(ValueType::Sz, b"\xED\xA0\x80"));
}

#[test]
fn only_what_is_exact_is_written_as_text_or_dword() {
    let written = |value: Value| {
        let mut writer = Writer::new(Vec::new(), Encoding::Utf8).unwrap();
        writer.value("a", &value).unwrap();
        let text = String::from_utf8(writer.finish().unwrap()).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    };
    for (value, line) in [
        (value(ValueType::Sz, br#"C:\x "y""#), r#""a"="C:\\x \"y\"""#),
        (value(ValueType::Sz, b"a\tb"), "\"a\"=hex(1):61,00,09,00,62,00,00,00"),
        (value(ValueType::Sz, b"\xED\xA0\x80"), "\"a\"=hex(1):00,d8,00,00"),
        (value(ValueType::Sz, b"\xFF"), "\"a\"=hex:ff"),
        (value(ValueType::Dword, &[42, 0, 0, 0]), "\"a\"=dword:0000002a"),
        (value(ValueType::Dword, &[42]), "\"a\"=hex(4):2a"),
        (value(ValueType::Binary, &[]), "\"a\"=hex:"),
        (value(ValueType::MultiSz, b"x\0"), "\"a\"=hex(7):78,00,00,00,00,00"),
        (value(ValueType::MultiSz, b""), "\"a\"=hex(7):00,00"),
    ] {
        assert_eq!(written(value), line);
    }
}

#[test]
fn long_data_goes_over_lines_no_longer_than_regedits() {
    let mut writer = Writer::new(Vec::new(), Encoding::Utf16).unwrap();
    let long = value(ValueType::Binary, &[7; 1000]);
    writer.key(&["HKEY_LOCAL_MACHINE", "T"]).unwrap().unwrap();
    assert_eq!(writer.value("name", &long).unwrap(), None);
    let file = writer.finish().unwrap();
    assert!(file.starts_with(b"\xFF\xFE"));
    let text = String::from_utf16(&utf16::units_of_le(&file).collect::<Vec<_>>()).unwrap();
    assert!(text.split("\r\n").all(|line| line.len() <= 80));
    let SectionKind::Key(entries) = &parse(&file).sections[0].kind else {
        panic!("a key");
    };
    assert_eq!(entries[0].value.as_ref(), Some(&long));
}

#[test]
fn a_key_that_no_file_can_hold_is_refused() {
    let mut writer = Writer::new(Vec::new(), Encoding::Utf8).unwrap();
    assert_eq!(writer.key(&["HKLM", "a\nb"]).unwrap(), Err(InexpressibleName));
    assert_eq!(writer.key(&["-HKLM"]).unwrap(), Err(InexpressibleName));
}

/// Text as files contain it, to be broken at random.
fn near_miss() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[", "]", "[-", "\\", "\"", "=", "@", "hex:", "hex(", "):", "7", "01", ",", "\\\r\n", "\n",
        "\r", "\r\n", "dword:", ";", "-", " ", "HKLM", "/", "\u{FEFF}", "ä", "\0", "%2F",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| format!("{HEADER}{}", pieces.concat()))
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![any::<String>(), "[a\\\\\"ä\0\n]{0,6}"];
    prop_oneof![
        (0_u32..12, any::<Vec<u8>>()).prop_map(|(value_type, data)| Value { value_type, data }),
        (prop::sample::select(vec![1_u32, 2, 6, 7]), text)
            .prop_map(|(value_type, text)| Value { value_type, data: text.into_bytes() }),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        parse(&bytes);
        parse(&[HEADER.as_bytes(), &bytes].concat());
        parse(&[b"REGEDIT4\n", bytes.as_slice()].concat());
        parse(&[b"\xFF\xFE", bytes.as_slice()].concat());
    }

    #[test]
    fn broken_files_are_read_without_panic_and_lines_are_counted_right(text in near_miss()) {
        let document = parse(text.as_bytes());
        let lines = 1 + text.replace("\r\n", "\n").matches(['\n', '\r']).count();
        let in_order: Vec<_> = document.sections.iter().map(|section| section.line).collect();
        prop_assert!(in_order.is_sorted());
        for problem in document.errors.iter().chain(&document.skipped) {
            prop_assert!((3..=lines).contains(&problem.line));
        }
    }

    #[test]
    fn data_of_windows_comes_back_unless_told(code in 0_u32..12, bytes: Vec<u8>) {
        let (ours, inexact) = from_windows(code, &bytes, TextForm::Utf16).unwrap();
        let (back_code, back, back_inexact) = to_windows(&ours);
        // What was taken over can always be given back.
        prop_assert_eq!(back_inexact, None);
        if inexact.is_none() {
            prop_assert_eq!((back_code, back), (code, bytes));
        }
    }

    #[test]
    fn what_is_written_is_read_again(
        keys in prop::collection::vec(("[^\\\\/\n\r\0]{1,8}", prop::collection::vec(("[^\0]{0,8}", any_value()), 0..4)), 1..4),
        utf16: bool,
    ) {
        let encoding = if utf16 { Encoding::Utf16 } else { Encoding::Utf8 };
        let mut writer = Writer::new(Vec::new(), encoding).unwrap();
        let mut inexact = Vec::new();
        for (key, values) in &keys {
            writer.comment("a comment\nof two lines").unwrap();
            writer.key(&["HKEY_LOCAL_MACHINE", key]).unwrap().unwrap();
            for (name, value) in values {
                inexact.push(writer.value(name, value).unwrap());
            }
        }
        let document = parse(&writer.finish().unwrap());
        prop_assert_eq!(&document.errors, &[]);
        prop_assert_eq!(&document.skipped, &[]);
        prop_assert_eq!(document.sections.len(), keys.len());
        let mut inexact = inexact.iter();
        for (section, (key, values)) in document.sections.iter().zip(&keys) {
            let back = section.path[1].replace("%2F", "%2f");
            prop_assert_eq!(back, key.replace("%2F", "%2f"));
            let SectionKind::Key(entries) = &section.kind else {
                panic!("a key");
            };
            prop_assert_eq!(entries.len(), values.len());
            for (entry, (name, value)) in entries.iter().zip(values) {
                prop_assert_eq!(&entry.name, name);
                if inexact.next().unwrap().is_none() {
                    prop_assert_eq!(entry.value.as_ref(), Some(value));
                }
            }
        }
    }
}
