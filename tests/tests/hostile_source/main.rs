//! A source that lies in every way, in one LCS with an honest one whose clients notice nothing.

mod lies;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hosted as _;
use lcs_abi::rsi::Refusal;
use libredox::errno::{EACCES, ENODEV};
use libreg::security::Parts;
use libreg::{Access, CreateKey, Error, Key, SetValue, ValueType};
use loregd::hive::Hive;
use registry_tests::daemons::{loregd, root_directory};
use registry_tests::dice::{Dice, setting};
use registry_tests::eventually::eventually;
use registry_tests::harness::session_in;
use registry_tests::memory::{Memory, descriptors};
use registry_tests::puppet::{Decision, Puppet};
use registry_tests::registry::{create, registry};
use registry_tests::users::{as_user, can_become_others};

use lies::Liar;

const ALICE: u32 = 2_000_001;

/// How long callers of the liar wait when it says nothing, and nobody else does.
const PATIENCE: Duration = Duration::from_secs(4);

/// How much LCS may grow: some frames of the greatest length for each of the liar's clients at a time, and
/// what its allocator keeps of that.
const MOST_AT_A_TIME: u64 = 384 << 20;
const MOST_KEPT: u64 = 96 << 20;

fn put(key: &Key, name: &str, data: &[u8]) -> Result<u64, Error> {
    key.set_value(name, ValueType::Binary.code(), data, &SetValue::default())
}

#[test]
fn a_source_that_lies_in_every_way_harms_only_its_own_clients() {
    session_in(
        |root| root.daemon("lcs-scheme", &["--log", "info"]),
        |session| {
            let dice = Dice::new();
            let seconds = Duration::from_secs(setting("SECONDS").unwrap_or(8));
            let _loregd = loregd(&[]);
            let settings = create(r"Machine\System\Registry");
            let patience = (PATIENCE.as_millis() as u32).to_le_bytes();
            let (dword, how) = (ValueType::Dword.code(), SetValue::default());
            settings.set_value("RequestTimeoutMs", dword, &patience, &how).expect("a setting");
            create(r"Machine\Software");
            let handles = || registry().status().expect("a status").details.expect("all").handles;
            let before = (handles(), descriptors(session.daemon), Memory::of(session.daemon));

            let (over, rounds) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
            let evil = vec![Hive::in_memory("Evil").expect("a hive")];
            let evil = thread::scope(|scope| {
                let (over, rounds) = (&over, &rounds);
                let liars_dice = dice.for_number(0);
                let liar = scope.spawn(move || live_as_liar(liars_dice, evil, over, rounds));
                for number in 1..=3 {
                    let dice = dice.for_number(number);
                    scope.spawn(move || use_evil(dice, over));
                }
                let honest: Vec<_> =
                    (0..2).map(|number| scope.spawn(move || use_machine(number, over))).collect();
                if can_become_others() {
                    let dice = dice.for_number(9);
                    scope.spawn(move || as_user(ALICE, ALICE, || gain_nothing(dice, over)));
                }
                let started = Instant::now();
                eventually("the end", || (started.elapsed() > seconds).then_some(()));
                over.store(true, Ordering::Relaxed);
                for client in honest {
                    let (steps, longest) = client.join().expect("an honest client");
                    eprintln!("an honest client: {steps} rounds, the longest wait {longest:?}");
                }
                eventually("the liar's end", || {
                    // If it still serves, this is its occasion to stop.
                    let _ = registry().open_key(r"Evil\Last", Access::KEY_READ);
                    liar.is_finished().then_some(())
                });
                liar.join().expect("the liar")
            });
            let after = Memory::of(session.daemon);
            eprintln!("{rounds:?} connections of the liar; {:?}, then {after:?}", before.2);

            // The same LCS, with nothing held and nothing stuck.
            eventually("the handles' return", || (handles() == before.0).then_some(()));
            eventually("the descriptors' return", || {
                (descriptors(session.daemon) <= before.1).then_some(())
            });
            let mut honest = Puppet::connect_with(&["Evil"], evil);
            honest.claim().expect("an accepted claim");
            honest.register().expect("an accepted registration");
            honest.serve(|_, _| Decision::Answer);
            put(&create(r"Evil\After"), "v", b"after").expect("a write");
            assert_eq!(create(r"Evil\After").value("v").expect("the value").data, b"after");
            assert!(after.peak - before.2.resident < MOST_AT_A_TIME, "{before:?}, {after:?}");
            let kept = after.resident.saturating_sub(before.2.resident);
            assert!(kept < MOST_KEPT, "{before:?}, {after:?}");
            let log = root_directory().join("var/log/lcs-scheme.log");
            let log = fs::read_to_string(log).expect("the log");
            assert!(!log.contains("panic"), "{log}");
        },
    );
}

