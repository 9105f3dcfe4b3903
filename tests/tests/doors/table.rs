//! What is asked at every door, and what every door must answer.

use lcs_abi::value::ValueType;
use rustix::io::Errno;

use super::door::Ask::{List, MakeKey, Read, RemoveKey, RemoveValue, Stat, Write};
use super::door::{Answer, Ask, Got, Kind, Place, Who};

/// What is there before anybody asks.
#[derive(Clone, Copy)]
pub enum There<'a> {
    Key(Place<'a>),
    Value(Place<'a>, ValueType, &'a [u8]),
}

/// What is asked one after the other, and what is answered.
pub struct Row<'a> {
    pub about: &'a str,
    pub who: Who,
    pub there: Vec<There<'a>>,
    pub steps: Vec<(Ask<'a>, Answer)>,
}

fn row<'a>(about: &'a str, there: &[There<'a>], steps: &[(Ask<'a>, Answer)]) -> Row<'a> {
    Row { about, who: Who::Owner, there: there.to_vec(), steps: steps.to_vec() }
}

fn text(text: impl AsRef<[u8]>) -> Answer {
    Ok(Got::Text(text.as_ref().to_owned()))
}

fn entries(entries: &[(&str, Kind)]) -> Answer {
    Ok(Got::Entries(entries.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()))
}

const DONE: Answer = Ok(Got::Done);

/// As long as a name may be: 255 bytes of UTF-8.
pub const LONGEST: &str = concat!(
    "ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää",
    "äääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääa"
);

/// One byte more.
pub const TOO_LONG: &str = concat!(
    "ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää",
    "ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää"
);

/// Names that are hard for somebody.
const NAMES: [&str; 15] = [
    "plain",
    "with space",
    " ",
    "50%",
    "%41",
    "%val",
    "@",
    "a@b",
    "\"double\" 'single' `back`",
    "new\nline",
    ".",
    "..",
    "...",
    "Größe €",
    LONGEST,
];

/// Values' names may have separators, too.
const VALUE_NAMES: [&str; 3] = ["", "a/b", "c\\d"];

/// What a value is, and its text.
const TYPES: [(ValueType, &[u8], &[u8]); 17] = [
    (ValueType::None, b"", b""),
    (ValueType::None, b"raw", b"raw"),
    (ValueType::Sz, b"tea", b"tea\n"),
    (ValueType::Sz, b"", b"\n"),
    (ValueType::Sz, b"two\nlines", b"two\nlines\n"),
    (ValueType::Sz, b"\xFF", b"\xFF\n"),
    (ValueType::ExpandSz, b"%HOME%/x", b"%HOME%/x\n"),
    (ValueType::Binary, &[0, 10, 255], &[0, 10, 255]),
    (ValueType::Dword, &[42, 0, 0, 0], b"42\n"),
    (ValueType::Dword, b"odd", b"odd"),
    (ValueType::DwordBigEndian, &[0, 0, 1, 2], b"258\n"),
    (ValueType::Link, b"Machine\\Nowhere", b"Machine\\Nowhere\n"),
    (ValueType::MultiSz, b"one\0two\0", b"one\ntwo\n"),
    (ValueType::MultiSz, b"", b""),
    (ValueType::ResourceList, b"raw\n", b"raw\n"),
    (ValueType::ResourceRequirementsList, &[1], &[1]),
    (ValueType::Qword, &[255; 8], b"18446744073709551615\n"),
];

