//! What layers and watches cost those who have nothing to do with them.

use lcs_abi::call::{Guarded, KeyInfoAnswer, Op};
use lcs_abi::watch::NOTIFY_ALL;
use libreg::{SetValue, ValueType};
use registry_tests::handles;
use registry_tests::registry::call;

use crate::client::Client;
use crate::figures::{Figures, in_turns, repeated};
use crate::writes::write;

/// A value of which 32 layers say something; and one of which one layer does.
pub fn layers_32(client: &Client) -> anyhow::Result<Figures> {
    client.registry.keep_answers(false);
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

/// A durable write while 10,000 keys are watched, all others; and while they are not. Who is watched or not takes its
/// turn in whole rounds, for arming takes long.
pub fn watch_10000(client: &Client) -> anyhow::Result<Figures> {
    const WATCHES: usize = 10_000;
    const ROUNDS: usize = 7;
    const WARMING: u32 = 200;
    const WRITES: u32 = 200;
    let key = client.key(r"Machine\Key")?;
    let root = handles::root();
    let others = handles::create(&root, r"Machine\Others")?;
    let others = (0..WATCHES).map(|number| handles::create(&others, &number.to_string()));
    let others = others.collect::<Result<Vec<_>, _>>()?;
    let time_while = |filter| {
        others.iter().try_for_each(|other| handles::watch(other, filter, false))?;
        // Whether they are watched or not, the source comes from the same work: that alone makes a difference.
        for other in &others {
            let _: Guarded<KeyInfoAnswer> = call(other, Op::KeyInfo, &(), &[])?;
        }
        repeated(WARMING, || write(&key, "Value"))?;
        repeated(WRITES, || write(&key, "Value"))
    };
    let round = |number: usize| {
        // Whoever is first in a round is second in the next.
        if number.is_multiple_of(2) {
            let alone = time_while(0)?;
            anyhow::Ok([alone, time_while(NOTIFY_ALL)?])
        } else {
            let watched = time_while(NOTIFY_ALL)?;
            Ok([time_while(0)?, watched])
        }
    };
    Ok(Figures::of_rounds(&(0..ROUNDS).map(round).collect::<anyhow::Result<Vec<_>>>()?))
}
