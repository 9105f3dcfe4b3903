//! Figures, and how they are told.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

/// Which way is better for a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Ours costs less of the base.
    Less,
    /// More of ours is done in the time of the base.
    More,
}

/// What was measured: the medians of rounds in which both took turns, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Of the registry.
    pub ours: f64,
    /// Of what it is compared with.
    pub base: f64,
    /// The median of the rounds' own ratios: whatever else the machine did in a round met both.
    pub ratio: f64,
}

impl Figures {
    /// The medians of rounds `[base, ours]`, in nanoseconds.
    pub fn of_rounds(rounds: &[[f64; 2]]) -> Figures {
        let each = |of: fn(&[f64; 2]) -> f64| median(rounds.iter().map(of).collect());
        Figures {
            base: each(|[base, _]| *base),
            ours: each(|[_, ours]| *ours),
            ratio: each(|[base, ours]| ours / base),
        }
    }

    /// As a client hands it on.
    pub fn json(&self) -> Json {
        json!({ "ours": self.ours, "base": self.base, "ratio": self.ratio })
    }

    /// The reverse.
    pub fn of_json(json: &Json) -> Option<Figures> {
        let number = |name: &str| json[name].as_f64();
        Some(Figures { ours: number("ours")?, base: number("base")?, ratio: number("ratio")? })
    }
}

/// The line of a benchmark.
pub fn report(name: &str, aim: f64, better: Better, one_core: Figures, two_cores: Option<Figures>) {
    let ratio = |figures: Figures| match better {
        Better::Less => figures.ratio,
        Better::More => 1.0 / figures.ratio,
    };
    let figures = |figures: Figures| {
        let (ours, base, ratio) = (figures.ours.round(), figures.base.round(), ratio(figures));
        format!(r#""ours": {ours}, "base": {base}, "ratio": {ratio:.3}"#)
    };
    let mut line = format!(r#"{{"bench": "{name}", {}, "aim": {aim}"#, figures(one_core));
    if better == Better::More {
        line.push_str(r#", "better": "more""#);
    }
    if let Some(two_cores) = two_cores {
        // Writing to a String cannot fail.
        let _ = write!(line, r#", "two_cores": {{{}}}"#, figures(two_cores));
    }
    println!("{line}}}");
}

/// The median.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Two operations that take turns: so many rounds, in each of which each is done so often.
pub fn in_turns(
    rounds: usize,
    per_round: u32,
    mut base: impl FnMut() -> anyhow::Result<()>,
    mut ours: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Figures> {
    // Caches of all kinds fill, and what is made at the first time is made.
    base()?;
    ours()?;
    let mut measured = Vec::new();
    for _ in 0..rounds {
        measured.push([repeated(per_round, &mut base)?, repeated(per_round, &mut ours)?]);
    }
    Ok(Figures::of_rounds(&measured))
}

/// Nanoseconds that an operation takes, on the average of so many times.
pub fn repeated(
    times: u32,
    mut operation: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    let start = Instant::now();
    for _ in 0..times {
        operation()?;
    }
    Ok(nanoseconds(start.elapsed()) / f64::from(times))
}

/// A time in nanoseconds.
pub fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}
