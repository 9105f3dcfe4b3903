//! A process that reads values through libreg, which gives answers again without asking.
//!
//! `value-reader histories`: for each line `SEED COUNT PATH PATH…` on standard input it reads so many times values
//! `a`, `b` and `c` of these keys, and says of each read `CALLED RETURNED REGISTER VALUE SEQUENCE`, the moments in
//! nanoseconds of the monotonic clock; then `end`.
//!
//! `value-reader newest PATH NAMES SEEN SELF READERS` reads the values 0, 1, … of a key until its standard input ends.
//! The file SEEN has a line of NAMES numbers for what was acknowledged of each value, and one for what each reader has
//! seen: none of them may be newer than what is read afterwards. At the end it says how often it has read.

use std::fs::File;
use std::io::stdin;
use std::os::unix::fs::FileExt;

use anyhow::{Context, ensure};
use hosted as _;
use libredox::errno::{EIO, ENODEV, ENOENT, ETIMEDOUT};
use libreg::{Access, Key, Registry};
use registry_tests::dice::Dice;
use registry_tests::eventually::{eventually, pause};
use registry_tests::monotonic::nanoseconds;

/// Opens a key, which may be away for a while: the registry comes before its hives.
fn open(path: &str) -> Key {
    let key = || Registry::open()?.open_key(path, Access::KEY_READ);
    eventually("the key", || match key() {
        Ok(key) => Some(key),
        Err(error) => {
            let away = matches!(error.errno(), Some(EIO | ENODEV | ENOENT | ETIMEDOUT));
            assert!(away, "{error}");
            None
        }
    })
}

/// What there is to be told: a number and its sequence number, if the value is there.
fn number(key: &Key, name: &str) -> Result<Option<(u64, u64)>, libreg::Error> {
    match key.value(name) {
        Ok(value) => {
            let data = value.data.try_into().expect("eight bytes");
            Ok(Some((u64::from_le_bytes(data), value.sequence)))
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Nobody knows what is there: loregd is away, or does not answer.
fn is_away(error: &libreg::Error) -> bool {
    matches!(error.errno(), Some(EIO | ETIMEDOUT))
}

fn histories() -> anyhow::Result<()> {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    for line in stdin().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let mut dice = Dice::of_seed(words.next().context("no seed")?.parse()?);
        let count: u64 = words.next().context("no count")?.parse()?;
        let keys = words.map(open).collect::<Vec<_>>();
        for _ in 0..count {
            pause(std::time::Duration::from_micros(dice.below(400)));
            let register = dice.below((keys.len() * NAMES.len()) as u64) as usize;
            // Twice, and again: what was asked is given again.
            for _ in 0..=dice.below(3) {
                let called = nanoseconds();
                let found = number(&keys[register / NAMES.len()], NAMES[register % NAMES.len()]);
                let returned = nanoseconds();
                match found {
                    Ok(found) => {
                        let (value, sequence) = found.unwrap_or_default();
                        println!("{called} {returned} {register} {value} {sequence}");
                    }
                    Err(error) => ensure!(is_away(&error), "{error}"),
                }
            }
        }
        println!("end");
    }
    Ok(())
}

/// The newest numbers that are known of each value, by whom.
struct Seen {
    file: File,
    names: u64,
}

impl Seen {
    fn at(&self, by: u64, name: u64) -> anyhow::Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, (by * self.names + name) * 8)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn put(&self, by: u64, name: u64, number: u64) -> anyhow::Result<()> {
        Ok(self.file.write_all_at(&number.to_le_bytes(), (by * self.names + name) * 8)?)
    }
}

fn newest(path: &str, numbers: &[u64], seen: &str) -> anyhow::Result<()> {
    let &[names, own, readers] = numbers else { anyhow::bail!("NAMES SELF READERS") };
    let file = File::options().read(true).write(true).open(seen)?;
    let (seen, mut key) = (Seen { file, names }, open(path));
    let texts: Vec<String> = (0..names).map(|name| name.to_string()).collect();
    let mut dice = Dice::of_seed(own);
    let (mut reads, mut lost) = (0_u64, 0_u64);
    let end = std::thread::spawn(|| stdin().lines().count());
    while !end.is_finished() {
        let name = dice.below(names);
        for _ in 0..20 {
            let mut newest = 0;
            for by in 0..=readers {
                newest = newest.max(seen.at(by, name)?);
            }
            let found = match number(&key, &texts[name as usize]) {
                Ok(found) => found.map_or(0, |(number, _)| number),
                Err(error) if is_away(&error) => break,
                Err(error) if error.errno() == Some(ENODEV) => {
                    lost += 1;
                    key = open(path);
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            ensure!(found >= newest, "{name} was {newest}, and {found} is read afterwards");
            seen.put(own, name, found)?;
            reads += 1;
        }
    }
    println!("{reads} {lost}");
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["histories"] => histories(),
        ["newest", path, names, seen, own, readers] => {
            let numbers = [names, own, readers].map(str::parse).into_iter();
            newest(path, &numbers.collect::<Result<Vec<_>, _>>()?, seen)
        }
        _ => anyhow::bail!("see the source"),
    }
}
