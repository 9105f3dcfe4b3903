use super::*;
use libreg::data::{interpret, type_name};

fn role(text: &str) -> Role {
    parse(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// What is wrong, as `LINE: WHAT`.
fn wrong(text: &str) -> Vec<String> {
    let problems = parse(text.as_bytes()).expect_err("a wrong role");
    problems.iter().map(|problem| format!("{}: {}", problem.line, problem.what)).collect()
}

/// What is wrong with a key of these lines, the first of which is line 3.
fn wrong_key(lines: &str) -> Vec<String> {
    wrong(&format!("name = 'r'\n[[key]]\n{lines}"))
}

/// What is wrong with a value in line 4.
fn wrong_value(value: &str) -> String {
    let problems = wrong_key(&format!("path = 'Machine\\A'\nvalues.v = {value}"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.concat()
}

fn shown(value: &RoleValue) -> String {
    let name = if value.name.item.is_empty() { "@" } else { &value.name.item };
    match &value.value {
        None => format!("{name} masked"),
        Some(value) => {
            let meant = interpret(value.value_type, &value.data).to_string();
            format!("{name} {} {}", type_name(value.value_type), meant.replace('\n', "|"))
        }
    }
}

#[test]
fn a_role_says_what_its_layer_holds() {
    let role = role(
        r#"
name = "web-server"
description = "Ports and limits"

[[key]]
path = 'HKLM/Software/Web/Sites'

[[key]]
path = 'Machine\Software\Web'
sd = "D:P(A;CI;KA;;;BA)"
mask = true
values = { Port = 8080, "@" = "x" }

[[key]]
path = 'Machine\Software\WebCurrent'
link = 'HKLM\Software\Web'

[[key]]
path = 'Machine\Software\Old'
hide = true
"#,
    );
    assert_eq!(role.name, Located { line: 2, item: "web-server".to_owned() });
    assert_eq!(role.description.as_deref(), Some("Ports and limits"));
    let keys: Vec<_> =
        role.keys.iter().map(|key| (key.path.line, key.path.item.to_string())).collect();
    // Parents first.
    assert_eq!(
        keys,
        [
            (9, "Machine\\Software\\Web".to_owned()),
            (15, "Machine\\Software\\WebCurrent".to_owned()),
            (19, "Machine\\Software\\Old".to_owned()),
            (6, "Machine\\Software\\Web\\Sites".to_owned()),
        ]
    );
    let KeyContent::Key { sd: Some(sd), mask: true, values, .. } = &role.keys[0].what else {
        panic!("{:?}", role.keys[0]);
    };
    assert_eq!((sd.line, sd.item.to_string()), (10, "D:P(A;CI;KA;;;BA)".to_owned()));
    assert_eq!(values.iter().map(shown).collect::<Vec<_>>(), ["Port dword 8080", "@ sz x"]);
    let KeyContent::Link { target, sd: None } = &role.keys[1].what else {
        panic!("{:?}", role.keys[1]);
    };
    assert_eq!(target.item.to_string(), "Machine\\Software\\Web");
    assert!(matches!(role.keys[2].what, KeyContent::Hide));
}

#[test]
fn values_of_every_type_can_be_written() {
    let role = role(
        r#"
name = "types"
[[key]]
path = 'Machine\Software'
[key.values]
"@" = "default"
text = "Grüße"
small = 4294967295
large = 0x1_0000_0000
largest = { qword = 0xFFFF_FFFF_FFFF_FFFF }
yes = true
no = false
list = ["a", "", "b"]
none = []
"a.b" = { sz = "dot" }
expand = { expand_sz = "%PATH%" }
multi = { multi_sz = ["x"] }
dword = { dword = 0b101 }
big = { dword_be = 258 }
qword = { qword = 1 }
binary = { binary = "00 ff,2A" }
empty = { none = "" }
link = { link = 'Machine\Software' }
resource = { resource_list = "01" }
masked = { tombstone = true }
"#,
    );
    let KeyContent::Key { values, .. } = &role.keys[0].what else {
        panic!("{:?}", role.keys[0]);
    };
    let values: Vec<_> = values.iter().map(shown).collect();
    assert_eq!(
        values,
        [
            "@ sz default",
            "text sz Grüße",
            "small dword 4294967295",
            "large qword 4294967296",
            "largest qword 18446744073709551615",
            "yes dword 1",
            "no dword 0",
            "list multi_sz a||b",
            "none multi_sz ",
            "a.b sz dot",
            "expand expand_sz %PATH%",
            "multi multi_sz x",
            "dword dword 5",
            "big dword_be 258",
            "qword qword 1",
            "binary binary 00ff2a",
            "empty none ",
            "link link Machine\\Software",
            "resource resource_list 01",
            "masked masked",
        ]
    );
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    let problems = wrong("name = \"r\"\n[[key]]\npath = 'Machine\\A\n");
    assert!(problems[0].starts_with("3: "), "{problems:?}");
    assert_eq!(wrong("name = 'r'\nname = 's'\n"), ["2: duplicate key"]);
    assert_eq!(parse(b"name = 'r'\n# \xFF\n").unwrap_err()[0].line, 2);
}

#[test]
fn a_role_needs_a_name_that_a_layer_can_have() {
    assert_eq!(wrong(""), ["1: the role has no name (name = \"…\")"]);
    assert_eq!(wrong("\nname = ''"), ["2: name is empty"]);
    assert_eq!(wrong("name = 3"), ["1: name is text, and not a number"]);
    assert_eq!(wrong("name = 'a/b'"), ["1: name contains \\, / or NUL, which a layer's cannot"]);
    assert_eq!(
        wrong("name = 'BASE'"),
        ["1: name is base, which is the layer of what is in no other one"]
    );
}

#[test]
fn fields_that_nobody_knows_are_told() {
    assert_eq!(
        wrong("name = 'r'\nprecedence = 5\n[[keys]]\n"),
        [
            "2: unknown field precedence; there are name, description, key",
            "3: unknown field keys; there are name, description, key",
        ]
    );
    assert_eq!(
        wrong_key("path = 'Machine\\A'\nvalue = {}"),
        ["4: a value with its bytes is written under [[key.value]]"]
    );
    assert_eq!(wrong("name = 'r'\n[key]\npath = 'x'"), ["2: a key is written under [[key]]"]);
    assert_eq!(wrong("name = 'r'\nkey = [1]"), ["2: a key is written under [[key]]"]);
}

#[test]
fn a_key_needs_a_path_that_is_the_same_for_everybody() {
    assert_eq!(wrong_key("mask = true"), ["2: the key has no path (path = '…')"]);
    assert_eq!(wrong_key("path = '\\'"), ["3: path is empty"]);
    assert_eq!(
        wrong_key("path = 'Machine\\\\A'"),
        ["3: path has an empty name between two separators"]
    );
    assert_eq!(wrong_key("path = \"Machine\\\\\\u0000\""), ["3: path contains NUL"]);
    for path in ["HKCU\\Software", "currentuser"] {
        assert_eq!(
            wrong_key(&format!("path = '{path}'")),
            ["3: path is in CurrentUser: a role is for the system; Users\\SID is one user's key"]
        );
    }
}

#[test]
fn a_security_descriptor_is_sddl_that_says_something() {
    let sd = |sddl: &str| wrong_key(&format!("path = 'Machine\\A'\nsd = '{sddl}'")).concat();
    assert!(
        sd("D:(A;;KA)").starts_with("4: sd is no security descriptor: "),
        "{}",
        sd("D:(A;;KA)")
    );
    assert_eq!(sd(""), "4: sd names nothing to set (O:, G:, D: or S:)");
}

#[test]
fn links_lead_to_a_path_that_they_can() {
    let link =
        |target: &str| wrong_key(&format!("path = 'Machine\\A'\nlink = '{target}'")).concat();
    assert_eq!(link("HKCU\\x"), "4: link leads to CurrentUser, which links cannot");
    assert_eq!(link(""), "4: link is empty");
}

#[test]
fn what_does_not_go_together_is_told() {
    assert_eq!(
        wrong_key("path = 'Machine\\A'\nhide = true\nmask = true\nvalues = {}\nsd = 'D:'"),
        ["5", "6", "7"]
            .map(|line| format!("{line}: a key that is hidden has nothing but its path"))
    );
    assert_eq!(
        wrong_key("path = 'Machine\\A'\nlink = 'Machine\\B'\nvalues = {}\nmask = true"),
        ["5", "6"].map(|line| {
            format!("{line}: a link has nothing of its own: the key that it leads to is meant")
        })
    );
    assert_eq!(
        wrong_key("path = 'Machine'\nhide = true"),
        ["4: a hive is made by its source: it cannot be a link, hidden, or given an SD"]
    );
    assert_eq!(
        wrong_key("path = 'Machine\\A'\nhide = 1"),
        ["4: hide is true or false, and not a number"]
    );
    // What is switched off is not there.
    role(
        "name = 'r'\n[[key]]\npath = 'Machine\\A'\nhide = false\nmask = false\nlink = 'Machine\\B'",
    );
}

#[test]
fn keys_and_values_are_written_once() {
    assert_eq!(
        wrong_key("path = 'Machine\\A'\n[[key]]\npath = 'hklm/a'"),
        ["5: Machine\\a is in line 3, too"]
    );
    assert_eq!(
        wrong_key("path = 'Machine\\A'\n[key.values]\nPort = 1\n\"@\" = 1\nport = 2\n\"\" = 2"),
        ["7: port is in line 5, too", "8: @ is in line 6, too"]
    );
    assert_eq!(
        wrong_key("path = 'Machine\\A\\b\\c'\n[[key]]\npath = 'Machine\\a'\nhide = true"),
        ["3: Machine\\A\\b\\c lies below Machine\\A, which line 5 hides"]
    );
    assert_eq!(
        wrong_key("path = 'Machine\\A'\nlink = 'Machine\\B'\n[[key]]\npath = 'Machine\\A\\x'"),
        [
            "6: Machine\\A\\x lies below Machine\\A, which is a link in line 3; write the path below \
          Machine\\B"
        ]
    );
}

#[test]
fn data_that_is_not_of_its_type_is_told() {
    for (value, what) in [
        ("1.5", "a number with a fraction is no data of a value; write it as text"),
        ("2026-01-01", "a date is no data of a value; write it as text"),
        ("-1", "a number is from 0 to 18446744073709551615"),
        ("['a', 1]", "a list is of texts, and not of a number"),
        ("[\"\\u0000\"]", "a value of type multi_sz takes strings without NUL"),
        ("{}", "a value is { TYPE = DATA }, with one type"),
        ("{ sz = 'a', dword = 1 }", "a value is { TYPE = DATA }, with one type"),
        ("{ float = 1 }", "there is no type float (a name with a dot is written in quotes)"),
        ("{ tombstone = false }", "tombstone is true, or is not written"),
        ("{ sz = 1 }", "a value of type sz takes text, and not a number"),
        ("{ dword = '1' }", "a value of type dword takes a number, and not text"),
        ("{ multi_sz = 'a' }", "a value of type multi_sz takes a list of texts, and not text"),
        (
            "{ dword = 4294967296 }",
            "a value of type dword takes a number of 32 bits, in decimal or hexadecimal with 0x",
        ),
        ("{ binary = '0' }", "a value of type binary takes bytes in hexadecimal, two digits each"),
    ] {
        assert_eq!(wrong_value(value), format!("4: v: {what}"), "{value}");
    }
    assert_eq!(
        wrong_key("path = 'Machine\\A'\nvalues = 1"),
        ["4: values is a table: values = { NAME = DATA, … }, or lines under [key.values]"]
    );
    assert_eq!(
        wrong_key("path = 'Machine\\A'\nvalues = { \"a\\u0000\" = 1 }"),
        ["4: a value's name contains NUL"]
    );
}

#[test]
fn all_that_is_wrong_is_told_in_the_order_of_the_lines() {
    let lines: Vec<_> = parse(
        b"nam = 'r'\n[[key]]\npath = 'HKCU'\nvalues = { a = 1.5 }\n[[key]]\npath = 'Machine\\A'\nx = 1\n",
    )
    .unwrap_err()
    .iter()
    .map(|problem| problem.line)
    .collect();
    assert_eq!(lines, [1, 1, 3, 4, 7]);
}
