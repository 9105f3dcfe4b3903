//! A program that is written for the crate `winreg`, with libreg in its place, in a real system.

use std::process::Command;

use registry_tests::harness::{System, binary};

const PRINTED: &str = "\
REG_CREATED_NEW_KEY
REG_OPENED_EXISTING_KEY
Grüße the default 42 18446744073709551615 [\"one\", \"two\"] \"os\"
RegValue(REG_BINARY: [1, 2, 3])
12
NotFound
true
NotFound
[\"\", \"bytes\", \"large\", \"list\", \"number\", \"text\"]
number = RegValue(REG_DWORD: 42) 42
[\"Deep\", \"Now\", \"TCP/IP\"]
Some(\"Deep\")
NotFound
0 6 6 24
true
true
42
NotFound
true
true
1 true
true
true
true
Size { width: 1, height: 2 }
true
";

#[test]
fn a_program_for_winreg_does_here_what_it_does_on_windows() {
    let system = System::start();
    let mut command = Command::new(binary("winreg-sample"));
    let output = command.env("REDOX_HOSTED", system.path()).output().expect("the program");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), PRINTED, "{errors}");

    // What it wrote is what regtool sees.
    let get = |key: &str, name: &str| {
        system.output(&["get", &format!("HKCU/Software/Sample/{key}"), name, "--json"])
    };
    assert!(get("Deep/Key", "text").contains("\"Grüße\""));
    assert!(get("Deep/Key", "list").contains("\"multi_sz\""));
    assert!(get("Window", "offset").contains("\"-3\""));
    assert!(get("Window/extra", "b").contains("\"dword\""));
    assert_eq!(system.output(&["list", "HKCU/Software/Sample"]).lines().count(), 4);
}
