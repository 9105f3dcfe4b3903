//! Daemons that are killed while a layer ends: it is there whole or it is gone, and what was in it never comes
//! back.

use std::thread;
use std::time::Duration;

use hosted as _;
use libredox::errno::{EBUSY, ENOENT};
use libreg::{Access, CreateKey, Error, Key, Registry, SetValue, ValueType};
use registry_tests::daemons::{self, check_hives, kill, loregd, machine_is_up};
use registry_tests::dice::{Dice, setting};
use registry_tests::eventually::eventually;
use registry_tests::harness::{Root, session_of_rounds};
use registry_tests::registry::registry;

const LAYER: &str = r"Machine\System\Registry\Layers\Role";
const PENDING: &str = r"Machine\System\Registry\PendingDeletion\Role";

/// The keys whose values the layer changes, in two hives.
const KEYS: [&str; 2] = [r"Machine\Layered", r"Users\Layered"];

/// A key that only the layer has.
const ONLY: &str = r"Machine\Layered\Only";

/// How many values of each key the layer has.
const VALUES: usize = 40;

fn all(registry: &Registry, path: &str, layer: Option<&str>) -> Result<Key, Error> {
    let how = CreateKey { layer, ..CreateKey::default() };
    registry.create_key(path, Access::KEY_ALL_ACCESS, &how)
}

/// Writes all values into a layer, and makes the key that only it has.
fn fill(layer: Option<&str>) -> Result<(), Error> {
    let registry = Registry::open()?;
    for path in KEYS {
        let key = all(&registry, path, None)?;
        for number in 0..VALUES {
            let how = SetValue { layer, ..SetValue::default() };
            let data = layer.unwrap_or("base").as_bytes();
            key.set_value(&number.to_string(), ValueType::Sz.code(), data, &how)?;
        }
    }
    if layer.is_some() {
        all(&registry, ONLY, layer)?;
    }
    Ok(())
}

/// Whether a key is there.
fn is_there(path: &str) -> bool {
    match registry().open_key(path, Access::READ_CONTROL) {
        Ok(_) => true,
        Err(error) if error.errno() == Some(ENOENT) => false,
        Err(error) => panic!("{path}: {error}"),
    }
}

/// Fails unless every value is what `layer` says, and the key that only the layer has is there with it.
fn check(layer: Option<&str>) {
    for path in KEYS {
        let key = registry().open_key(path, Access::KEY_READ).expect("a key");
        let values: Vec<_> = key.values().collect::<Result<_, _>>().expect("values");
        assert_eq!(values.len(), VALUES);
        for value in values {
            let data = String::from_utf8(value.data).expect("text");
            assert_eq!(data, layer.unwrap_or("base"), r"{path}\{}", value.name);
        }
    }
    assert_eq!(is_there(ONLY), layer.is_some(), "{ONLY}");
}

/// Makes the layer, when its name is free again.
fn make() {
    eventually("a free name", || match all(&registry(), LAYER, None) {
        Ok(_) => Some(()),
        Err(error) if error.errno() == Some(EBUSY) => None,
        Err(error) => panic!("{error}"),
    });
}

fn delete() -> Result<(), Error> {
    Registry::open()?.open_key(LAYER, Access::DELETE)?.delete(None)
}

#[test]
fn a_layer_that_ends_while_daemons_are_killed_is_there_whole_or_gone_for_good() {
    let rounds = setting("KILLS").unwrap_or(20);
    session_of_rounds(rounds, Root::lcs, move |_| {
        let mut dice = Dice::new();
        // The first one is not ours.
        let mut own_lcs = None;
        let mut source = loregd(&[]);
        fill(None).expect("a registry that works");
        let (mut gone, mut whole) = (0, 0);
        for round in 0..rounds {
            make();
            check(None);
            fill(Some("Role")).expect("a registry that works");
            check(Some("Role"));
            let deleting = thread::spawn(delete);
            // Any moment is as good as any other: before, in the middle, after.
            thread::sleep(Duration::from_micros(dice.below(8000)));
            let victims = dice.below(4);
            if victims < 3 {
                source.kill();
            }
            if victims >= 2 {
                kill("lcs-scheme");
            }
            let deleted = deleting.join().expect("no panic");
            source.kill();
            check_hives();
            if victims >= 2 {
                own_lcs = Some(daemons::lcs());
            }
            source = loregd(&[]);
            assert!(machine_is_up(), "loregd is ready and does not serve");
            if is_there(LAYER) {
                assert!(deleted.is_err(), "round {round}: the deletion was acknowledged");
                check(Some("Role"));
                delete().expect("a registry that works");
                whole += 1;
            } else {
                gone += 1;
            }
            check(None);
            eventually("the end of the deletion", || (!is_there(PENDING)).then_some(()));
        }
        println!("{gone} deletions had happened, {whole} had not");
        make();
        check(None);
        source.kill();
        check_hives();
        drop(own_lcs);
    });
}