/// A value's type and data, the text that is written over it, and how it reads then; `None`: it does not fit.
type Written = (ValueType, &'static [u8], &'static [u8], Option<&'static [u8]>);

const WRITTEN: [Written; 12] = [
    (ValueType::Sz, b"a", b"tea\n", Some(b"tea\n")),
    (ValueType::Sz, b"a", b"tea", Some(b"tea\n")),
    (ValueType::ExpandSz, b"a", b"%X%\n", Some(b"%X%\n")),
    (ValueType::Dword, &[1, 0, 0, 0], b"0x10\n", Some(b"16\n")),
    (ValueType::Dword, &[1, 0, 0, 0], b"ten\n", None),
    (ValueType::Dword, &[1, 0, 0, 0], b"4294967296\n", None),
    (ValueType::DwordBigEndian, &[0, 0, 0, 1], b"4294967295", Some(b"4294967295\n")),
    (ValueType::Qword, &[1, 0, 0, 0, 0, 0, 0, 0], b"18446744073709551616", None),
    (ValueType::Qword, &[1, 0, 0, 0, 0, 0, 0, 0], b"7\n", Some(b"7\n")),
    (ValueType::MultiSz, b"a\0", b"one\ntwo three\n", Some(b"one\ntwo three\n")),
    (ValueType::Binary, b"a", &[0, 255, 10], Some(&[0, 255, 10])),
    (ValueType::None, b"a", b"raw\n", Some(b"raw\n")),
];

/// Every row.
pub fn rows() -> Vec<Row<'static>> {
    let mut rows = Vec::new();
    rows.extend(TYPES.iter().map(|(value_type, data, form)| {
        let value = There::Value(&["v"], *value_type, data);
        let size = Ok(Got::Value(form.len() as u64));
        row("a value of each type", &[value], &[(Read(&["v"]), text(form)), (Stat(&["V"]), size)])
    }));
    rows.extend(WRITTEN.iter().map(|(value_type, data, written, form)| {
        let value = There::Value(&["v"], *value_type, data);
        let (outcome, after) = match form {
            Some(form) => (DONE, text(form)),
            None => (Err(Errno::INVAL), text("1\n")),
        };
        let steps = [(Write(&["v"], written), outcome), (Read(&["v"]), after)];
        row("writing a value of each type", &[value], &steps)
    }));
    rows.extend([names_of_keys(), names_of_values(), both()]);
    rows.extend(errors());
    rows.extend(denials());
    rows
}

/// One key has all the names.
fn names_of_keys() -> Row<'static> {
    let place = |name: &'static &'static str| std::slice::from_ref(name);
    let each = |ask: fn(Place<'static>) -> Ask<'static>, answer: Answer| {
        NAMES.iter().map(move |name| (ask(place(name)), answer.clone())).collect::<Vec<_>>()
    };
    let mut sorted = NAMES;
    sorted.sort_unstable();
    let all = entries(&sorted.map(|name| (name, Kind::Key)));
    let steps = [
        each(MakeKey, DONE),
        vec![(List(&[]), all)],
        each(Stat, Ok(Got::Key)),
        each(MakeKey, Err(Errno::EXIST)),
        each(List, entries(&[])),
        each(RemoveKey, DONE),
        vec![(List(&[]), entries(&[]))],
    ];
    row("names of keys", &[], &steps.concat())
}

fn names_of_values() -> Row<'static> {
    let place = |name: &'static &'static str| std::slice::from_ref(name);
    let names = || NAMES.iter().chain(&VALUE_NAMES);
    let mut steps: Vec<_> =
        names().map(|name| (Write(place(name), name.as_bytes()), DONE)).collect();
    let mut sorted: Vec<_> = names().map(|name| (*name, Kind::Value)).collect();
    sorted.sort_unstable();
    steps.push((List(&[]), entries(&sorted)));
    let form = |name: &str| text(format!("{}\n", name.strip_suffix('\n').unwrap_or(name)));
    steps.extend(names().map(|name| (Read(place(name)), form(name))));
    steps.extend(names().map(|name| (RemoveValue(place(name)), DONE)));
    steps.push((List(&[]), entries(&[])));
    row("names of values", &[], &steps)
}

