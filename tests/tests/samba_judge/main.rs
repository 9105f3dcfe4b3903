//! A second judge of what `lcs-core` says of security: Samba, which is older, and by others.
//!
//! Samba 4.17 of Debian 12 decides the same random access checks, and reads and writes the same security
//! descriptors as bytes and as SDDL. Where it differs is listed in `verdicts.rs` and `texts.rs`, with the
//! reason, and nothing else may.

mod cases;
mod judge;
mod texts;
mod trial;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::Instant;

use cases::case;
use hosted as _;
use judge::{DOMAIN, Judge, Questions, Reading};
use lcs_core::security::{Account, Malformed, SecurityDescriptor, Token};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use texts::TextDifference;
use trial::Trial;
use verdicts::VerdictDifference;

/// Of a hundred verdicts, how many must be of each kind.
const AT_LEAST: u64 = 20;

#[test]
fn the_verdicts_and_the_texts_of_samba_are_ours() {
    let Some(judge) = Judge::summon() else { return };
    let (seed, cases) = (number("SEED", 1), number("CASES", 100_000));
    let cases = u32::try_from(cases).expect("CASES is not that large");
    let (start, version) = (Instant::now(), judge.version.clone());
    let trial = Trial::before(judge);

    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 5_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let dice = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let result = TestRunner::new_with_rng(config, dice).run(&case(), |case| trial.try_case(&case));
    if let Err(error) = result {
        let number = trial.failed_at().unwrap_or_default();
        panic!("SEED={seed}, case {number}, Samba {version}: {error}");
    }

    let tally = trial.into_tally();
    println!("SEED={seed}, Samba {version}, {:?}: {tally:?}", start.elapsed());
    let (granted, denied) = (tally.granted * 100 / tally.cases, tally.denied * 100 / tally.cases);
    assert!(
        granted >= AT_LEAST && denied >= AT_LEAST,
        "cases that say little: {granted} % granted, {denied} % denied",
    );
    let seen: Vec<VerdictDifference> = tally.verdicts.into_keys().collect();
    assert_eq!(seen, VerdictDifference::ALL, "what is listed and never made a difference is none");
    let seen: Vec<TextDifference> = tally.texts.into_keys().collect();
    assert_eq!(seen, TextDifference::ALL, "what is listed and never made a difference is none");
}

#[test]
fn the_names_of_samba_mean_the_same_here() {
    let Some(mut judge) = Judge::summon() else { return };
    let names: Vec<String> =
        ('A'..='Z').flat_map(|a| ('A'..='Z').map(move |b| format!("{a}{b}"))).collect();

    let sids = unshared(&mut judge, &names, |name| format!("O:{name}"));
    assert_eq!(sids.of_ours, BTreeSet::new());
    for (name, reading) in sids.of_samba {
        let owner = reading.ok().and_then(|sd| sd.owner).map(|sid| sid.to_string());
        assert!(owner.is_some_and(|sid| sid.starts_with(DOMAIN)), "{name} is not of a domain");
    }

    let masks = unshared(&mut judge, &names, |name| format!("D:(A;;{name};;;SY)"));
    assert_eq!(Vec::from_iter(masks.of_ours), ["KA", "KR", "KW", "KX"]);
    for (name, reading) in masks.of_samba {
        assert!(matches!(reading, Err(Malformed::AceMask(_))), "{name} is of keys: {reading:?}");
    }

    for text in ["D:(A;NAME;GA;;;SY)", "S:(AU;NAME;GA;;;SY)", "D:NAME", "S:NAME"] {
        let flags = unshared(&mut judge, &names, |name| text.replace("NAME", name));
        assert_eq!(flags, Unshared::default(), "{text}");
    }
}

/// What only one of the two has a meaning for.
#[derive(Debug, Default, PartialEq)]
struct Unshared {
    of_ours: BTreeSet<String>,
    of_samba: BTreeMap<String, Reading>,
}

/// Of these names those that mean nothing to one of the two; what means something to both must be the same.
fn unshared(judge: &mut Judge, names: &[String], text: impl Fn(&str) -> String) -> Unshared {
    let nobody =
        Token::new(Account { uid: 1, gid: 1, groups: &[], system: false, administrator: false });
    let questions = Questions::by(&nobody);
    let questions = names.iter().fold(questions, |questions, name| questions.read(&text(name)));
    let answers = judge.ask(&questions).expect("texts that are none are just refused");
    let mut unshared = Unshared::default();
    for (name, reading) in names.iter().zip(answers.readings()) {
        match (text(name).parse::<SecurityDescriptor>(), reading) {
            (Ok(ours), Some(samba)) => assert_eq!(Ok(ours), samba, "{name}"),
            (Ok(_), None) => drop(unshared.of_ours.insert(name.clone())),
            (Err(_), Some(samba)) => drop(unshared.of_samba.insert(name.clone(), samba)),
            (Err(_), None) => {}
        }
    }
    unshared
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => default,
    }
}
