//! A source in the hands of a test: it stores like any other, and answers what the test decides.

use std::collections::VecDeque;
use std::thread::{self, JoinHandle};

use lcs_abi::rsi::{
    self, Answer, ClaimedHive, FOLD_VERSION, FromSource, RSI_VERSION, Received, Refusal,
    RegisteredHive, Request, RequestHeader, SourceError, ToSource, decode_to_source, split_frame,
};
use libredox::error::Result;
use libredox::{Fd, flag};
use loregd::hive::Hive;

/// The longest frame a puppet reads.
const MAX_FRAME: u32 = 16 << 20;

/// What a request is answered with by a source that does it.
pub type Truth = std::result::Result<Answer, SourceError>;

/// What to write instead of the truth.
pub type Bend = Box<dyn FnOnce(Truth) -> Vec<Vec<u8>> + Send>;

/// What to do with a request.
pub enum Decision {
    /// Answer it as a good source does.
    Answer,
    /// Say nothing.
    Silence,
    /// Carry it out, and write this instead of the answer.
    Instead(Vec<FromSource>),
    /// Write these bytes instead of an answer.
    Bytes(Vec<u8>),
    /// Carry it out, and write what this makes of the true answer, one write after the other.
    Bent(Bend),
    /// Stop serving and close the connection.
    Stop,
}

/// What came of a claim or a registration.
pub type Accepted = std::result::Result<(), Refusal>;

/// A source.
pub struct Puppet {
    connection: Fd,
    claims: Vec<ClaimedHive>,
    hives: Vec<Hive>,
    unread: VecDeque<Received>,
}

impl Puppet {
    /// Connects to LCS, with fresh hives of these names.
    ///
    /// # Panics
    /// If LCS cannot be reached.
    pub fn connect(names: &[&str]) -> Puppet {
        let hives = names.iter().map(|name| Hive::in_memory(name).expect("a hive in memory"));
        Puppet::connect_with(names, hives.collect())
    }

    /// Connects to LCS, with these hives.
    ///
    /// # Panics
    /// If LCS cannot be reached.
    pub fn connect_with(names: &[&str], hives: Vec<Hive>) -> Puppet {
        let global = |name: &&str| ClaimedHive { name: (*name).to_owned(), scope: None };
        Puppet::new(names.iter().map(global).collect(), hives)
    }

    /// Connects to LCS, with fresh hives to be claimed so.
    ///
    /// # Panics
    /// If LCS cannot be reached.
    pub fn claiming(claims: Vec<ClaimedHive>) -> Puppet {
        let hives =
            claims.iter().map(|hive| Hive::in_memory(&hive.name).expect("a hive in memory"));
        let hives = hives.collect();
        Puppet::new(claims, hives)
    }

    fn new(claims: Vec<ClaimedHive>, hives: Vec<Hive>) -> Puppet {
        let connection = Puppet::open().expect("a connection to regsrc");
        Puppet { connection, claims, hives, unread: VecDeque::new() }
    }

    /// Opens a connection, and says nothing on it.
    ///
    /// # Errors
    /// LCS's.
    pub fn open() -> Result<Fd> {
        Fd::open("/scheme/regsrc", flag::O_RDWR | flag::O_CLOEXEC, 0)
    }

    /// The connection's descriptor, for a test that writes on it while the puppet serves.
    pub fn descriptor(&self) -> usize {
        self.connection.raw()
    }

    /// Claims the hives.
    ///
    /// # Panics
    /// If LCS says something else than yes or no.
    pub fn claim(&mut self) -> Accepted {
        let hives = self.claims.clone();
        let (version, fold_version) = (RSI_VERSION, FOLD_VERSION);
        self.say(&FromSource::Claim { version, fold_version, hives }).expect("writing a claim");
        match self.receive().expect("an answer to a claim") {
            Received::Other(ToSource::Claimed { .. }) => Ok(()),
            Received::Other(ToSource::Refused(refusal)) => Err(refusal),
            other => panic!("not an answer to a claim: {other:?}"),
        }
    }

    /// Claims the hives, over a new connection if this one was used up by a claim that was refused.
    ///
    /// # Panics
    /// As [`Puppet::claim`], or if LCS cannot be reached.
    pub fn claim_again(&mut self) -> Accepted {
        let claimed = self.claim();
        if claimed.is_err() {
            self.connection = Puppet::open().expect("a connection to regsrc");
        }
        claimed
    }

