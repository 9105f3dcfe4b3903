//! The same operations give the same answers through every door: `libredox` handles, a mount, and `regtool`.

mod door;
mod files;
mod regtool;
mod table;

use hosted as _;
use libreg::{Access, Key, NamedValue};
use registry_tests::daemons;
use registry_tests::handles::{self, root, set};
use registry_tests::harness::{Mount, Process, Root, session_in};
use registry_tests::registry::registry;
use registry_tests::users::can_become_others;

use door::{Ask, Door, Who};
use files::{Files, Libredox, Mounted};
use regtool::Regtool;
use table::{LONGEST, Row, TOO_LONG, There, rows};

fn lcs(root: &Root) -> Process {
    root.daemon("lcs-scheme", &["--log", "debug"])
}

/// A way in, by its name, for whoever asks.
type Opened = (&'static str, Box<dyn Fn(Who) -> Box<dyn Door>>);

/// The doors that are to be had here.
fn doors(mount: Option<&Mount>) -> Vec<Opened> {
    let mut doors: Vec<Opened> = vec![
        ("libredox", Box::new(|who| Box::new(Files { system: Libredox, who }))),
        ("regtool", Box::new(|who| Box::new(Regtool { who }))),
    ];
    if let Some(mount) = mount {
        let point = mount.path("");
        let open =
            move |who| -> Box<dyn Door> { Box::new(Files { system: Mounted(point.clone()), who }) };
        doors.push(("mount", Box::new(open)));
    }
    doors
}

/// Makes a scratch key with what a row wants there.
fn prepare(scratch: &str, row: &Row) {
    let root = root();
    let key = |place: &[&str]| {
        let path = place.iter().fold(scratch.to_owned(), |path, name| format!("{path}\\{name}"));
        handles::create(&root, &path).expect("a key")
    };
    key(&[]);
    for there in &row.there {
        match there {
            There::Key(place) => drop(key(place)),
            There::Value(place, value_type, data) => {
                let (name, above) = place.split_last().expect("a name");
                set(&key(above), None, name, *value_type, data).expect("a value");
            }
        }
    }
}

/// Asks a row's questions at a door.
fn go_through(name: &str, door: &dyn Door, scratch: &str, row: &Row) {
    for (number, (ask, expected)) in row.steps.iter().enumerate() {
        let answer = door.ask(scratch, *ask);
        assert_eq!(answer, *expected, "{name}: {}, step {number}: {ask:?}", row.about);
    }
}

/// What is below a key, by path, name, type and data.
fn below(key: &Key, path: &str, all: &mut Vec<(String, String, u32, Vec<u8>)>) {
    let values = key.values().map(|value| value.expect("a value"));
    all.extend(values.map(|NamedValue { name, value_type, data, .. }| {
        (path.to_owned(), name, value_type, data)
    }));
    for subkey in key.subkeys(false) {
        let name = subkey.expect("a key").name;
        let path = format!("{path}\\{name}");
        all.push((path.clone(), String::new(), u32::MAX, Vec::new()));
        below(&key.open_key(&name, Access::KEY_READ).expect("a key"), &path, all);
    }
}

fn all_below(scratch: &str) -> Vec<(String, String, u32, Vec<u8>)> {
    let mut all = Vec::new();
    let key = registry().open_key(scratch, Access::KEY_READ).expect("the scratch key");
    below(&key, "", &mut all);
    all
}

#[test]
fn every_door_gives_the_same_answers_and_leaves_the_same_registry() {
    session_in(lcs, |_| {
        let _loregd = daemons::loregd(&[]);
        handles::create(&root(), r"Machine\Doors").expect("a key");
        let mount = Mount::of(&daemons::root_directory());
        let doors = doors(mount.as_ref());
        let others = can_become_others();
        for (number, row) in rows().iter().enumerate() {
            if row.who == Who::Other && !others {
                continue;
            }
            let mut left = Vec::new();
            for (name, open) in &doors {
                let scratch = format!(r"Machine\Doors\{name} {number}");
                prepare(&scratch, row);
                go_through(name, &*open(row.who), &scratch, row);
                left.push((name, all_below(&scratch)));
            }
            let (first, rest) = left.split_first().expect("a door");
            for (name, all) in rest {
                assert_eq!(all, &first.1, "{} left by {name} and {}", row.about, first.0);
            }
        }
    });
}

#[test]
fn the_table_asks_everything_and_expects_every_error() {
    use rustix::io::Errno;
    let rows = rows();
    let steps = || rows.iter().flat_map(|row| &row.steps);
    for errno in [
        Errno::ACCESS,
        Errno::NOTEMPTY,
        Errno::ISDIR,
        Errno::NOTDIR,
        Errno::NOENT,
        Errno::EXIST,
        Errno::INVAL,
        Errno::NAMETOOLONG,
    ] {
        assert!(steps().any(|(_, answer)| *answer == Err(errno)), "{errno:?}");
    }
    let kinds: [fn(&Ask) -> bool; 7] = [
        |ask| matches!(ask, Ask::Read(_)),
        |ask| matches!(ask, Ask::Write(..)),
        |ask| matches!(ask, Ask::List(_)),
        |ask| matches!(ask, Ask::Stat(_)),
        |ask| matches!(ask, Ask::MakeKey(_)),
        |ask| matches!(ask, Ask::RemoveValue(_)),
        |ask| matches!(ask, Ask::RemoveKey(_)),
    ];
    for (number, kind) in kinds.iter().enumerate() {
        let mut of_kind = steps().filter(|(ask, _)| kind(ask));
        assert!(of_kind.clone().any(|(_, answer)| answer.is_ok()), "{number}");
        assert!(of_kind.any(|(_, answer)| answer.is_err()), "{number}");
    }
    assert_eq!((LONGEST.len(), TOO_LONG.len()), (255, 256));
}
