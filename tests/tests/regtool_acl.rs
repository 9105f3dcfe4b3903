//! Who may do what, as `regtool` shows it, changes it, and meets it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use registry_tests::harness::System;
use serde_json::{Value as Json, json};

const UID: u32 = 61_234;
const GID: u32 = 61_235;

/// The exit code, and what was said on stdout and on stderr.
fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A command that failed with this exit code, this line, and nothing else.
fn assert_fails(output: &Output, code: i32, message: &str) {
    assert_eq!(said(output), (Some(code), String::new(), format!("regtool: {message}\n")));
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn what_is_set_is_got_again_and_only_the_parts_that_were_named() {
    let system = System::start();
    system.output(&["create", "-p", "HKLM/S/Editor"]);
    let before = json(&system.output(&["acl", "get", "HKLM/S/Editor", "--json"]));
    let set = |sddl: &str| assert_eq!(system.output(&["acl", "set", "HKLM/S/Editor", sddl]), "");
    set("D:P(A;CI;KA;;;SY)(D;;KW;;;S-1-22-1-61234)(A;;KR;;;AU)");
    set("G:S-1-22-2-61235");
    set("S:(AU;FA;KA;;;WD)");
    let expected = "\
Owner  SYSTEM
Group  group 61235

WHO                  WHAT           RIGHTS        INHERITED  APPLIES TO
SYSTEM               allow          full control  no         this key and below
user 61234           deny           write         no         this key
Authenticated Users  allow          read          no         this key
Everyone             audit failure  full control  no         this key

The DACL is protected: it inherits nothing from above.
SDDL  O:SYG:S-1-22-2-61235D:P(A;CI;KA;;;SY)(D;;KW;;;S-1-22-1-61234)(A;;KR;;;AU)S:(AU;FA;KA;;;WD)
";
    assert_eq!(system.output(&["acl", "get", "hklm\\s\\editor"]), expected);
    let after = json(&system.output(&["acl", "get", "HKLM/S/Editor", "--json"]));
    assert_eq!(after["owner"], before["owner"]);
    assert_eq!(after["flags"], json!(["DACL_PROTECTED"]));
    assert_eq!(after["dacl"][1]["who"], json!({ "sid": "S-1-22-1-61234", "name": null }));
    assert_eq!(after["sacl"][0]["what"], json!("audit failure"));

    // What one gets can be set.
    let sddl = after["sddl"].as_str().expect("text");
    set("O:BA");
    set(sddl);
    assert_eq!(json(&system.output(&["acl", "get", "HKLM/S/Editor", "--json"])), after);

    set("D:NO_ACCESS_CONTROL");
    let open = system.output(&["acl", "get", "HKLM/S/Editor"]);
    assert!(open.contains("\nThere is no DACL: everybody may do everything.\n"), "{open}");
    set("D:");
    let closed = system.output(&["acl", "get", "HKLM/S/Editor"]);
    assert!(closed.contains("\nThe DACL is empty: nobody may do anything, but "), "{closed}");
}

#[test]
fn what_makes_no_sense_is_a_usage_error_and_says_where() {
    let system = System::start();
    let set = |sddl: &str| system.run(&["acl", "set", "HKLM", sddl]);
    assert_fails(
        &set("D:(A;;XX;;;WD)"),
        2,
        "D:(A;;XX;;;WD): at character 7: \"XX\" are no rights (KA, KR, KW, GR, SD, RC, WD, WO, … or \
         0x…)",
    );
    assert_fails(&set(""), 2, "SDDL: names nothing to set (O:, G:, D: or S:)");
    let (code, _, message) = said(&system.run(&["acl", "check", "HKLM", "FLY"]));
    assert_eq!(code, Some(2));
    assert!(message.contains("\"FLY\" is not a right; rights are QUERY_VALUE, "), "{message}");
    assert_fails(&system.run(&["acl", "get", "HKLM/No"]), 1, "Machine\\No: no such key");
}

#[test]
fn check_answers_for_the_one_who_asks() {
    let system = System::start();
    let yes = "yes: QUERY_VALUE, ENUMERATE_SUB_KEYS, NOTIFY, DELETE, READ_CONTROL\n";
    assert_eq!(system.output(&["acl", "check", "HKLM", "key_read,DELETE"]), yes);
    // A privilege gives it, to those who ask for it.
    system.output(&["acl", "check", "HKLM", "ACCESS_SYSTEM_SECURITY"]);
    assert_fails(&system.run(&["acl", "check", "HKLM/No", "read"]), 1, "Machine\\No: no such key");

    let Some(user) = system.user(UID, GID) else { return };
    user.output(&["acl", "check", "HKLM", "read"]);
    let no = "no: SET_VALUE, CREATE_SUB_KEY are missing\n".to_owned();
    let denied = user.run(&["acl", "check", "HKLM", "KEY_WRITE"]);
    assert_eq!(said(&denied), (Some(1), no, String::new()));
    let denied = said(&user.run(&["acl", "check", "HKLM", "0x3", "--json"])).1;
    let expected = json!({
        "granted": false,
        "rights": ["QUERY_VALUE", "SET_VALUE"],
        "missing": ["SET_VALUE"],
    });
    assert_eq!(json(&denied), expected);
}

#[test]
fn an_ordinary_user_has_a_key_at_once_and_machine_is_read_only() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/S/Editor", "Tabs", "4"]);
    let Some(user) = system.user(UID, GID) else { return };
    user.output(&["set", "-p", "HKCU/Software/Editor", "Tabs", "8"]);
    assert_eq!(user.output(&["get", "HKCU/Software/Editor", "Tabs"]), "8\n");
    assert_eq!(user.output(&["get", "HKLM/S/Editor", "Tabs"]), "4\n");
    let info = user.output(&["info", "HKCU/Software"]);
    assert!(info.contains("\nOwner             user 61234\n"), "{info}");
    let info = json(&user.output(&["info", "HKCU/Software", "--json"]));
    assert_eq!(info["owner"], json!({ "sid": "S-1-22-1-61234", "name": null }));
    let info = json(&user.output(&["info", "HKLM/S", "--json"]));
    assert_eq!(info["owner"], json!({ "sid": "S-1-5-18", "name": "SYSTEM" }));

    // Nobody else sees it, but those who run the system.
    let key = "Users\\S-1-22-1-61234";
    let Some(other) = system.user(UID + 1, GID) else { return };
    assert_fails(
        &other.run(&["list", key]),
        3,
        &format!("{key}: access denied: QUERY_VALUE, ENUMERATE_SUB_KEYS are missing"),
    );
    assert_fails(
        &other.run(&["info", key]),
        3,
        &format!("{key}: access denied: no right at all is granted"),
    );
    assert_eq!(system.output(&["get", &format!("{key}/Software/Editor"), "Tabs"]), "8\n");
    // Until it is told.
    user.output(&["acl", "set", "HKCU", "D:P(A;CI;KA;;;S-1-22-1-61234)(A;CI;KR;;;S-1-22-2-61235)"]);
    other.output(&["list", key]);
}

