//! Numbers that look random and can be had again.

use std::env;
use std::time::SystemTime;

/// A linear congruential generator (Knuth's MMIX).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice with the seed `SEED` of the environment, or another one each time. Says which, on standard error:
    /// nobody sees the standard output of a session's body.
    ///
    /// # Panics
    ///
    /// If `SEED` is no number.
    pub fn new() -> Dice {
        let seed = setting("SEED").unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            now.map_or(1, |now| u64::from(now.subsec_nanos()))
        });
        eprintln!("SEED={seed}");
        Dice(seed)
    }

    /// Dice with this seed.
    pub fn of_seed(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Other dice for each number, which these determine.
    pub fn for_number(&self, number: u64) -> Dice {
        let mut dice = Dice(self.0 ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.below(1);
        dice
    }

    /// A number from 0 up to, and without, `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

impl Default for Dice {
    fn default() -> Dice {
        Dice::new()
    }
}

/// A number that the environment sets.
///
/// # Panics
///
/// If it is something else.
pub fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
