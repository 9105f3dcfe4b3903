//! A client that does what its dice say, and writes down what came of it.

use libredox::errno::{EAGAIN, EINVAL, EIO, ETIMEDOUT};
use libreg::{Access, Error, Key, Registry, SetValue, Transaction, ValueType};
use registry_tests::dice::Dice;
use registry_tests::monotonic::nanoseconds;
use registry_tests::registry::{registry, took_effect};

use super::disturbance::Disturbance;
use super::history::{Event, Moment, Recorder};
use super::spec::{Change, Conditions, Effect, Operation, REGISTERS, Register, Written};

/// Names of values, in each key.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// The keys of a history.
pub const KEYS: usize = REGISTERS / NAMES.len();

/// What a client saw last in a register: the data, and the sequence number; 0 if there was nothing.
#[derive(Clone, Copy, Default)]
struct Seen {
    value: Option<Written>,
    sequence: u64,
}

/// Why an operation has no certain answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// A condition did not hold.
    Conflict,
    /// loregd died.
    Death,
    /// loregd did not answer in time.
    Late,
}

/// A client in one history.
pub struct Client<'a> {
    pub number: usize,
    pub dice: Dice,
    pub recorder: &'a Recorder,
    pub disturbance: &'a Disturbance<'a>,
    pub registry: Registry,
    /// The paths of the keys, and its own handles of them.
    pub paths: &'a [String; KEYS],
    pub keys: [Key; KEYS],
    /// What it writes is this and a little more.
    pub first_value: u64,
    seen: [Seen; REGISTERS],
    written: u64,
}

impl<'a> Client<'a> {
    pub fn new(
        number: usize,
        dice: Dice,
        recorder: &'a Recorder,
        disturbance: &'a Disturbance<'a>,
        paths: &'a [String; KEYS],
    ) -> Client<'a> {
        let registry = registry();
        let open = |path: &String| {
            registry
                .open_key(path, Access::KEY_ALL_ACCESS)
                .unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let keys = paths.each_ref().map(open);
        let (first_value, seen) = ((number as u64 + 1) << 16, Default::default());
        Client {
            number,
            dice,
            recorder,
            disturbance,
            registry,
            paths,
            keys,
            first_value,
            seen,
            written: 0,
        }
    }

    /// Does this many things.
    pub fn work(mut self, steps: usize) {
        for _ in 0..steps {
            self.disturbance.before_operation();
            let register = self.register();
            match self.dice.below(12) {
                0..3 => self.read(register),
                3..5 => self.write(register, false),
                5..7 => self.write(register, true),
                7 => self.delete(register),
                _ => self.transact(),
            }
        }
    }

    fn register(&mut self) -> Register {
        self.dice.below(REGISTERS as u64) as Register
    }

    fn fresh(&mut self) -> Written {
        self.written += 1;
        Written(self.first_value + self.written)
    }

    fn trouble(&self, error: &Error) -> Trouble {
        match error.errno() {
            Some(EAGAIN) => Trouble::Conflict,
            Some(EIO) => Trouble::Death,
            Some(ETIMEDOUT) => Trouble::Late,
            _ => panic!("client {}: {error}", self.number),
        }
    }

    /// Goes on when loregd is back.
    fn after_trouble(&self, trouble: Trouble) {
        match trouble {
            Trouble::Conflict => {}
            Trouble::Death => self.disturbance.wait_for_return(),
            Trouble::Late => self.disturbance.thaw(),
        }
    }

    fn record(&self, called: Moment, returned: Option<Moment>, operation: Operation) {
        self.recorder.record(Event { client: self.number, called, returned, operation });
    }

    fn read(&mut self, register: Register) {
        let called = nanoseconds();
        let found = find(&self.keys[register / NAMES.len()], register);
        let _ = self.found(register, called, found);
    }

    /// Writes down what a read of what is committed found.
    fn found(
        &mut self,
        register: Register,
        called: Moment,
        found: Result<Seen, Error>,
    ) -> Result<(), Trouble> {
        let returned = nanoseconds();
        match found {
            Ok(seen) => {
                if let Some(value) = seen.value {
                    self.recorder.saw(value, seen.sequence);
                }
                self.seen[register] = seen;
                self.record(called, Some(returned), Operation::Read(register, seen.value));
                Ok(())
            }
            Err(error) => {
                let trouble = self.trouble(&error);
                self.after_trouble(trouble);
                Err(trouble)
            }
        }
    }

    fn write(&mut self, register: Register, conditional: bool) {
        let value = self.fresh();
        let seen = conditional.then_some(self.seen[register]);
        let called = nanoseconds();
        let written = set(&self.keys[register / NAMES.len()], register, value, seen);
        let conditions: Conditions = seen.iter().map(|seen| (register, seen.value)).collect();
        if let Ok(sequence) = written {
            self.recorder.saw(value, sequence);
            self.seen[register] = Seen { value: Some(value), sequence };
        }
        self.changed(called, conditions, register, Some(value), written.map(drop));
    }

    fn delete(&mut self, register: Register) {
        let called = nanoseconds();
        let deleted = remove(&self.keys[register / NAMES.len()], register);
        self.changed(called, Vec::new(), register, None, deleted);
    }

