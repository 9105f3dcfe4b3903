//! What is there after a storm, and what there has to be.

use libreg::{Access, Key};
use registry_tests::registry::registry;

use super::client::{Attempt, BELOW, CLIENTS, End, KEYS, NAMES, NUMBER};

/// What is there, if it is whole.
pub struct Findings {
    /// What the last transaction that took effect wrote, if there was one.
    last: Option<u64>,
    /// The same, of each client.
    pub of_client: [Option<u64>; CLIENTS],
    /// The sequence numbers of the values, in the order in which a transaction writes them.
    sequences: Vec<u64>,
    /// The highest one of all values.
    highest: u64,
    /// What LCS will give next. It can go back when LCS dies, to the first number that nothing has.
    pub next_sequence: u64,
}

impl Findings {
    /// Looks.
    ///
    /// # Panics
    ///
    /// If part of a transaction is there, and part is not.
    pub fn now() -> Findings {
        let [one, other] = KEYS.map(|path| InKey::read(&open(path)));
        assert_eq!(one.numbers, other.numbers, "one transaction writes all values");
        assert!(
            one.numbers.is_empty() || one.numbers.len() == NAMES.len(),
            "one transaction writes all values: {:x?}",
            one.numbers
        );
        let last = one.numbers.first().copied();
        assert!(one.numbers.iter().all(|number| Some(*number) == last), "{:x?}", one.numbers);
        assert_eq!(one.of_client, other.of_client, "transactions make their keys in both");
        let status = registry().status().expect("a status");
        let next_sequence = status.details.expect("an administrator").next_sequence;
        let sequences = [one.sequences, other.sequences].concat();
        let highest = one.highest.max(other.highest);
        Findings { last, of_client: one.of_client, sequences, highest, next_sequence }
    }
}

/// What is in one of the keys.
struct InKey {
    numbers: Vec<u64>,
    sequences: Vec<u64>,
    highest: u64,
    of_client: [Option<u64>; CLIENTS],
}

impl InKey {
    fn read(key: &Key) -> InKey {
        let values = key.values().map(|value| value.expect("a value"));
        let (numbers, sequences): (Vec<u64>, Vec<u64>) =
            values.map(|value| (from_bytes(value.data), value.sequence)).unzip();
        let mut highest = sequences.iter().copied().max().unwrap_or_default();
        let mut of_client = [None; CLIENTS];
        for subkey in key.subkeys(false) {
            let name = subkey.expect("a subkey").name;
            let number = u64::from_str_radix(&name, 16).expect("a number");
            let own = key.open_key(&name, Access::KEY_READ).expect("a transaction's key");
            let below = own.open_key(BELOW, Access::KEY_READ).expect("the key below");
            for key in [own, below] {
                let value = key.value(NUMBER).expect("the value of a transaction's key");
                assert_eq!(from_bytes(value.data), number);
                highest = highest.max(value.sequence);
            }
            let other = of_client[(number >> 32) as usize - 1].replace(number);
            assert_eq!(
                other, None,
                "each transaction of a client deletes the key of the one before"
            );
        }
        InKey { numbers, sequences, highest, of_client }
    }
}

/// Checks that what is found is what can come of these attempts, and of what was told of some of them.
///
/// # Panics
///
/// If not.
pub fn check(before: &Findings, attempts: &[Attempt], told: &[Option<bool>], found: &Findings) {
    let mut acknowledged = before.of_client;
    for attempt in attempts {
        if matches!(attempt.end, End::Acknowledged(_)) {
            acknowledged[attempt.client] = Some(attempt.number);
        }
    }
    for (client, found) in found.of_client.iter().enumerate() {
        let unknown =
            |attempt: &Attempt| attempt.client == client && matches!(attempt.end, End::Unknown(_));
        let unknown = attempts.iter().find(|attempt| unknown(attempt));
        let unknown = unknown.map(|attempt| attempt.number);
        assert!(
            *found == acknowledged[client] || unknown.is_some() && *found == unknown,
            "client {client}: {:x?} was acknowledged, {unknown:x?} is unknown, {found:x?} is there",
            acknowledged[client]
        );
    }
    for (attempt, told) in attempts.iter().zip(told) {
        if let Some(told) = told {
            let there = found.of_client[attempt.client] == Some(attempt.number);
            assert_eq!(*told, there, "what is told of {:x}: {:?}", attempt.number, attempt.end);
        }
    }
    check_last(before, attempts, found);
    check_sequences(before, found);
}

/// What the values hold was written by a transaction after which no other one was begun and acknowledged.
fn check_last(before: &Findings, attempts: &[Attempt], found: &Findings) {
    let last = attempts.iter().find(|attempt| Some(attempt.number) == found.last);
    let returned = match last.map(|attempt| &attempt.end) {
        Some(End::Acknowledged(returned)) => *returned,
        // Until the storm ended.
        Some(End::Unknown(_)) => u64::MAX,
        Some(End::BeforeCommit(error)) => {
            panic!("{:x?} is there and was not committed: {error}", found.last)
        }
        None => {
            assert_eq!(found.last, before.last, "nobody wrote this");
            0
        }
    };
    for attempt in attempts {
        if matches!(attempt.end, End::Acknowledged(_)) {
            let later = Some(attempt.number) != found.last && attempt.called >= returned;
            assert!(!later, "{:x} came after {:x?}, and is lost", attempt.number, found.last);
        }
    }
    if let Some(last) = found.last {
        let of_client = found.of_client[(last >> 32) as usize - 1];
        assert_eq!(of_client, Some(last), "the values and the keys of a transaction");
    }
}

fn check_sequences(before: &Findings, found: &Findings) {
    let (old, new) = (&before.sequences, &found.sequences);
    assert!(new.is_sorted_by(|one, other| one < other), "in the order of operations: {new:?}");
    if found.last == before.last {
        assert_eq!(old, new, "nothing was written");
    } else {
        assert!(old.last() < new.first(), "{new:?} came after {old:?}");
    }
    let (old, new) = (before.highest, found.highest);
    assert!(new >= old, "a value had {old}, and now none has more than {new}");
    assert!(found.next_sequence > new, "{new} is given again from {}", found.next_sequence);
}

fn open(path: &str) -> Key {
    let key = registry().open_key(path, Access::KEY_READ);
    key.unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn from_bytes(data: Vec<u8>) -> u64 {
    u64::from_le_bytes(data.try_into().expect("eight bytes"))
}