#[test]
fn a_denial_says_which_right_is_missing_and_on_which_key() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/S/Editor", "Tabs", "4"]);
    let Some(user) = system.user(UID, GID) else { return };
    let denied = |arguments: &[&str], message: &str| {
        assert_fails(&user.run(arguments), 3, message);
    };
    denied(
        &["set", "HKLM/S/Editor", "Tabs", "8"],
        "Machine\\S\\Editor: access denied: SET_VALUE is missing",
    );
    denied(
        &["unset", "HKLM/S/Editor", "Tabs"],
        "Machine\\S\\Editor: access denied: SET_VALUE is missing",
    );
    denied(
        &["create", "HKLM/S/New"],
        "Machine\\S\\New: access denied: CREATE_SUB_KEY is missing on Machine\\S",
    );
    // With -p it is the first key that cannot be made.
    denied(
        &["set", "-p", "HKLM/A/B/C", "x", "1"],
        "Machine\\A: access denied: CREATE_SUB_KEY is missing on Machine",
    );
    denied(&["delete", "HKLM/S/Editor"], "Machine\\S\\Editor: access denied: DELETE is missing");
    denied(
        &["acl", "set", "HKLM/S", "O:S-1-22-1-61234D:(A;;KA;;;WD)"],
        "Machine\\S: access denied: WRITE_DAC, WRITE_OWNER are missing",
    );
    denied(
        &["acl", "set", "HKLM/S", "S:"],
        "Machine\\S: access denied: ACCESS_SYSTEM_SECURITY is missing",
    );
    denied(
        &["acl", "set", "HKCU", "O:SY"],
        "CurrentUser: access denied: it takes the privilege SeRestore",
    );
    // Deny comes first where it stands first.
    system.output(&["acl", "set", "HKLM/S", "D:(D;;CC;;;S-1-22-2-61235)(A;;KR;;;AU)"]);
    denied(&["get", "HKLM/S", "x"], "Machine\\S: access denied: QUERY_VALUE is missing");
    system.output(&["acl", "set", "HKLM/S", "D:(A;CI;KA;;;SY)"]);
    denied(&["acl", "get", "HKLM/S"], "Machine\\S: access denied: READ_CONTROL is missing");
    denied(&["export", "HKLM/S"], "Machine\\S: access denied: QUERY_VALUE is missing");
    // There is no right to walk through a key: what is below is decided there.
    assert_eq!(user.output(&["get", "HKLM/S/Editor", "Tabs"]), "4\n");
}