/// Claims, registers, lies, and begins anew, until it is over; gives the hives back.
fn live_as_liar(
    mut dice: Dice,
    mut hives: Vec<Hive>,
    over: &Arc<AtomicBool>,
    rounds: &AtomicUsize,
) -> Vec<Hive> {
    while !over.load(Ordering::Relaxed) {
        rounds.fetch_add(1, Ordering::Relaxed);
        let mut puppet = Puppet::connect_with(&["Evil"], hives);
        // Its predecessor's end may not have been heard of yet.
        eventually("a claim", || puppet.claim_again().ok());
        if dice.below(8) == 0 {
            let most = [u64::MAX, 1 << 63, (1 << 63) - 1][dice.below(3) as usize];
            assert_eq!(puppet.register_as(|_| most), Err(Refusal::Invalid));
            hives = puppet.give_back();
            continue;
        }
        let honest = dice.below(4) != 0;
        let max_sequence = |hive: &Hive| if honest { hive.max_sequence() } else { 0 };
        puppet.register_as(max_sequence).expect("an accepted registration");
        let (number, over) = (dice.below(1 << 30), Arc::clone(over));
        let mut liar = Liar::new(dice.for_number(number));
        let serving = puppet.serve(move |header, request| {
            if over.load(Ordering::Relaxed) { Decision::Stop } else { liar.decide(header, request) }
        });
        hives = serving.join().expect("the hives");
    }
    hives
}

/// Does everything there is with the liar's hive. Whatever comes of it, it comes, and as an error that can be.
fn use_evil(mut dice: Dice, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let started = Instant::now();
        if let Err(error) = use_evil_once(&mut dice) {
            let errno = error.errno();
            assert!(errno.is_some_and(|errno| errno != ENODEV), "{error}: {errno:?}");
        }
        assert!(started.elapsed() < Duration::from_secs(50), "a client of the liar hangs");
    }
}

fn use_evil_once(dice: &mut Dice) -> Result<(), Error> {
    let transaction = (dice.below(4) == 0).then(|| registry().begin()).transpose()?;
    let outside = registry();
    let registry = transaction.as_ref().map_or(&outside, |transaction| transaction.registry());
    let paths = ["Evil", r"Evil\a", r"Evil\a\b", r"Evil\c"];
    let path = paths[dice.below(4) as usize];
    let key = match dice.below(2) {
        0 => registry.open_key(path, Access::KEY_ALL_ACCESS)?,
        _ => registry.create_key(path, Access::KEY_ALL_ACCESS, &CreateKey::default())?,
    };
    for _ in 0..dice.below(12) {
        let name = ["", "v", "w"][dice.below(3) as usize];
        match dice.below(12) {
            0..=2 => drop(put(&key, name, &vec![1; 1 << dice.below(20)])?),
            3 | 4 => drop(key.value(name)?),
            5 => key.values().take(300).try_for_each(|value| value.map(drop))?,
            6 => {
                let counts = dice.below(2) == 0;
                key.subkeys(counts).take(300).try_for_each(|subkey| subkey.map(drop))?;
            }
            7 => drop(key.info()?),
            8 => key.delete_value(name, None)?,
            9 => {
                let sd = key.security(Parts::DACL)?;
                key.set_security(Parts::DACL, &sd)?;
            }
            10 => drop(key.create_key("d", Access::KEY_READ, &CreateKey::default())?),
            _ => key.delete(None)?,
        }
    }
    transaction.map_or(Ok(()), |transaction| transaction.commit())
}

/// Uses what the honest source serves, which is all the time what this client made of it; gives how often,
/// and how long it waited at most.
fn use_machine(number: u32, over: &AtomicBool) -> (u32, Duration) {
    let path = format!(r"Machine\Software\Client{number}");
    let key = create(&path);
    let (mut step, mut longest) = (0_u32, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        let started = Instant::now();
        step += 1;
        let data = [step.to_le_bytes(), number.to_le_bytes()].concat();
        put(&key, "v", &data).expect("a write");
        assert_eq!(key.value("v").expect("a read").data, data);
        assert_eq!(key.values().count(), 1);
        let transaction = registry().begin().expect("a transaction");
        let inside = transaction.registry().open_key(&path, Access::KEY_ALL_ACCESS);
        let inside = inside.expect("the key in a transaction");
        put(&inside, "v", b"in a transaction").expect("a write in a transaction");
        assert_eq!(key.value("v").expect("a read").data, data);
        transaction.commit().expect("a commit");
        let read = create(&path).value("v").expect("a read of what was committed");
        assert_eq!(read.data, b"in a transaction");
        longest = longest.max(started.elapsed());
    }
    (step, longest)
}

/// An ordinary user, who has what the descriptors of the liar's keys grant, and nothing else.
fn gain_nothing(mut dice: Dice, over: &AtomicBool) {
    let paths = ["Evil", r"Evil\a", r"Evil\a\b", r"Evil\c", r"Machine\Software", "Machine"];
    while !over.load(Ordering::Relaxed) {
        let path = paths[dice.below(6) as usize];
        let honest = path.starts_with("Machine");
        let rights = [Access::SET_VALUE, Access::CREATE_SUB_KEY, Access::WRITE_DAC, Access::DELETE];
        let denied = registry().open_key(path, rights[dice.below(4) as usize]);
        let errno = denied.map(drop).expect_err("a right that nobody granted").errno();
        assert!(!honest || errno == Some(EACCES), "{path}: {errno:?}");
        match registry().open_key(path, Access::MAXIMUM_ALLOWED) {
            Ok(key) => {
                if let Ok(info) = key.info() {
                    let granted = Access::from_bits_retain(info.access);
                    assert!((granted - Access::KEY_READ).is_empty(), "{path}: {granted:?}");
                }
            }
            Err(error) => assert!(!honest, "{path}: {error}"),
        }
    }
}
