//! A terminal for programs that take a whole screen, and what is to be seen on it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::PATIENCE;

/// A terminal with a program in it, which is killed when this is dropped.
pub struct Terminal {
    keyboard: File,
    shown: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    program: Child,
}

impl Terminal {
    /// Starts a program in a terminal of 80 columns and 24 lines.
    ///
    /// # Panics
    ///
    /// If there is no such terminal, or no such program.
    pub fn start(mut command: Command) -> Terminal {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a pseudo terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("one's own");
        let own = ioctl_tiocgptpeer(&master, flags).expect("its other end");
        tcsetwinsize(&own, size(80, 24)).expect("a size");
        let end = || own.try_clone().expect("another descriptor");
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color");
        let take_terminal = move || {
            setsid()?;
            ioctl_tiocsctty(&own)?;
            Ok(())
        };
        // SAFETY: between fork and exec, this makes two system calls and allocates nothing.
        unsafe { command.pre_exec(take_terminal) };
        let program = command.spawn().expect("the program");
        // With it go our descriptors of the program's end, whose end the reader would else not see.
        drop(command);
        let keyboard = File::from(master);
        let mut output = keyboard.try_clone().expect("another descriptor");
        let (shows, shown) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Linux says EIO when the program has ended.
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if shows.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal { keyboard, shown, screen: vt100::Parser::new(24, 80, 0), program }
    }

    /// Types this.
    ///
    /// # Panics
    ///
    /// If nobody reads it.
    pub fn write(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("a reader");
    }

    /// Gives it another size.
    ///
    /// # Panics
    ///
    /// If it does not take it.
    pub fn resize(&mut self, columns: u16, lines: u16) {
        self.screen.screen_mut().set_size(lines, columns);
        tcsetwinsize(&self.keyboard, size(columns, lines)).expect("a size");
    }

    /// What is to be seen, as text.
    pub fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// The screen itself, with colours.
    pub fn screen(&self) -> &vt100::Screen {
        self.screen.screen()
    }

    /// Waits until what is to be seen is so, and gives it.
    ///
    /// # Panics
    ///
    /// If it does not become so.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if is_so(&text) {
                return text;
            }
            match self.shown.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(RecvTimeoutError::Disconnected) => panic!("{what}: it has ended:\n{text}"),
                Err(RecvTimeoutError::Timeout) => panic!("{what}: not to be seen:\n{text}"),
            }
        }
    }

    /// Waits until this is to be seen.
    ///
    /// # Panics
    ///
    /// If it does not come.
    pub fn until_seen(&mut self, part: &str) -> String {
        self.until(part, |text| text.contains(part))
    }

    /// Waits until the program has ended, and gives what was written last.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub fn end(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.shown.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it goes on:\n{}", self.text()),
            }
        }
        (self.program.wait().expect("a child"), self.text())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn size(columns: u16, lines: u16) -> Winsize {
    Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
