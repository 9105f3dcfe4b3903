//! What the keys of a root have in common: how long its LCS is known to live, and the answers that may be given again
//! without asking (DESIGN §15).
//!
//! An answer comes with a guard, a word of the generation page and its content. LCS steps the word when it sends
//! anything that may change the answer, and the page is LCS's own memory, mapped here. So as long as the word is
//! unchanged nothing has happened; provided that there is still an LCS that would step it, of which the last message
//! that it answered is proof for a second.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use lcs_abi::call::{GUARD_MS, Guard, Guarded};
use libredox::Fd;

use crate::generations::Page;
use crate::{KeyInfo, Value};

/// The most answers that are kept of a key's values.
const MOST_OF_KEY: usize = 16;

/// A value that is larger, in bytes, is not kept.
const LARGEST: usize = 4096;

/// How much all keys of a root keep together, in bytes.
const MOST: usize = 1 << 20;

/// What a kept answer takes beside its texts and its data, in bytes.
const BESIDE: usize = 128;

/// Nothing was confirmed yet.
const NEVER: u64 = 0;

/// For how long LCS is known to live after it was asked what it answered, in nanoseconds.
const LIVES: u64 = GUARD_MS * 1_000_000;

/// A moment, in nanoseconds; never [`NEVER`].
fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64 + 1
}

/// A root, and what is known of the LCS behind it.
pub(crate) struct Connection {
    pub(crate) root: Fd,
    /// The root is a transaction's.
    pub(crate) is_of_transaction: bool,
    page: OnceLock<Option<Page>>,
    /// When LCS was asked last what it has answered.
    confirmed: AtomicU64,
    keeps: AtomicBool,
    /// How much is kept, in bytes.
    bytes: AtomicUsize,
}

impl Connection {
    pub(crate) fn new(root: Fd, is_of_transaction: bool) -> Arc<Connection> {
        Arc::new(Connection {
            root,
            is_of_transaction,
            page: OnceLock::new(),
            confirmed: AtomicU64::new(NEVER),
            keeps: AtomicBool::new(true),
            bytes: AtomicUsize::new(0),
        })
    }

    /// Asks LCS, whose answer shows that it lives.
    pub(crate) fn ask<T, E>(&self, ask: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let sent = now();
        let answer = ask();
        if answer.is_ok() {
            self.confirmed.fetch_max(sent, Ordering::Relaxed);
        }
        answer
    }

    /// Whether answers are given again.
    pub(crate) fn keep_answers(&self, keep: bool) {
        self.keeps.store(keep, Ordering::Relaxed);
    }

    fn keeps(&self) -> bool {
        self.keeps.load(Ordering::Relaxed)
    }

    /// Whether an answer is what LCS would answer now.
    fn is_good(&self, guard: Guard) -> bool {
        // Without a page LCS is asked each time.
        let page = self.page.get_or_init(|| Page::map(&self.root)).as_ref();
        page.and_then(|page| page.word(guard.slot)) == Some(guard.generation)
            && now().saturating_sub(self.confirmed.load(Ordering::Relaxed)) < LIVES
    }

    /// Takes room for an answer, if there is some.
    fn take(&self, bytes: usize) -> bool {
        let taken = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = taken + bytes <= MOST;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The answers that a key keeps.
pub(crate) struct Kept {
    connection: Arc<Connection>,
    // Apart, so that a key itself is a constant where one has to be.
    answers: Box<Mutex<Answers>>,
}

#[derive(Default)]
struct Answers {
    values: Vec<KeptValue>,
    info: Option<(Guard, KeyInfo)>,
    /// Which value makes room for the next one.
    oldest: usize,
}

struct KeptValue {
    name: Box<str>,
    guard: Guard,
    value: Value,
}

impl KeptValue {
    fn bytes(&self) -> usize {
        BESIDE + self.name.len() + self.value.data.len() + self.value.layer.len()
    }
}

fn info_bytes(info: &KeyInfo) -> usize {
    let texts = info.details.as_ref().map_or(0, |more| more.name.len() + more.path.len());
    BESIDE + texts
}

impl Kept {
    pub(crate) fn new(connection: &Arc<Connection>) -> Kept {
        Kept { connection: Arc::clone(connection), answers: Box::default() }
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    fn with<R>(&self, f: impl FnOnce(&mut Answers) -> R) -> R {
        // No code between two consistent states panics.
        f(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The value of a name, if that is what LCS would answer.
    pub(crate) fn value(&self, name: &str) -> Option<Value> {
        self.with(|answers| {
            let kept = answers.values.iter().find(|kept| *kept.name == *name)?;
            self.may_give(kept.guard).then(|| kept.value.clone())
        })
    }

    /// What the key is, if that is what LCS would answer.
    pub(crate) fn info(&self) -> Option<KeyInfo> {
        self.with(|answers| {
            let (guard, info) = answers.info.as_ref()?;
            self.may_give(*guard).then(|| info.clone())
        })
    }

    fn may_give(&self, guard: Guard) -> bool {
        self.connection.keeps() && self.connection.is_good(guard)
    }

    /// Keeps what was told of a value, if it may be kept, in place of what was told before.
    pub(crate) fn keep_value(&self, name: &str, told: Guarded<Value>) -> Value {
        let Guarded { answer, guard } = told;
        let guard = guard.filter(|_| self.connection.keeps() && answer.data.len() <= LARGEST);
        let new = guard.map(|guard| KeptValue { name: name.into(), guard, value: answer.clone() });
        self.with(|answers| {
            let known = answers.values.iter().position(|kept| *kept.name == *name);
            if let Some(known) = known {
                self.connection.give_back(answers.values.swap_remove(known).bytes());
            }
            let Some(new) = new else { return };
            if answers.values.len() == MOST_OF_KEY {
                answers.oldest = (answers.oldest + 1) % MOST_OF_KEY;
                let old = answers.values.swap_remove(answers.oldest);
                self.connection.give_back(old.bytes());
            }
            if self.connection.take(new.bytes()) {
                answers.values.push(new);
            }
        });
        answer
    }

    /// Keeps what was told of the key, if it may be kept, in place of what was told before.
    pub(crate) fn keep_info(&self, told: Guarded<KeyInfo>) -> KeyInfo {
        let Guarded { answer, guard } = told;
        let new = guard.filter(|_| self.connection.keeps()).map(|guard| (guard, answer.clone()));
        self.with(|answers| {
            if let Some((_, old)) = answers.info.take() {
                self.connection.give_back(info_bytes(&old));
            }
            answers.info = new.filter(|(_, info)| self.connection.take(info_bytes(info)));
        });
        answer
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let answers = self.answers.get_mut().unwrap_or_else(PoisonError::into_inner);
        let values: usize = answers.values.iter().map(KeptValue::bytes).sum();
        let info = answers.info.as_ref().map_or(0, |(_, info)| info_bytes(info));
        self.connection.give_back(values + info);
    }
}
