//! Start-up: sockets, names, readiness, the namespace that is left, in this order.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use lcs_core::registry::{Registry, Setting, Settings};
use libredox::{Fd, flag};
use redox_scheme::Socket;
use redox_scheme::scheme::register_scheme_inner;
use syscall::error::{EEXIST, ENODEV, ENOENT};

use crate::accounts::Accounts;
use crate::call::Current;
use crate::clock::Clock;
use crate::deadlines::Moment;
use crate::event_loop::{Daemon, Scheme, Shared};
use crate::generations::{Generations, OldAnswers};
use crate::identity::Identity;
use crate::outbox::Outbox;
use crate::regsrc::Sources;
use crate::wake::Wakeups;
use crate::world::World;
use crate::{reg, source_handles};

/// What keeps LCS from serving.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A scheme's name is taken by somebody who answers.
    #[error("another daemon serves the scheme {0}")]
    NameTaken(&'static str),
    /// A scheme could not be made.
    #[error("cannot make the scheme {0}: {1}")]
    Register(&'static str, libredox::error::Error),
    /// A scheme's socket failed.
    #[error("a scheme's socket failed: {0}")]
    Socket(libredox::error::Error),
    /// Events do not come.
    #[error("cannot wait for events: {0}")]
    Events(libredox::error::Error),
    /// The timer does not work.
    #[error("the timer failed: {0}")]
    Timer(libredox::error::Error),
    /// There is no memory that can be shared.
    #[error("cannot have a page that clients can map: {0}")]
    Generations(libredox::error::Error),
    /// Other threads cannot wake the one that serves.
    #[error("cannot be woken by other threads: {0}")]
    Wake(io::Error),
    /// The thread that asks for groups did not start.
    #[error("cannot start the thread that asks for groups: {0}")]
    Accounts(io::Error),
    /// The system does not say who runs this process.
    #[error("cannot tell who runs this process: {0}")]
    Identity(libredox::error::Error),
    /// What every daemon does failed.
    #[error(transparent)]
    Daemon(#[from] lcs_daemon::Error),
    /// The registry could not be set up.
    #[error("cannot set up the registry")]
    Registry,
}

/// Starts LCS: when this returns its names are taken and its readiness is signalled. The members of the group
/// `admin_group` are administrators.
pub fn start(admin_group: &str) -> Result<Daemon, Error> {
    let (reg_answers, regsrc_answers) = (Rc::new(Outbox::default()), Rc::new(Outbox::default()));
    let current = Current::default();
    // Until the configuration is read, which takes a source, the defaults are in force.
    let defaults = Settings::default();
    let timeout = Duration::from_millis(defaults.get(Setting::RequestTimeoutMs));
    let clock = Rc::new(Clock::new(timeout).map_err(Error::Timer)?);
    let in_flight = defaults.size(Setting::MaxConcurrentRSIRequests);
    let (answers, same_clock) = (Rc::clone(&regsrc_answers), Rc::clone(&clock));
    let sources = Rc::new(Sources::new(current.clone(), answers, same_clock, in_flight));
    let wakeups = Wakeups::new().map_err(Error::Wake)?;
    let accounts =
        Accounts::new(admin_group.to_owned(), wakeups.waker()).map_err(Error::Accounts)?;
    let identity = Identity::of_this_process(accounts).map_err(Error::Identity)?;
    let generations = Generations::new().map_err(Error::Generations)?;

    let reg = Scheme::new(serve_name("reg", reg::SHARED_ROOT)?, reg_answers);
    // Whoever had the name is gone.
    let old_answers = Rc::new(OldAnswers::from(Moment::now()));
    let (waker, old) = (wakeups.waker(), Rc::clone(&old_answers));
    let world = World::new(Rc::clone(&sources), waker, generations, old);
    let registry = Registry::new(world).ok_or(Error::Registry)?;
    let regsrc = Scheme::new(serve_name("regsrc", source_handles::SHARED_ROOT)?, regsrc_answers);
    let shared =
        Shared::new(registry, sources, clock, identity, current, (generations, old_answers));
    let daemon = Daemon::new(shared, reg, regsrc, wakeups)?;
    lcs_daemon::ready();
    lcs_daemon::namespace::enter_file_only()?;
    Ok(daemon)
}

/// Makes the socket of a scheme and takes its name, also from a predecessor that is dead: a dead daemon's
/// name stays until somebody removes it.
fn serve_name(name: &'static str, root: usize) -> Result<Socket, Error> {
    let failed = |error: syscall::error::Error| Error::Register(name, error.into());
    let socket = Socket::nonblock().map_err(failed)?;
    match register_scheme_inner(&socket, name, root) {
        Err(error) if error.errno == EEXIST => {
            if answers(name) {
                return Err(Error::NameTaken(name));
            }
            remove(name);
            register_scheme_inner(&socket, name, root).map_err(failed)?;
        }
        result => result.map_err(failed)?,
    }
    Ok(socket)
}

/// Whether somebody serves the scheme of this name.
fn answers(name: &str) -> bool {
    match Fd::open(&format!("/scheme/{name}"), flag::O_CLOEXEC, 0) {
        Ok(_) => true,
        Err(error) => !matches!(error.errno(), ENODEV | ENOENT),
    }
}

/// Removes a scheme's name. If that fails, taking it will fail too, and say so.
fn remove(name: &str) {
    if let Err(error) = unlink_scheme(&format!("/scheme/{name}")) {
        log::warn!("the dead name of the scheme {name} cannot be removed: {error}");
    }
}

/// To std a scheme's name is a file.
#[cfg(target_os = "redox")]
fn unlink_scheme(path: &str) -> io::Result<()> {
    std::fs::remove_file(path)
}

/// Elsewhere std knows no schemes.
#[cfg(not(target_os = "redox"))]
fn unlink_scheme(path: &str) -> io::Result<()> {
    hosted::unlink(path, 0)
}
