//! Roles: put on, looked at, and taken off.

mod random;
mod rounds;

use std::fs;
use std::process::Output;

use hosted as _;
use registry_tests::harness::System;

/// A role that makes keys, writes into one that is there, hides one, and re-points a link.
const WEB_SERVER: &str = r#"
name = "web-server"
description = "Ports and limits of a web server"

[[key]]
path = 'HKLM\Software\Web'
sd = "D:P(A;CI;KA;;;SY)(A;CI;KR;;;AU)"
[key.values]
"@" = "a default"
Port = 8080
Modules = ["gzip", "tls"]
Cache = { expand_sz = "%TMP%/web" }

[[key]]
path = 'HKLM\Software\Web\Sites\Example'

[[key]]
path = 'HKLM\Software\Limits'
mask = true
values = { Files = 4096, Memory = { tombstone = true } }

[[key]]
path = 'HKLM\Software\Old'
hide = true

[[key]]
path = 'HKLM\Software\Current'
link = 'HKLM\Software\Web'
"#;

/// The exit code, and what was said on stderr.
fn failure(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Installs a role that is written to a file first.
fn install(system: &System, text: &str) -> (Output, String) {
    let file = system.file("role.toml");
    fs::write(&file, text).expect("a file");
    let name = file.to_str().expect("UTF-8").to_owned();
    (system.run(&["role", "install", &name]), name)
}

fn installed(system: &System, text: &str) {
    let (output, _) = install(system, text);
    assert_eq!(failure(&output), (Some(0), String::new()));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

/// That a role is not installed, that this and nothing else is said (with FILE for its name), and that nothing was
/// changed.
fn refused(system: &System, text: &str, code: i32, said: &str) {
    let before = everything(system);
    let (output, name) = install(system, text);
    let lines = said.lines().map(|line| format!("regtool: {}\n", line.replace("FILE", &name)));
    assert_eq!(failure(&output), (Some(code), lines.collect()));
    assert_eq!(everything(system), before);
}

fn everything(system: &System) -> String {
    ["Machine", "Users"].map(|hive| system.output(&["export", hive, "--format", "json"])).concat()
}

#[test]
fn a_role_is_put_on_looked_at_and_taken_off() {
    let system = System::start();
    for (path, name) in
        [("Limits", "Files"), ("Limits", "Memory"), ("Limits", "Cpus"), ("Old", "x")]
    {
        system.output(&["set", "-p", &format!("HKLM/Software/{path}"), name, "1"]);
    }
    system.output(&["create", "HKLM/Software/Current", "--link", "HKLM/Software/Old"]);
    let before = everything(&system);

    installed(&system, WEB_SERVER);
    let tree = "Machine\\Software\n├─ Current -> Machine\\Software\\Web\n│    @ = Machine\\Software\\Web\n├─ Limits\n│    Files = 4096 (0x1000)\n\
                └─ Web\n   │ @ = a default\n   │ Cache = %TMP%/web\n   │ Modules = \"gzip\", \"tls\"\n   │ Port = 8080 \
                (0x1f90)\n   └─ Sites\n      └─ Example\n";
    assert_eq!(system.output(&["tree", "HKLM/Software", "--values"]), tree);
    assert_eq!(system.output(&["get", "HKLM/Software/Current", "Port"]), "8080\n");
    // Keys inherit from those of the role above them.
    for (key, flags) in [("Web", "CI"), ("Web/Sites/Example", "CIID")] {
        let acl = system.output(&["acl", "get", &format!("HKLM/Software/{key}")]);
        assert!(acl.contains(&format!("(A;{flags};KA;;;SY)(A;{flags};KR;;;AU)\n")), "{acl}");
    }
    assert_eq!(
        system.output(&["role", "list"]),
        "NAME        ENABLED  DESCRIPTION\nweb-server  yes      Ports and limits of a web server\n"
    );
    refused(
        &system,
        WEB_SERVER,
        5,
        "FILE:2: web-server: there is a layer of this name; remove it first (regtool role remove web-server)\n\
         FILE:7: Machine\\Software\\Web: is there, and an SD is only for keys that the role makes: it would stay \
         when the role is removed\n\
         FILE: 2 errors; nothing was installed",
    );

    system.output(&["role", "remove", "WEB-server"]);
    assert_eq!(everything(&system), before);
    assert_eq!(system.output(&["role", "list", "--json"]), "[]\n");
    // Under the same name it can be put on again.
    installed(&system, WEB_SERVER);
    assert_eq!(system.output(&["tree", "HKLM/Software", "--values"]), tree);
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_lines_and_nothing_is_done() {
    let system = System::start();
    refused(
        &system,
        "name = 'r'\n[[key]]\npath = 'HKCU\\x'\n[[key]]\npath = 'HKLM\\x'\nport = 1\nvalues = { a = 1.5 }\n",
        5,
        "FILE:3: path is in CurrentUser: a role is for the system; Users\\SID is one user's key\n\
         FILE:6: unknown field port; a key has path, values, value, sd, mask, link, hide, volatile\n\
         FILE:7: a: a number with a fraction is no data of a value; write it as text\n\
         FILE: 3 errors; nothing was installed",
    );
    let missing = system.run(&["role", "install", "no-such.toml"]);
    assert_eq!(missing.status.code(), Some(5));
}

#[test]
fn what_cannot_be_done_keeps_the_rest_from_being_done() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/S/There", "v", "1"]);
    refused(
        &system,
        "name = 'r'\n[[key]]\npath = 'HKLM\\S\\New'\nvalues = { v = 1 }\n[[key]]\npath = 'HKLM\\S\\None'\nhide = true\n",
        1,
        "FILE:6: Machine\\S\\None: no such key\nFILE: nothing was installed",
    );
    refused(
        &system,
        "name = 'r'\n[[key]]\npath = 'HKLM\\S\\New'\n[[key]]\npath = 'HKLM\\S\\There'\nlink = 'HKLM\\S'\n",
        5,
        "FILE:5: Machine\\S\\There: is there, and is no link\nFILE: nothing was installed",
    );
    refused(
        &system,
        "name = 'r'\n[[key]]\npath = 'HKLM\\S\\New'\n[[key]]\npath = 'Nowhere\\S'\n",
        1,
        "FILE:5: Nowhere: no such key\nFILE: nothing was installed",
    );
    let sd = "name = 'r'\n[[key]]\npath = 'HKLM\\S\\There'\nsd = 'D:(A;;KA;;;SY)'\n";
    refused(
        &system,
        sd,
        5,
        "FILE:4: Machine\\S\\There: is there, and an SD is only for keys that the role makes: it would stay when \
         the role is removed\nFILE: 1 errors; nothing was installed",
    );
}

#[test]
fn a_role_in_several_hives_is_there_whole_or_not_at_all() {
    let system = System::start();
    system.output(&["set", "-p", "HKU/Shared/There", "v", "1"]);
    let before = everything(&system);
    let role = "name = 'both'\n[[key]]\npath = 'HKLM\\S\\A\\b'\nsd = 'D:(A;CI;KA;;;SY)'\nvalues = { v = 2 }\n\
                [[key]]\npath = 'HKU\\Shared\\New\\Deep'\nvalues = { v = 3 }\n\
                [[key]]\npath = 'HKU\\Shared\\There'\nvalues = { v = 4 }\n";
    installed(&system, role);
    for (path, value) in
        [("HKLM/S/A/b", "2\n"), ("HKU/Shared/New/Deep", "3\n"), ("HKU/Shared/There", "4\n")]
    {
        assert_eq!(system.output(&["get", path, "v"]), value);
    }
    assert_eq!(system.output(&["role", "list"]), "NAME  ENABLED  DESCRIPTION\nboth  yes\n");
    system.output(&["role", "remove", "both"]);
    assert_eq!(everything(&system), before);

    // What fails in the last hive is undone in the first.
    let lines = role.lines().count();
    refused(
        &system,
        &format!("{role}[[key]]\npath = 'HKU\\Shared\\None'\nhide = true\n"),
        1,
        &format!(
            "FILE:{}: Users\\Shared\\None: no such key\nFILE: nothing was installed",
            lines + 2
        ),
    );
    let layers = system.output(&["layer", "list", "--json"]);
    assert!(!layers.contains("both"), "{layers}");
}

#[test]
fn layers_that_are_no_roles_are_left_alone() {
    let system = System::start();
    system.output(&["layer", "create", "policy", "--precedence", "5"]);
    system.output(&["layer", "create", "plain"]);
    assert_eq!(system.output(&["role", "list"]), "NAME  ENABLED  DESCRIPTION\n");
    for (name, code, what) in [
        ("policy", 5, "policy: a layer that is not a role; nothing was done"),
        ("plain", 5, "plain: a layer that is not a role; nothing was done"),
        ("none", 1, "none: no such role"),
        ("a/b", 2, "a/b: a layer's name is not empty, and has no \\ or / in it"),
    ] {
        let output = system.run(&["role", "remove", name]);
        assert_eq!(failure(&output), (Some(code), format!("regtool: {what}\n")));
    }
    refused(
        &system,
        "name = 'Plain'\n",
        5,
        "FILE:1: Plain: there is a layer of this name; remove it first (regtool role remove Plain)\n\
         FILE: 1 errors; nothing was installed",
    );
}

#[test]
fn in_the_shells_transaction_a_role_is_installed_with_it() {
    let system = System::start();
    let file = system.file("role.toml");
    fs::write(&file, "name = 'r'\n[[key]]\npath = 'HKLM\\S'\nvalues = { v = 1 }\n")
        .expect("a file");
    let before = everything(&system);
    let install = format!("role install '{}'\n", file.display());
    let shell = |script: String| {
        let output = system.run_with_input(&["shell"], &script);
        (failure(&output), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let ok = (Some(0), String::new());
    assert_eq!(
        shell(format!("begin\n{install}get HKLM/S v\nabort\n")),
        (ok.clone(), "1\n".to_owned())
    );
    assert_eq!(everything(&system), before);
    assert_eq!(
        shell(format!("begin\n{install}commit\nget HKLM/S v\n")),
        (ok.clone(), "1\n".to_owned())
    );
    assert_eq!(shell("begin\nrole remove r\ncommit\n".to_owned()), (ok, String::new()));
    assert_eq!(everything(&system), before);

    fs::write(&file, "name = 'r'\n[[key]]\npath = 'HKU\\S'\n").expect("a file");
    let ((code, said), _) = shell(format!("begin\n{install}abort\n"));
    assert_eq!(code, Some(2), "{said}");
}
