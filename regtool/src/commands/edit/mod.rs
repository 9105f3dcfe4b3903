//! `edit`: the registry on a whole screen.

mod draft;
mod editor;
mod form;
mod save;
mod screen;
mod search;
mod tree;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use event::{EventFlags, EventQueue};
use libreg::{Access, EventKind, Registry, Watch, WatchFilter};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event as terminal_event;
use signal_hook::SigId;
use signal_hook::consts::SIGWINCH;
use signal_hook::low_level;

use self::editor::{Editor, Mode};
use self::screen::{Look, draw};
use super::watch::changed;
use super::{CURRENT_USER, Session};
use crate::cli::Edit;
use crate::exit::Failure;
use crate::interrupt::Postponed;
use crate::path::Path;

pub fn edit(session: &mut Session, options: &Edit) -> Result<(), Failure> {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        let what = "takes a terminal".to_owned();
        return Err(Failure::Usage { subject: "edit".to_owned(), what });
    }
    if session.in_transaction() {
        let what = "commit or abort the transaction first".to_owned();
        return Err(Failure::Usage { subject: "edit".to_owned(), what });
    }
    let path = session.optional_path(options.path.as_deref())?;
    let mut hives = session.roots()?;
    let own = session.registry()?.open_key(CURRENT_USER, Access::MAXIMUM_ALLOWED);
    if own.is_ok() {
        hives.push(CURRENT_USER.to_owned());
    }
    hives.sort_by_cached_key(|hive| libreg::fold(hive));
    let path = match (path.is_root(), hives.iter().find(|hive| *hive == CURRENT_USER)) {
        (true, Some(own)) => vec![own.clone()].into(),
        _ => path,
    };
    // Said before the screen is taken, if it is nowhere.
    session.registry()?.open_link(&path.key()?, Access::MAXIMUM_ALLOWED)?;
    let mut editor = Editor::new(Registry::open()?, &hives, &path, options.layer.layer.clone());
    let mut happenings = Happenings::new(editor.registry(), &hives)?;
    let signals = Postponed::new().map_err(of_terminal)?;
    let look = Look { colours: crate::output::colours() };
    let mut terminal = ratatui::try_init().map_err(of_terminal)?;
    let outcome = run(&mut editor, &mut terminal, look, session, &mut happenings, &signals);
    let restored = ratatui::try_restore().map_err(of_terminal);
    signals.take_effect();
    outcome.and(restored)
}

fn of_terminal(error: io::Error) -> Failure {
    Failure::File { name: "the terminal".to_owned(), error }
}

fn run(
    editor: &mut Editor,
    terminal: &mut DefaultTerminal,
    look: Look,
    session: &mut Session,
    happenings: &mut Happenings,
    signals: &Postponed,
) -> Result<(), Failure> {
    loop {
        terminal.draw(|frame| draw(editor, look, frame)).map_err(of_terminal)?;
        // A search goes on as long as nothing else is to be done.
        let searches = matches!(editor.mode, Mode::Searching(_));
        if !searches {
            happenings.wait()?;
        }
        while terminal_event::poll(Duration::ZERO).map_err(of_terminal)? {
            if let terminal_event::Event::Key(key) = terminal_event::read().map_err(of_terminal)?
                && key.is_press()
            {
                editor.press(key, session);
            }
        }
        if matches!(editor.mode, Mode::Over) || signals.came() {
            return Ok(());
        }
        if let Err(failure) = happenings.tell(editor) {
            editor.tell(&failure);
        }
        for _ in 0..STEPS {
            if !editor.search_on() {
                break;
            }
        }
    }
}

/// How many keys are searched between two looks at the keyboard.
const STEPS: usize = 64;

event::user_data! {
    enum Source {
        Keyboard,
        Size,
        Watch,
    }
}

/// All that the editor waits for.
struct Happenings {
    queue: EventQueue<Source>,
    sizes: Sizes,
    /// By the hives that are watched.
    watches: Vec<(Path, Watch)>,
}

impl Happenings {
    fn new(registry: &Registry, hives: &[String]) -> Result<Happenings, Failure> {
        let queue = EventQueue::new().map_err(queue_failed)?;
        let sizes = Sizes::new().map_err(of_terminal)?;
        let mut watches = Vec::new();
        for hive in hives {
            // What one may not watch is as it is when it is read.
            let key = registry.open_key(hive, Access::MAXIMUM_ALLOWED);
            let filter = WatchFilter::VALUE | WatchFilter::SUBKEY;
            if let Ok(watch) = key.and_then(|key| key.watch(filter, true)) {
                watches.push((vec![hive.clone()].into(), watch));
            }
        }
        let of_watches = watches.iter().map(|(_, watch)| (watch.as_raw_fd(), Source::Watch));
        let others =
            [(io::stdin().as_raw_fd(), Source::Keyboard), (sizes.as_raw_fd(), Source::Size)];
        for (descriptor, source) in others.into_iter().chain(of_watches) {
            queue.subscribe(descriptor as usize, source, EventFlags::READ).map_err(queue_failed)?;
        }
        Ok(Happenings { queue, sizes, watches })
    }

    /// Waits for the next, or a signal.
    fn wait(&mut self) -> Result<(), Failure> {
        match self.queue.next_event() {
            Err(error) if !error.is_interrupt() => Err(queue_failed(error)),
            _ => {
                self.sizes.read();
                Ok(())
            }
        }
    }

    /// Tells the editor what changed in the registry.
    fn tell(&mut self, editor: &mut Editor) -> Result<(), Failure> {
        let mut keys = BTreeSet::new();
        let mut all = false;
        for (hive, watch) in &mut self.watches {
            while let Some(event) = watch.try_next()? {
                let subkeys = match event.kind {
                    EventKind::ValueSet | EventKind::ValueDeleted => false,
                    EventKind::SubkeyCreated | EventKind::SubkeyDeleted => true,
                    EventKind::SdChanged => continue,
                    EventKind::KeyDeleted | EventKind::Overflow => {
                        all = true;
                        continue;
                    }
                };
                keys.insert((changed(hive, &event).names().to_vec(), subkeys));
            }
        }
        if all {
            editor.read_all_again();
        } else {
            for (names, subkeys) in keys {
                editor.changed(&names.into(), subkeys);
            }
        }
        Ok(())
    }
}

fn queue_failed(error: libredox::error::Error) -> Failure {
    of_terminal(io::Error::from_raw_os_error(error.errno()))
}

/// Tells when the terminal has another size.
struct Sizes {
    told: UnixStream,
    registration: SigId,
}

impl Sizes {
    fn new() -> io::Result<Sizes> {
        let (told, tell) = UnixStream::pair()?;
        told.set_nonblocking(true)?;
        let registration = low_level::pipe::register(SIGWINCH, tell)?;
        Ok(Sizes { told, registration })
    }

    /// Makes it readable no more.
    fn read(&mut self) {
        // That there is nothing is no failure.
        let _ = self.told.read(&mut [0; 16]);
    }
}

impl Drop for Sizes {
    fn drop(&mut self) {
        low_level::unregister(self.registration);
    }
}

impl AsRawFd for Sizes {
    fn as_raw_fd(&self) -> RawFd {
        self.told.as_raw_fd()
    }
}
