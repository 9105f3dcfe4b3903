//! Security descriptors, restricted handles and denials as `libreg` has them.

use libredox::errno::{EACCES, EINVAL, ENOENT};
use libreg::security::{AclPart, Parts, SecurityDescriptor, Sid};
use libreg::{Access, CreateKey, Error, Key, SetValue, ValueType};
use registry_tests::harness::{Process, Root, session_in};
use registry_tests::puppet::{Decision, Puppet};
use registry_tests::registry::{create, registry};

fn lcs(root: &Root) -> Process {
    root.daemon("lcs-scheme", &["--log", "debug"])
}

fn with_machine(body: impl FnOnce()) {
    let _machine = Puppet::in_service(&["Machine"]).serve(|_, _| Decision::Answer);
    body();
}

fn write(key: &Key) -> Result<(), Error> {
    key.set_value("v", ValueType::Sz.code(), b"x", &SetValue::default()).map(drop)
}

fn failure<T>(result: Result<T, Error>) -> Error {
    result.err().expect("an error")
}

#[test]
fn parts_are_read_and_written_each_for_itself() {
    session_in(lcs, |_| {
        with_machine(|| {
            let key = create("Machine\\Key");
            let sd: SecurityDescriptor = "G:BAD:P(A;CI;KA;;;SY)(A;;KR;;;AU)".parse().unwrap();
            key.set_security(Parts::DACL, &sd).unwrap();
            let read = key.security(Parts::OWNER | Parts::GROUP | Parts::DACL).unwrap();
            assert_eq!(read.owner, Some(Sid::SYSTEM));
            assert_ne!(read.group, sd.group);
            assert_eq!(read.only(Parts::DACL), sd.only(Parts::DACL));
            key.set_security(Parts::GROUP, &sd).unwrap();
            assert_eq!(key.security(Parts::GROUP).unwrap(), sd.only(Parts::GROUP));
            assert_eq!(*key.security(Parts::GROUP).unwrap().dacl(), AclPart::Absent);
            assert_eq!(failure(key.security(Parts::empty())).errno(), Some(EINVAL));
            let no_owner = failure(key.set_security(Parts::OWNER, &sd));
            assert_eq!(no_owner.errno(), Some(EINVAL));
            assert_eq!(no_owner.to_string(), "Machine\\Key: not a possible security descriptor");
        });
    });
}

#[test]
fn a_restricted_handle_has_what_is_left_to_it_and_no_more() {
    session_in(lcs, |_| {
        with_machine(|| {
            let key = create("Machine\\Key");
            write(&key).unwrap();
            let reader = key.restrict(Access::KEY_READ, None).unwrap();
            assert_eq!(reader.path(), key.path());
            assert_eq!(reader.info().unwrap().access, Access::KEY_READ.bits());
            reader.value("v").unwrap();

            let denied = failure(write(&reader));
            assert_eq!(denied.errno(), Some(EACCES));
            let missing = reader.missing_rights(&denied).unwrap();
            assert_eq!(missing.to_string(), "SET_VALUE is missing on Machine\\Key");
            // Not by the path: the caller can have it.
            assert_eq!(registry().missing_rights(&denied), None);
            let back = failure(reader.restrict(Access::SET_VALUE | Access::QUERY_VALUE, None));
            assert_eq!(reader.missing_rights(&back).unwrap().rights, Access::SET_VALUE);

            // Of what it may do everywhere, nothing in a layer that was not left to it.
            let nowhere = key.restrict(Access::KEY_ALL_ACCESS, Some(&[])).unwrap();
            assert_eq!(failure(write(&nowhere)).errno(), Some(EACCES));
            assert_eq!(nowhere.missing_rights(&failure(write(&nowhere))), None);
            write(&key.restrict(Access::SET_VALUE, Some(&["base"])).unwrap()).unwrap();
            let unknown = failure(key.restrict(Access::SET_VALUE, Some(&["none"])));
            assert_eq!(unknown.errno(), Some(ENOENT));
            assert_eq!(unknown.to_string(), "Machine\\Key: no such layer");
        });
    });
}

#[test]
fn missing_rights_are_found_out_by_the_path() {
    session_in(lcs, |_| {
        with_machine(|| {
            let set = |path: &str, sddl: &str| {
                let sd: SecurityDescriptor = sddl.parse().unwrap();
                registry()
                    .open_key(path, Access::WRITE_DAC)
                    .and_then(|key| key.set_security(Parts::DACL, &sd))
                    .unwrap();
            };
            create("Machine\\Key");
            set("Machine\\Key", "D:(A;;KR;;;AU)(A;CIIO;KR;;;AU)");
            let missing = |error: Error| {
                assert_eq!(error.errno(), Some(EACCES), "{error}");
                registry().missing_rights(&error).map(|missing| missing.to_string())
            };
            let open = |access| missing(failure(registry().open_key("Machine\\Key", access)));
            let make = |path: &str, access| {
                let how = CreateKey::default();
                missing(failure(registry().create_key(path, access, &how)))
            };
            assert_eq!(
                open(Access::KEY_READ | Access::SET_VALUE | Access::DELETE).unwrap(),
                "SET_VALUE, DELETE are missing on Machine\\Key"
            );
            // What a privilege gives is not missing, though it is no part of all that can be had.
            assert_eq!(
                open(Access::ACCESS_SYSTEM_SECURITY | Access::WRITE_OWNER | Access::SET_VALUE)
                    .unwrap(),
                "SET_VALUE is missing on Machine\\Key"
            );
            assert_eq!(
                open(Access::GENERIC_WRITE).unwrap(),
                "SET_VALUE, CREATE_SUB_KEY are missing on Machine\\Key"
            );
            assert_eq!(
                make("Machine\\Key\\New", Access::MAXIMUM_ALLOWED).unwrap(),
                "CREATE_SUB_KEY is missing on Machine\\Key"
            );
            assert_eq!(
                make("Machine\\Key", Access::SET_VALUE).unwrap(),
                "SET_VALUE is missing on Machine\\Key"
            );
            // The parent lets it be made, and the new key would not grant it.
            set("Machine\\Key", "D:(A;;KA;;;SY)(A;CIIO;KR;;;AU)");
            assert_eq!(
                make("Machine\\Key\\New", Access::SET_VALUE).unwrap(),
                "SET_VALUE is missing on Machine\\Key\\New"
            );
            assert_eq!(make("Machine\\Key\\New", Access::KEY_ALL_ACCESS), None);
        });
    });
}
