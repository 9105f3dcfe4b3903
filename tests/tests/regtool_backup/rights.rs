//! Who may back up and restore.

use registry_tests::harness::System;

use crate::{back_up, fails, restore, text};

#[test]
fn it_takes_privileges_and_no_rights() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/A", "v", "1"]);
    let file = back_up(&system, "HKLM/A", "a");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .expect("others can read it");
    // Whoever starts a registry is SYSTEM in it. It has the privileges also where it has no right.
    system.output(&["acl", "set", "HKLM/A", "O:S-1-22-1-61234D:P(A;;KA;;;S-1-22-1-61234)"]);
    assert_eq!(system.run(&["get", "HKLM/A", "v"]).status.code(), Some(3));
    let closed = back_up(&system, "HKLM/A", "closed");
    restore(&system, "HKLM/A", &file);
    assert_eq!(system.output(&["get", "HKLM/A", "v"]), "1\n");
    restore(&system, "HKLM/A", &closed);
    assert_eq!(system.run(&["get", "HKLM/A", "v"]).status.code(), Some(3));
    restore(&system, "HKLM/A", &file);
    system.output(&["acl", "set", "HKLM/A", "D:P(A;;KA;;;WD)"]);

    let Some(user) = system.user(61234, 61234) else { return };
    // All rights are no privilege.
    let denied =
        |privilege| format!("Machine\\A: access denied: it takes the privilege {privilege}");
    fails(&user.run(&["backup", "HKLM/A", "-o", "-"]), 3, &denied("SeBackup"));
    fails(&user.run(&["backup", "HKLM/A", "--store"]), 3, &denied("SeBackup"));
    fails(&user.run(&["restore", "HKLM/A", "-i", text(&file)]), 3, &denied("SeRestore"));
    user.output(&["set", "HKLM/A", "v", "2"]);
    assert_eq!(user.output(&["get", "HKLM/A", "v"]), "2\n");
}
