//! A program that is written for the crate `winreg`, with libreg in its place, in a real system.

use std::process::Command;

use libreg::enums::KEY_ALL_ACCESS;
use libreg::{Access, CreateKey, HKLM, RegKey, transaction};
use registry_tests::daemons::loregd;
use registry_tests::harness::{Root, System, binary, session_in};
use registry_tests::registry::{create, registry};

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

fn below(key: &RegKey) -> Vec<String> {
    key.enum_keys().collect::<Result<_, _>>().expect("names")
}

#[test]
fn a_tree_is_copied_as_it_was_also_into_itself() {
    session_in(Root::lcs, |_| {
        let _source = loregd(&[]);
        create(r"Machine\Software");
        let (tree, _) = HKLM.create_subkey(r"Software\Tree").expect("a key");
        tree.set_value("v", &1_u32).expect("a write");
        tree.create_subkey(r"A\B").expect("a key");
        let (copy, _) = tree.create_subkey("Copy").expect("a key");
        tree.copy_tree("", &copy).expect("a copy");
        assert_eq!(below(&copy), ["A", "Copy"]);
        assert_eq!(copy.get_value::<u32, _>("v").expect("a value"), 1);
        assert_eq!(below(&copy.open_subkey("Copy").expect("a key")), [""; 0]);

        let transaction = transaction::Transaction::new().expect("a transaction");
        let inside = r"Software\Tree\Inside";
        let inside = HKLM.create_subkey_transacted(inside, &transaction).expect("a key").0;
        let tree = HKLM.open_subkey_transacted(r"Software\Tree", &transaction).expect("a key");
        tree.copy_tree("", &inside).expect("a copy");
        assert_eq!(below(&inside), ["A", "Copy", "Inside"]);
        assert_eq!(below(&inside.open_subkey(r"Copy\A").expect("a key")), ["B"]);
        assert_eq!(below(&inside.open_subkey("Inside").expect("a key")), [""; 0]);
        transaction.commit().expect("a commit");
        let committed = HKLM.open_subkey(r"Software\Tree\Inside").expect("a key");
        assert_eq!(below(&committed), ["A", "Copy", "Inside"]);
    });
}

#[test]
fn a_key_of_ours_in_a_transaction_stays_in_it() {
    session_in(Root::lcs, |_| {
        let _source = loregd(&[]);
        create(r"Machine\Software");
        HKLM.create_subkey(r"Software\Target\Below").expect("a key");
        let transaction = registry().begin().expect("a transaction");
        let how = CreateKey::default();
        let key = transaction.registry().create_key(
            r"Machine\Software\Ours",
            Access::KEY_ALL_ACCESS,
            &how,
        );
        let key = RegKey::from(key.expect("a key"));
        let (made, _) = key.create_subkey(r"A\B").expect("a key");
        made.set_value("v", &1_u32).expect("a write");
        let link = CreateKey { link: Some(r"Machine\Software\Target"), ..how };
        let ours = key.key(Access::CREATE_SUB_KEY).expect("a right");
        ours.create_key(r"A\Link", Access::KEY_READ, &link).expect("a link");
        let (copy, _) = key.create_subkey_with_flags("Copy", KEY_ALL_ACCESS).expect("another key");
        key.copy_tree("A", &copy).expect("a copy");
        assert_eq!(below(&copy), ["B", "Link"]);
        assert_eq!(below(&copy.open_subkey("Link").expect("where it leads")), ["Below"]);
        // It takes the links, and not what they lead to.
        key.delete_subkey_all("A").expect("a deletion");
        key.delete_subkey_all("Copy").expect("a deletion");
        assert_eq!(below(&key), [""; 0]);
        transaction.commit().expect("a commit");
        assert_eq!(below(&HKLM.open_subkey(r"Software\Ours").expect("a key")), [""; 0]);
        assert_eq!(below(&HKLM.open_subkey(r"Software\Target").expect("a key")), ["Below"]);
    });
}
