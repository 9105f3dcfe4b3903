//! Which manual files are right, and what is said of those that are not.

use super::*;

const KEY: &str = "reader = 'a'\n[[key]]\npath = 'Machine\\A'\nsummary = 'A key'\n";

/// A file with one value, of which these lines say something.
fn value(lines: &str) -> String {
    format!(
        "reader = 'a'\n[[value]]\npath = 'Machine\\A'\nname = 'v'\napplies = 'live'\n\
         summary = 'A value'\n{lines}\n"
    )
}

#[test]
fn data_is_written_as_regtool_set_takes_it() {
    for (lines, default) in [
        ("type = 'dword'\ndefault = 7\nrange = [0, '0xFF']", &[7, 0, 0, 0][..]),
        ("type = 'REG_QWORD'\ndefault = '0xffffffffffffffff'", &[255; 8]),
        ("type = 'sz'\ndefault = 'x'\nset = ['x', 'y']", b"x"),
        ("type = 'multi_sz'\ndefault = ['a', 'b']\npattern = '[ab]'", b"a\0b\0"),
        ("type = 'multi_sz'\ndefault = []", b""),
        ("type = 'binary'\ndefault = '00 ff'", &[0, 255]),
        ("type = 'dword'\ndefault = 16\nset = ['0x10']\nunit = 'bytes'", &[16, 0, 0, 0]),
    ] {
        let file = File::parse(&value(lines)).unwrap_or_else(|what| panic!("{lines}: {what:?}"));
        assert_eq!(file.values[0].default.as_deref(), Some(default), "{lines}");
    }
    assert_eq!(File::parse(&value("type = 'dword'")).unwrap().values[0].default, None);
}

#[test]
fn the_name_of_the_default_value_is_written_as_everywhere() {
    let text = value("type = 'sz'").replace("'v'", "'@'");
    assert_eq!(File::parse(&text).unwrap().values[0].name, "");
}

#[test]
fn what_cannot_be_meant_is_refused_and_named() {
    for (lines, what) in [
        ("type = 'word'", "type: there is no type \"word\""),
        ("type = 'dword'\ndefault = 4294967296", "default: a dword takes a number of 32 bits"),
        ("type = 'dword'\ndefault = -1", "default: a dword takes a number"),
        ("type = 'dword'\ndefault = 9\nrange = [1, 8]", "default: 9 is not in 1..=8"),
        ("type = 'dword'\nrange = [8, 1]", "range: nothing is in 8..=1"),
        ("type = 'sz'\nrange = [1, 8]", "range: only a number has one"),
        ("type = 'sz'\nset = []", "set: it is of texts or numbers, at least one"),
        ("type = 'binary'\nset = ['00']", "set: it is of texts"),
        ("type = 'sz'\npattern = '('", "pattern: "),
        ("type = 'dword'\npattern = '1'", "pattern: only text has one"),
        ("type = 'dword'\nrange = [1, 2]\nset = [1]", "only one of them"),
        ("type = 'sz'\ndefault = 'c'\nset = ['a']", "default: \"c\" is none of a"),
        ("type = 'sz'\nunit = 'bytes'", "unit: "),
        ("type = 'sz'\ndescription = \"\\u001b[2J\"", "description: it has control characters"),
    ] {
        let problems = File::parse(&value(lines)).expect_err(lines);
        let begin = "value \"v\" of \"Machine\\\\A\": ";
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(begin) && problems[0].contains(what), "{problems:?}");
    }
}

#[test]
fn a_problem_of_the_syntax_is_told_with_its_line() {
    for (text, line) in [
        ("reader = 'a'\n\n[[key]\n".to_owned(), "line 3: "),
        (KEY.replace("summary", "sumary"), "line 4: "),
        (value("type = 'sz'\napplies2 = 'live'"), "line 8: "),
        (value("type = 'sz'").replace("'live'", "'soon'"), "line 5: "),
    ] {
        let problems = File::parse(&text).expect_err(&text);
        assert!(problems.len() == 1 && problems[0].starts_with(line), "{problems:?}");
    }
}

#[test]
fn all_problems_of_a_file_are_told() {
    let text = format!(
        "{KEY}[[key]]\npath = 'HKLM/a'\nsummary = 'Again'\n\
         [[key]]\npath = '\\'\nsummary = 'The root'\n\
         [[key]]\npath = 'Users\\\\\\\\x'\nsummary = 'No path'\n\
         [[key]]\npath = 'Users'\nsummary = 'It stops.'\n\
         [[key]]\npath = 'Users\\y'\nsummary = ''\n"
    );
    let problems = File::parse(&text).expect_err("it has some");
    let ends = ["twice", "not a key", "two separators", "full stop", "one line of text"];
    assert_eq!(problems.len(), ends.len(), "{problems:?}");
    for (problem, end) in problems.iter().zip(ends) {
        assert!(problem.ends_with(end), "{problem} {end}");
    }
    assert_eq!(File::parse("reader = 'a'").expect_err("empty"), ["there is no entry in it"]);
}
