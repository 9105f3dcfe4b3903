//! A storm of transactions, with loregd, LCS or both killed in it: what was acknowledged is there whole,
//! what was not is there whole or not at all, and sequence numbers do not go back.
//!
//! `KILLS` in the environment says how many (100 if it does not), `SEED` with which dice.

mod client;
mod findings;

use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::thread;

use client::{Attempt, CLIENTS, Client, End, KEYS};
use findings::{Findings, check};
use hosted as _;
use libredox::errno::{EIO, ENODEV};
use registry_tests::daemons::{self, check_hives, kill, loregd, machine_is_up};
use registry_tests::dice::{Dice, setting};
use registry_tests::harness::{PATIENCE, Process, Root, session_of_rounds};
use registry_tests::registry::{create, registry, took_effect};

/// Who is killed, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victims {
    Loregd,
    Lcs,
    LcsAndLoregd,
    LoregdAndLcs,
}

/// What happened in all storms.
#[derive(Debug, Default)]
struct Figures {
    kills: u64,
    of_lcs: u64,
    acknowledged: u64,
    /// Commits that failed with nobody knowing whether they took effect, and those of them that did.
    unknown: u64,
    unknown_and_there: u64,
}

#[test]
fn every_transaction_in_a_storm_of_kills_is_whole_or_absent_and_whole_if_acknowledged() {
    let kills = setting("KILLS").unwrap_or(100);
    session_of_rounds(kills, Root::lcs, |_| {
        let mut dice = Dice::new();
        // The first one is not ours.
        let mut lcs = None;
        let mut source = loregd(&[]);
        KEYS.iter().for_each(|path| drop(create(path)));
        let mut figures = Figures::default();
        let mut before = Findings::now();
        for number in 0..kills {
            let victims = match dice.below(6) {
                0 => Victims::Lcs,
                1 => Victims::LcsAndLoregd,
                2 => Victims::LoregdAndLcs,
                _ => Victims::Loregd,
            };
            let mut attempts = storm(number, &mut dice, &before, || stop(victims, &mut source));
            check_hives();
            if victims != Victims::Loregd {
                lcs = Some(daemons::lcs());
            }
            source = loregd(&[]);
            assert!(machine_is_up(), "loregd is ready and does not serve");
            let lcs_lives = victims == Victims::Loregd;
            let told = attempts.iter_mut().map(|attempt| {
                let transaction = attempt.transaction.take().filter(|_| lcs_lives);
                transaction.map(|transaction| took_effect(&transaction))
            });
            let told: Vec<Option<bool>> = told.collect();
            let found = Findings::now();
            check(&before, &attempts, &told, &found);
            if lcs_lives {
                let (old, new) = (before.next_sequence, found.next_sequence);
                assert!(new >= old, "the next sequence number was {old} and is {new}");
            }
            count(&mut figures, victims, &attempts, &found);
            before = found;
        }
        drop(lcs);
        eprintln!("{figures:?}");
    });
}

/// Runs all clients until some of their commits were acknowledged, and then ends their work by `stop`.
fn storm(number: u64, dice: &mut Dice, before: &Findings, stop: impl FnOnce()) -> Vec<Attempt> {
    let clock = AtomicU64::new(0);
    let (sender, acknowledged) = mpsc::channel();
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|client| Client::new(client, number, before.of_client[client], sender.clone()))
        .collect();
    thread::scope(|scope| {
        let clients: Vec<_> =
            clients.into_iter().map(|client| scope.spawn(|| client.work(&clock))).collect();
        for _ in 0..dice.below(60) {
            acknowledged.recv_timeout(PATIENCE).expect("an acknowledged commit");
        }
        // The next moments are not all the same: other commits are under way.
        let registry = registry();
        for _ in 0..dice.below(40) {
            registry.status().expect("a status");
        }
        stop();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    })
}

/// Kills; afterwards no process of loregd is there.
fn stop(victims: Victims, source: &mut Process) {
    match victims {
        Victims::Loregd => source.kill(),
        Victims::Lcs => {
            kill("lcs-scheme");
            // It ends when it loses LCS.
            source.wait(PATIENCE).expect("loregd's end");
        }
        Victims::LcsAndLoregd => {
            kill("lcs-scheme");
            source.kill();
        }
        Victims::LoregdAndLcs => {
            source.kill();
            kill("lcs-scheme");
        }
    }
}

fn count(figures: &mut Figures, victims: Victims, attempts: &[Attempt], found: &Findings) {
    figures.kills += 1;
    figures.of_lcs += u64::from(victims != Victims::Loregd);
    for attempt in attempts {
        match &attempt.end {
            End::Acknowledged(_) => figures.acknowledged += 1,
            End::Unknown(error) => {
                assert!(matches!(error.errno(), Some(EIO | ENODEV)), "{error}");
                figures.unknown += 1;
                let there = found.of_client[attempt.client] == Some(attempt.number);
                figures.unknown_and_there += u64::from(there);
            }
            End::BeforeCommit(error) => {
                assert!(matches!(error.errno(), Some(EIO | ENODEV)), "{error}");
            }
        }
    }
}