fn both() -> Row<'static> {
    let there = [
        There::Key(&["both"]),
        There::Value(&["Both"], ValueType::Sz, b"tea"),
        There::Value(&["both", ""], ValueType::Sz, b"inside"),
    ];
    let listed = entries(&[("Both", Kind::Value), ("both", Kind::Key)]);
    let steps = [
        (Read(&["BOTH"]), text("tea\n")),
        (Stat(&["both"]), Ok(Got::Key)),
        (List(&[]), listed),
        (Write(&["both"], b"milk"), DONE),
        (Read(&["both"]), text("milk\n")),
        (Read(&["both", ""]), text("inside\n")),
        (MakeKey(&["both"]), Err(Errno::EXIST)),
        (RemoveValue(&["both"]), DONE),
        (RemoveValue(&["both"]), Err(Errno::ISDIR)),
        (List(&["both"]), entries(&[("", Kind::Value)])),
        (RemoveKey(&["both"]), DONE),
        (List(&[]), entries(&[])),
    ];
    row("a key and a value of one name", &there, &steps)
}

fn errors() -> Vec<Row<'static>> {
    let there = [
        There::Key(&["k"]),
        There::Key(&["k", "below"]),
        There::Value(&["v"], ValueType::Sz, b"tea"),
        There::Value(&["k", "w"], ValueType::Sz, b"milk"),
    ];
    let cases: [(&str, Errno, &[Ask]); 6] = [
        ("a key where a value is meant", Errno::ISDIR, &[Read(&["k"]), RemoveValue(&["k"])]),
        (
            "a value where a key is meant",
            Errno::NOTDIR,
            &[
                List(&["v"]),
                RemoveKey(&["v"]),
                Read(&["v", "x"]),
                Write(&["v", "x"], b"x"),
                MakeKey(&["v", "x"]),
                List(&["v", "x"]),
                Stat(&["v", "x"]),
                RemoveValue(&["v", "x"]),
                RemoveKey(&["v", "x"]),
            ],
        ),
        (
            "what is not there",
            Errno::NOENT,
            &[
                Read(&["no"]),
                Stat(&["no"]),
                List(&["no"]),
                RemoveValue(&["no"]),
                RemoveKey(&["no"]),
                Read(&["no", "x"]),
                Write(&["no", "x"], b"x"),
                MakeKey(&["no", "x"]),
                RemoveValue(&["no", "x"]),
                RemoveKey(&["no", "x"]),
            ],
        ),
        ("what is there", Errno::EXIST, &[MakeKey(&["k"]), MakeKey(&["K"]), MakeKey(&["v"])]),
        ("a key with keys below it", Errno::NOTEMPTY, &[RemoveKey(&["k"])]),
        (
            "a name that is too long",
            Errno::NAMETOOLONG,
            &[MakeKey(&[TOO_LONG]), Write(&[TOO_LONG], b"x")],
        ),
    ];
    let untouched = [
        (Read(&["v"]), text("tea\n")),
        (Read(&["k", "w"]), text("milk\n")),
        (List(&["k"]), entries(&[("below", Kind::Key), ("w", Kind::Value)])),
        (List(&[]), entries(&[("k", Kind::Key), ("v", Kind::Value)])),
    ];
    let cases = cases.iter().map(|(about, errno, asks)| {
        let steps = asks.iter().map(|ask| (*ask, Err(*errno))).chain(untouched.clone());
        row(about, &there, &steps.collect::<Vec<_>>())
    });
    cases.collect()
}

/// Who may read `Machine` and not write it.
fn denials() -> Vec<Row<'static>> {
    let there = [There::Key(&["k"]), There::Value(&["v"], ValueType::Sz, b"tea")];
    let steps = [
        (Read(&["v"]), text("tea\n")),
        (Stat(&["k"]), Ok(Got::Key)),
        (List(&[]), entries(&[("k", Kind::Key), ("v", Kind::Value)])),
        (Write(&["v"], b"x"), Err(Errno::ACCESS)),
        (Write(&["new"], b"x"), Err(Errno::ACCESS)),
        (MakeKey(&["new"]), Err(Errno::ACCESS)),
        (RemoveValue(&["v"]), Err(Errno::ACCESS)),
        (RemoveKey(&["k"]), Err(Errno::ACCESS)),
        (Read(&["v"]), text("tea\n")),
        (Read(&["no"]), Err(Errno::NOENT)),
    ];
    let mut reader = row("who may only read", &there, &steps);
    reader.who = Who::Other;
    vec![reader]
}