    /// Closes the connection, and gives the hives back.
    pub fn give_back(self) -> Vec<Hive> {
        self.hives
    }

    /// Registers the hives that it claimed, and serves LCS until it is told what came of it.
    ///
    /// # Panics
    /// If LCS goes away.
    pub fn register(&mut self) -> Accepted {
        self.register_as(Hive::max_sequence)
    }

    /// As [`Puppet::register`], with something else as the highest sequence number of a hive.
    ///
    /// # Panics
    /// If LCS goes away.
    pub fn register_as(&mut self, max_sequence: impl Fn(&Hive) -> u64) -> Accepted {
        let hives = self
            .hives
            .iter()
            .map(|hive| RegisteredHive { root: hive.root(), max_sequence: max_sequence(hive) });
        let register = FromSource::Register {
            hives: hives.collect(),
            assigns_sequences: false,
            recovered: Vec::new(),
        };
        self.say(&register).expect("writing a registration");
        loop {
            match self.receive().expect("an answer to a registration") {
                Received::Request(header, request) => {
                    let result = self.carry_out(header, &request);
                    self.say(&FromSource::Answer { id: header.id, result }).expect("an answer");
                }
                Received::Other(ToSource::Registered) => return Ok(()),
                Received::Other(ToSource::Refused(refusal)) => return Err(refusal),
                other => panic!("not an answer to a registration: {other:?}"),
            }
        }
    }

    /// A source with hives of these names in service.
    ///
    /// # Panics
    /// If LCS does not accept it.
    pub fn in_service(names: &[&str]) -> Puppet {
        let mut puppet = Puppet::connect(names);
        puppet.claim().expect("an accepted claim");
        puppet.register().expect("an accepted registration");
        puppet
    }

    /// Serves in a thread of its own until LCS goes away or tears the connection down, or the test says
    /// stop. The thread gives the hives back; by then the connection is closed.
    pub fn serve(
        mut self,
        mut decide: impl FnMut(RequestHeader, &Request) -> Decision + Send + 'static,
    ) -> JoinHandle<Vec<Hive>> {
        thread::spawn(move || {
            while let Ok(received) = self.receive() {
                let Received::Request(header, request) = received else { continue };
                let written = match decide(header, &request) {
                    Decision::Answer => {
                        let result = self.carry_out(header, &request);
                        self.say(&FromSource::Answer { id: header.id, result })
                    }
                    Decision::Silence => Ok(()),
                    Decision::Instead(messages) => {
                        // What comes of it is kept to the test's own message.
                        let _ = self.carry_out(header, &request);
                        messages.iter().try_for_each(|message| self.say(message))
                    }
                    Decision::Bytes(bytes) => self.connection.write(&bytes).map(drop),
                    Decision::Bent(bend) => {
                        let writes = bend(self.carry_out(header, &request));
                        writes.iter().try_for_each(|bytes| self.connection.write(bytes).map(drop))
                    }
                    Decision::Stop => break,
                };
                // LCS refuses what breaks the protocol; the next read tells that it is over.
                if let Err(error) = written {
                    println!("the puppet's write was refused: {error}");
                }
            }
            self.hives
        })
    }

    /// The next message of LCS.
    ///
    /// # Errors
    /// LCS's: it went away, or the connection is torn down.
    pub fn receive(&mut self) -> Result<Received> {
        let mut buffer = vec![0; MAX_FRAME as usize];
        while self.unread.is_empty() {
            let length = self.connection.read(&mut buffer)?;
            let mut rest = &buffer[..length];
            while let Some((contents, more)) = split_frame(rest, MAX_FRAME).expect("a frame") {
                self.unread.push_back(decode_to_source(contents).expect("a message of LCS"));
                rest = more;
            }
        }
        Ok(self.unread.pop_front().expect("a message"))
    }

    /// Says something to LCS.
    ///
    /// # Errors
    /// LCS's.
    pub fn say(&self, message: &FromSource) -> Result<()> {
        self.connection.write(&rsi::frame(message)).map(drop)
    }

    fn carry_out(&mut self, header: RequestHeader, request: &Request) -> Truth {
        let hive = self.hives.get_mut(header.hive as usize).ok_or(SourceError::Invalid)?;
        hive.answer_in(header.snapshot, request)
    }
}
