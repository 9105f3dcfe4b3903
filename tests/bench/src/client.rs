//! A client: this program once more, in a system, bound to the first core.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use libredox::Fd;
use libredox::flag::{O_CLOEXEC, O_RDWR};
use libreg::{Access, CreateKey, Key, Registry};
use registry_tests::echo::Verb;
use syscall::CallFlags;

use crate::figures::Figures;
use crate::{scale, system};

/// In the environment of a client: what it measures, and the file for what it found.
pub const NAME: &str = "REGISTRY_BENCH";
pub const ANSWER: &str = "REGISTRY_BENCH_ANSWER";

/// What a client has.
pub struct Client {
    /// The registry.
    pub registry: Registry,
    /// A file of the echo scheme.
    pub echo: Fd,
    /// A directory of its own, on the disk of the hives.
    pub directory: PathBuf,
}

impl Client {
    fn new() -> anyhow::Result<Client> {
        Ok(Client {
            registry: Registry::open()?,
            echo: Fd::open("/scheme/echo/bench", O_RDWR | O_CLOEXEC, 0)?,
            directory: registry_tests::daemons::root_directory(),
        })
    }

    /// A key with every right, made with those that lead to it.
    pub fn key(&self, path: &str) -> anyhow::Result<Key> {
        let mut key = None;
        for (end, _) in path.match_indices('\\').skip(1).chain([(path.len(), "")]) {
            key = Some(self.registry.create_key(
                &path[..end],
                Access::KEY_ALL_ACCESS,
                &CreateKey::default(),
            )?);
        }
        key.context("a path has names")
    }

    /// A call on the echo scheme with a payload, of which so many bytes come back.
    pub fn call(&self, payload: &mut [u8], answer: usize) -> anyhow::Result<()> {
        let metadata = [Verb::Echo as u64, answer as u64];
        self.echo.call_rw(payload, CallFlags::empty(), &metadata)?;
        Ok(())
    }
}

/// Measures, and writes down what was found.
pub fn run(
    name: &str,
    find: impl FnOnce(&str) -> Option<fn(&Client) -> anyhow::Result<Figures>>,
) -> anyhow::Result<()> {
    system::pin(None, 0)?;
    let figures = match find(name) {
        Some(measure) => measure(&Client::new()?)?,
        None => match scale::run_client(name)? {
            Some(figures) => figures,
            None => return Ok(()),
        },
    };
    let answer = std::env::var_os(ANSWER).context("no place for an answer")?;
    fs::write(answer, figures.json().to_string())?;
    Ok(())
}