    /// Writes down what came of a change of one register.
    fn changed(
        &self,
        called: Moment,
        conditions: Conditions,
        register: Register,
        value: Option<Written>,
        outcome: Result<(), Error>,
    ) {
        let returned = nanoseconds();
        let change = Change { conditions, effects: vec![effect(register, value)] };
        let trouble = outcome.err().map(|error| self.trouble(&error));
        let (returned, operation) = match trouble {
            None => (Some(returned), Operation::Change(change)),
            Some(Trouble::Conflict) => (Some(returned), Operation::Refused(change.conditions)),
            // The dead do nothing any more.
            Some(Trouble::Death) => (Some(returned), Operation::Perhaps(change)),
            Some(Trouble::Late) => (None, Operation::Perhaps(change)),
        };
        self.record(called, returned, operation);
        if let Some(trouble) = trouble {
            self.after_trouble(trouble);
        }
    }

    fn transact(&mut self) {
        let transaction = self.registry.begin().expect("a transaction");
        let mut change = Change { conditions: Vec::new(), effects: Vec::new() };
        for _ in 0..=self.dice.below(4) {
            self.disturbance.before_operation();
            if self.operate_in(&transaction, &mut change).is_err() {
                // Dropped, it has no effect.
                return;
            }
        }
        if self.dice.below(6) > 0 {
            self.disturbance.before_operation();
            self.commit(&transaction, change);
        }
    }

    /// Does one thing in a transaction.
    fn operate_in(
        &mut self,
        transaction: &Transaction,
        change: &mut Change,
    ) -> Result<(), Trouble> {
        let register = self.register();
        let path = &self.paths[register / NAMES.len()];
        let key = transaction.registry().open_key(path, Access::KEY_ALL_ACCESS);
        let key = key.map_err(|error| self.stopped(&error))?;
        let own = change.effects.iter().find(|effect| effect.register == register);
        let value = match self.dice.below(6) {
            0..3 => {
                let called = nanoseconds();
                let found = find(&key, register);
                let Some(own) = own else { return self.found(register, called, found) };
                let found = found.map_err(|error| self.stopped(&error))?;
                assert_eq!(
                    (found.value, found.sequence),
                    (own.value, 0),
                    "client {} reads in a transaction what it wrote there",
                    self.number
                );
                return Ok(());
            }
            3 => {
                remove(&key, register).map_err(|error| self.stopped(&error))?;
                None
            }
            dice => {
                let value = self.fresh();
                let seen = (dice == 5).then_some(self.seen[register]);
                let written = set(&key, register, value, seen);
                assert_eq!(written.map_err(|error| self.stopped(&error))?, 0);
                change.conditions.extend(seen.map(|seen| (register, seen.value)));
                Some(value)
            }
        };
        change.effects.retain(|effect| effect.register != register);
        change.effects.push(effect(register, value));
        Ok(())
    }

    /// An operation in a transaction failed.
    fn stopped(&self, error: &Error) -> Trouble {
        let trouble = self.trouble(error);
        self.after_trouble(trouble);
        trouble
    }

    fn commit(&mut self, transaction: &Transaction, change: Change) {
        let called = nanoseconds();
        let committed = transaction.commit();
        let returned = nanoseconds();
        if change.effects.is_empty() {
            let error = committed.expect_err("a commit of nothing");
            assert_eq!(error.errno(), Some(EINVAL), "a commit of nothing: {error}");
            return;
        }
        let Err(error) = committed else {
            return self.record(called, Some(returned), Operation::Change(change));
        };
        let trouble = self.trouble(&error);
        self.after_trouble(trouble);
        let took_effect = match trouble {
            Trouble::Conflict => {
                return self.record(called, Some(returned), Operation::Refused(change.conditions));
            }
            Trouble::Death | Trouble::Late => took_effect(transaction),
        };
        if took_effect {
            let returned = match trouble {
                Trouble::Late => nanoseconds(),
                _ => returned,
            };
            self.record(called, Some(returned), Operation::Change(change));
        }
    }
}

fn effect(register: Register, value: Option<Written>) -> Effect {
    Effect { register, value, sequence: None }
}

fn name(register: Register) -> &'static str {
    NAMES[register % NAMES.len()]
}

fn find(key: &Key, register: Register) -> Result<Seen, Error> {
    match key.value(name(register)) {
        Ok(value) => {
            let data = value.data.try_into().expect("eight bytes");
            let written = Written(u64::from_le_bytes(data));
            Ok(Seen { value: Some(written), sequence: value.sequence })
        }
        Err(error) if error.is_not_found() => Ok(Seen::default()),
        Err(error) => Err(error),
    }
}

fn set(
    key: &Key,
    register: Register,
    value: Written,
    expected: Option<Seen>,
) -> Result<u64, Error> {
    let how = SetValue { layer: None, expected_sequence: expected.map(|seen| seen.sequence) };
    key.set_value(name(register), ValueType::Qword.code(), &value.0.to_le_bytes(), &how)
}

fn remove(key: &Key, register: Register) -> Result<(), Error> {
    key.delete_value(name(register), None)
}
