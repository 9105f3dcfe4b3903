//! A source of private hives that live in its memory: `private-hive NAME=SCOPE…` serves them until LCS is gone,
//! and says on `INIT_NOTIFY` when they are in service.

use anyhow::{Error, ensure};
use hosted as _;
use registry_tests::daemons;
use registry_tests::puppet::{Decision, Puppet};

fn main() -> anyhow::Result<()> {
    let hives = std::env::args().skip(1).map(|argument| loregd::arguments::hive(&argument));
    let hives = hives.collect::<Result<Vec<_>, _>>().map_err(Error::msg)?;
    ensure!(hives.iter().all(|hive| hive.scope.is_some()), "a private hive has a scope");
    let mut source = Puppet::claiming(hives);
    source.claim().map_err(Error::msg)?;
    source.register().map_err(Error::msg)?;
    daemons::ready();
    source.serve(|_, _| Decision::Answer).join().map_err(|_| Error::msg("the source failed"))?;
    Ok(())
}
