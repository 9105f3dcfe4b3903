//! Random histories over layers, links, views, deletion, transactions and watches: in every read, every
//! enumeration and every event of every watcher, registry and model say the same.
//!
//! `MODEL_HISTORIES` says how many are played, or `MODEL_SECONDS` how long; `SEED` makes them those of an
//! earlier run.

mod acting;
mod checking;
mod contents;
mod late;
mod model;
mod names;
mod operations;
mod player;
mod regressions;
mod restoring;
mod transactions;
mod watching;

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use operations::{Op, op};
use player::{Player, Setting};

/// Operations of a history.
const LENGTH: std::ops::Range<usize> = 200..240;

/// The tests among which the histories are divided, so that they are played side by side.
const TESTS: u64 = 4;

/// Of so many histories one is of large commits, beside the others: each takes long.
const CROWDED: u64 = 50;

/// Of so many histories one is played where LCS remembers little, beside the others.
const FORGETFUL: u64 = 10;

thread_local! {
    /// Panics of this thread are expected, and say what they have to say to who catches them.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Plays a history; says where registry and model differ.
fn play(setting: Setting, ops: &[Op]) -> Result<(), Difference> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| match QUIET.get() {
            true => WHERE.set(panic.location().map(ToString::to_string).unwrap_or_default()),
            false => others(panic),
        }));
    });
    QUIET.set(true);
    let played = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut player = Player::new(setting);
        for (step, op) in ops.iter().enumerate() {
            player.play(step, op);
        }
        player.finish();
    }));
    QUIET.set(false);
    played.map_err(|reason| {
        let text = reason.downcast_ref::<String>().cloned();
        let text = text.or_else(|| Some((*reason.downcast_ref::<&str>()?).into()));
        Difference { at: WHERE.take(), text: text.unwrap_or_default() }
    })
}

thread_local! {
    /// Where the last quiet panic was.
    static WHERE: Cell<String> = const { Cell::new(String::new()) };
}

/// How registry and model differ, and where that was found.
#[derive(Debug)]
struct Difference {
    at: String,
    text: String,
}

/// A part of a history that still fails there, without what is not needed for that.
fn shrink(setting: Setting, mut ops: Vec<Op>, place: &str) -> Vec<Op> {
    let mut length = ops.len();
    while length > 0 {
        let mut at = 0;
        let mut left_out_any = false;
        while at < ops.len() {
            let end = ops.len().min(at + length);
            let fewer = [&ops[..at], &ops[end..]].concat();
            if play(setting, &fewer).is_err_and(|difference| difference.at == place) {
                ops = fewer;
                left_out_any = true;
            } else {
                at = end;
            }
        }
        if length > 1 || !left_out_any {
            length /= 2;
        }
    }
    ops
}

/// Plays a share of the histories.
fn histories(test: u32, share: u64, setting: impl Strategy<Value = Setting>) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed = number("SEED").unwrap_or(now);
    let histories = number("MODEL_HISTORIES").unwrap_or(10_000);
    let until =
        number("MODEL_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    println!("SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..12].copy_from_slice(&test.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let histories_of_it = (setting, vec(op(), LENGTH));
    let mut played = 0;
    let share = histories.div_ceil(share);
    while until.map_or(played < share, |until| Instant::now() < until) {
        let history = histories_of_it.new_tree(&mut runner).expect("a history");
        let (setting, ops) = history.current();
        if let Err(Difference { at, text }) = play(setting, &ops) {
            let ops = shrink(setting, ops, &at);
            let shortest = play(setting, &ops).expect_err("it fails").text;
            let lines: Vec<String> = ops.iter().map(|op| format!("{op:?},")).collect();
            let lines = lines.join("\n");
            panic!(
                "SEED={seed}, history {played}: {at}: {text}\n\n{shortest}\n{setting:?}\n{lines}"
            );
        }
        played += 1;
    }
    println!("{played} histories");
}

fn setting() -> impl Strategy<Value = Setting> {
    let depth = prop::option::weighted(0.2, 1..3_u32);
    (any::<bool>(), depth).prop_map(|(sealed, depth)| Setting {
        queue: None,
        burst: None,
        depth,
        sealed,
        crowded: false,
        reads_events: true,
        forgetful: false,
    })
}

#[test]
fn registry_and_model_say_the_same_in_a_first_share_of_histories() {
    histories(0, TESTS, setting());
}

#[test]
fn registry_and_model_say_the_same_in_a_second_share_of_histories() {
    histories(1, TESTS, setting());
}

#[test]
fn registry_and_model_say_the_same_in_a_third_share_of_histories() {
    histories(2, TESTS, setting());
}

#[test]
fn registry_and_model_say_the_same_where_events_are_left_unread_and_queues_are_small() {
    let small = |setting| Setting { queue: Some(16), reads_events: false, ..setting };
    histories(3, TESTS, setting().prop_map(small));
}

#[test]
fn registry_and_model_say_the_same_where_some_commits_change_more_than_a_watcher_is_told() {
    let crowded = |setting| Setting { burst: Some(256), crowded: true, ..setting };
    histories(4, CROWDED, setting().prop_map(crowded));
}

#[test]
fn registry_and_model_say_the_same_where_more_is_said_than_is_remembered() {
    let forgetful = |setting| Setting { forgetful: true, ..setting };
    histories(5, FORGETFUL, setting().prop_map(forgetful));
}