#[test]
fn who_audits_does_not_see_that_others_do() {
    let system = System::start();
    system.output(&["create", "HKLM/S"]);
    system.output(&["acl", "set", "HKLM/S", "S:(AU;FA;KA;;;WD)"]);
    let Some(user) = system.user(UID, GID) else { return };
    let shown = user.output(&["acl", "get", "HKLM/S"]);
    assert!(shown.contains("\nAuthenticated Users  allow") && !shown.contains("audit"), "{shown}");
    let shown = json(&user.output(&["acl", "get", "HKLM/S", "--json"]));
    assert_eq!(shown.get("sacl"), None);
    // To have asked for it was no failed access.
    let log = fs::read_to_string(system.file("var/log/audit.log")).expect("a log");
    assert!(!log.contains("\"key\":\"Machine\\\\S\""), "{log}");
}

#[test]
fn partial_failures_and_the_shell_say_it_too() {
    let system = System::start();
    system.output(&["create", "-p", "HKLM/S/Secret"]);
    system.output(&["create", "HKLM/S/Plain"]);
    system.output(&["acl", "set", "HKLM/S/Secret", "D:P(A;;KA;;;SY)"]);
    let Some(user) = system.user(UID, GID) else { return };

    let (code, stdout, stderr) = said(&user.run(&["tree", "HKLM/S"]));
    assert_eq!((code, stdout.contains("Plain")), (Some(3), true));
    assert_eq!(
        stderr,
        "regtool: Machine\\S\\Secret: access denied: QUERY_VALUE, ENUMERATE_SUB_KEYS are missing\n\
         regtool: Machine\\S: 1 keys below could not be read\n"
    );

    let file = system.file("in.reg");
    fs::write(
        &file,
        "REGEDIT4\n[HKLM\\S\\Plain]\n\"v\"=\"1\"\n[HKLM\\S\\New]\n[-HKLM\\S\\Plain]\n",
    )
    .expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("permissions");
    let name = file.to_str().expect("UTF-8");
    let (code, _, stderr) = said(&user.run(&["import", name]));
    assert_eq!(code, Some(3));
    assert_eq!(
        stderr,
        format!(
            "regtool: {name}:2: Machine\\S\\Plain: access denied: SET_VALUE is missing\n\
             regtool: {name}:4: Machine\\S\\New: access denied: CREATE_SUB_KEY is missing on Machine\\S\n\
             regtool: {name}:5: Machine\\S\\Plain: access denied: DELETE is missing\n\
             regtool: {name}: 3 keys or values cannot be imported; nothing was imported\n"
        )
    );

    let script = system.file("script");
    fs::write(&script, "cd HKLM/S/Secret\ncd HKLM/S\nset Plain v 1\nacl check Plain write\n")
        .expect("a file");
    let mut shell = user.regtool(&["shell"]);
    shell.stdin(fs::File::open(&script).expect("a script"));
    let (code, stdout, stderr) = said(&shell.output().expect("regtool runs"));
    assert_eq!(code, Some(3));
    assert_eq!(stdout, "no: SET_VALUE, CREATE_SUB_KEY are missing\n");
    assert_eq!(
        stderr,
        "regtool: Machine\\S\\Secret: access denied: no right at all is granted\n\
         regtool: Machine\\S\\Plain: access denied: SET_VALUE is missing\n\
         regtool: standard input: not every command was done\n"
    );
}
