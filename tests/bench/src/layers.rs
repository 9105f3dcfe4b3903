//! What layers and watches cost those who have nothing to do with them.

use libreg::{Access, SetValue, ValueType, WatchFilter};

use crate::client::Client;
use crate::figures::{Figures, in_turns, repeated};
use crate::writes::write;

/// A value of which 32 layers say something; and one of which one layer does.
pub fn layers_32(client: &Client) -> anyhow::Result<Figures> {
    let key = client.key(r"Machine\Key")?;
    let (binary, data) = (ValueType::Binary.code(), [7; 32]);
    key.set_value("One", binary, &data, &SetValue::default())?;
    key.set_value("Many", binary, &data, &SetValue::default())?;
    for number in 1..32 {
        let layer = format!("Layer{number}");
        client.key(&format!(r"Machine\System\Registry\Layers\{layer}"))?;
        let into = SetValue { layer: Some(&layer), ..SetValue::default() };
        key.set_value("Many", binary, &data, &into)?;
    }
    anyhow::ensure!(key.explain_value("Many")?.candidates.len() == 32, "not 32 layers");
    let read = |name: &str| Ok(key.value(name).map(drop)?);
    in_turns(201, 100, || read("One"), || read("Many"))
}

/// A durable write while 10,000 watches are armed on other keys; and while none is. What is watched or not takes its
/// turn in whole rounds, for arming takes long.
pub fn watch_10000(client: &Client) -> anyhow::Result<Figures> {
    const WATCHES: usize = 10_000;
    const ROUNDS: usize = 7;
    const WARMING: u32 = 200;
    const WRITES: u32 = 200;
    let key = client.key(r"Machine\Key")?;
    client.key(r"Machine\Others")?;
    let others = (0..WATCHES).map(|number| client.key(&format!(r"Machine\Others\{number}")));
    let others = others.collect::<anyhow::Result<Vec<_>>>()?;
    let time = || {
        // The daemons come from other work.
        repeated(WARMING, || write(&key, "Value"))?;
        repeated(WRITES, || write(&key, "Value"))
    };
    let watched = || {
        let watches = others.iter().map(|other| other.watch(WatchFilter::all(), false));
        let watches = watches.collect::<Result<Vec<_>, _>>()?;
        let figure = time()?;
        drop(watches);
        anyhow::Ok(figure)
    };
    let alone = || {
        // As many handles as watches are, and as much that was done just before.
        let handles = others.iter().map(|other| other.open_link("", Access::NOTIFY));
        let handles = handles.collect::<Result<Vec<_>, _>>()?;
        let figure = time()?;
        drop(handles);
        anyhow::Ok(figure)
    };
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        // Whoever is first in a round is second in the next.
        let (base, ours) = if round.is_multiple_of(2) {
            let base = alone()?;
            (base, watched()?)
        } else {
            let ours = watched()?;
            (alone()?, ours)
        };
        rounds.push([base, ours]);
    }
    Ok(Figures::of_rounds(&rounds))
}
