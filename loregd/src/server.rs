//! The loop between LCS and the hives.

use std::convert::Infallible;
use std::sync::Arc;

use lcs_abi::rsi::{
    ClaimedHive, FromSource, Received, Recovery, Request, RequestHeader, SourceError, ToSource,
    frame,
};

use crate::Error;
use crate::backup::copier::{Copier, Work};
use crate::committer::{Committer, Job, answer_frame};
use crate::connection::Connection;
use crate::hive::{Reader, is_step};
use crate::recovery::{Opened, Recovered};

/// Hives at work: this thread answers what reads, one thread per hive commits.
pub struct Server {
    connection: Connection,
    hives: Hives,
}

impl Server {
    /// Registers the hives, which were claimed in this order over this connection. Of each so many automatic
    /// copies are kept, and at least one.
    pub fn start(
        connection: Connection,
        claimed: &[ClaimedHive],
        opened: Vec<Opened>,
        keep_backups: usize,
    ) -> Result<Self, Error> {
        let registrations = opened.iter().map(|opened| opened.hive.registration()).collect();
        let recovered = recoveries(&opened);
        let max_frame = connection.max_frame();
        let mut served = Vec::new();
        for (ClaimedHive { name, .. }, opened) in claimed.iter().zip(opened) {
            let Opened { hive, files, unclean, unchecked, .. } = opened;
            let (reader, writer) = hive.split();
            reader.set_max_frame(max_frame);
            let outbox = connection.outbox();
            let committer = Committer::start(name, writer, Arc::clone(&outbox), max_frame)?;
            let (for_copies, keep) = (reader.clone(), keep_backups.max(1));
            let work =
                Work { reader: for_copies, files, keep, unclean, unchecked, outbox, max_frame };
            served.push(Served { reader, committer, copier: Some(Copier::start(name, work)?) });
        }
        let register =
            FromSource::Register { hives: registrations, assigns_sequences: false, recovered };
        connection.write(&[frame(&register)])?;
        let hives = Hives { served, max_frame, answers: Vec::new(), registered: false };
        Ok(Server { connection, hives })
    }

    /// Serves until it is told to end, LCS is gone or something else makes going on impossible. `ready` is called when
    /// the hives are in service; LCS reads its configuration from them before that.
    pub fn serve(mut self, ready: impl Fn()) -> Result<Infallible, Error> {
        self.run(ready).inspect_err(|error| {
            if error.is_orderly_end() {
                self.hives.served.drain(..).for_each(|served| served.committer.close());
            }
        })
    }

    fn run(&mut self, ready: impl Fn()) -> Result<Infallible, Error> {
        let outbox = self.connection.outbox();
        loop {
            outbox.look()?;
            let hives = &mut self.hives;
            let was_registered = hives.registered;
            let more = self.connection.read(|message, size| hives.take(message, size))?;
            if hives.registered && !was_registered {
                ready();
                hives.served.iter().try_for_each(Served::in_service)?;
            }
            self.connection.write(&std::mem::take(&mut hives.answers))?;
            // The queue tells of what comes, not of what is there: first all of that is taken. Once a second a pulse
            // has this look whether LCS is there.
            if !more {
                self.connection.wait()?;
            }
        }
    }
}

/// What LCS is told of hives that were damaged.
fn recoveries(opened: &[Opened]) -> Vec<Recovery> {
    let recovery = |(hive, opened): (u32, &Opened)| {
        let Recovered { reason, set_aside, copy } = opened.recovered.clone()?;
        let set_aside = set_aside.map(|path| path.display().to_string());
        Some(Recovery { hive, reason, set_aside, copy })
    };
    (0..).zip(opened).filter_map(recovery).collect()
}

/// A hive at work.
struct Served {
    reader: Reader,
    committer: Committer,
    /// `None`: the hive has no files.
    copier: Option<Copier>,
}

impl Served {
    fn in_service(&self) -> Result<(), Error> {
        self.copier.as_ref().map_or(Ok(()), Copier::in_service)
    }
}

/// The hives, by their number in the claim, and what they have answered at once.
struct Hives {
    served: Vec<Served>,
    max_frame: u32,
    answers: Vec<Vec<u8>>,
    registered: bool,
}

impl Hives {
    fn take(&mut self, message: Received, size: usize) -> Result<(), Error> {
        match message {
            Received::Request(header, request) => self.request(header, request, size),
            Received::Unknown(header) => {
                let answer =
                    answer_frame(header.id, Err(SourceError::NotSupported), self.max_frame);
                self.answers.push(answer);
                Ok(())
            }
            Received::Other(ToSource::Registered) if !self.registered => {
                self.registered = true;
                Ok(())
            }
            Received::Other(ToSource::Refused(refusal)) => Err(Error::NotAccepted(refusal)),
            Received::Other(_) => Err(Error::Protocol("a message out of turn")),
        }
    }

    fn request(
        &mut self,
        header: RequestHeader,
        request: Request,
        size: usize,
    ) -> Result<(), Error> {
        let hive = usize::try_from(header.hive).ok().and_then(|hive| self.served.get(hive));
        let Served { reader, committer, copier } =
            hive.ok_or(Error::Protocol("a request to a hive that was not claimed"))?;
        let RequestHeader { id, snapshot, .. } = header;
        let answer = match is_step(&request) {
            true if snapshot.is_some() => Err(SourceError::Invalid),
            true => return committer.queue(Job { id, snapshot, request, size }),
            false if request == Request::Copy && snapshot.is_some() => Err(SourceError::Invalid),
            false if request == Request::Copy && copier.is_some() => {
                return copier.as_ref().map_or(Ok(()), |copier| copier.copy(id));
            }
            false => match reader.ask(snapshot, &request) {
                // The hive's thread opens the store again, or is about to have done so.
                Err(error) if error.is_of_store() => {
                    return committer.queue(Job { id, snapshot, request, size });
                }
                answer => answer.map_err(|error| reader.tell(&error)),
            },
        };
        self.answers.push(answer_frame(id, answer, self.max_frame));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;
    use std::time::Duration;

    use lcs_abi::rsi::{Answer, Changes, Mutation, Name, request_frame, split_frame};
    use proptest::prelude::*;

    use super::*;
    use crate::connection::each_message;
    use crate::hive::Hive;
    use crate::outbox::Outbox;
    use crate::outbox::tests::outbox;

    const MAX_FRAME: u32 = 1 << 20;

    /// An outbox, and what was written.
    type Answers = (Arc<Outbox>, Receiver<Vec<u8>>);

    fn served() -> (Hives, Answers, lcs_abi::Guid) {
        let (outbox, written) = outbox();
        let outbox = Arc::new(outbox);
        let hive = Hive::in_memory("Machine").unwrap();
        let root = hive.root();
        let (reader, writer) = hive.split();
        let committer =
            Committer::start("Machine", writer, Arc::clone(&outbox), MAX_FRAME).unwrap();
        let served = vec![Served { reader, committer, copier: None }];
        let hives = Hives { served, max_frame: MAX_FRAME, answers: Vec::new(), registered: false };
        (hives, (outbox, written), root)
    }

    fn feed(hives: &mut Hives, bytes: &[u8]) -> Result<(), Error> {
        each_message(bytes, MAX_FRAME, &mut |message, size| hives.take(message, size))
    }

    fn header(id: u64) -> RequestHeader {
        RequestHeader { id, hive: 0, snapshot: None }
    }

    fn set_value(key: lcs_abi::Guid, first_sequence: u64, size: usize) -> Request {
        let name = |text: &str| Name { display: text.into(), folded: text.into() };
        let (value_type, data) = (3, vec![0; size]);
        let mutation =
            Mutation::SetValue { key, name: name("v"), layer: name("base"), value_type, data };
        let changes = Changes::Mutations(vec![mutation]);
        Request::Apply { conditions: Vec::new(), changes, first_sequence }
    }

    fn answer(frame: &[u8]) -> (u64, Result<Answer, SourceError>) {
        let (contents, rest) = split_frame(frame, MAX_FRAME).unwrap().unwrap();
        assert!(rest.is_empty());
        match lcs_abi::decode(contents) {
            Ok(FromSource::Answer { id, result }) => (id, result),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn steps_are_answered_in_order_and_reads_see_them_then() {
        let (mut hives, (outbox, written), root) = served();
        let steps: Vec<u8> =
            (1..=3000).flat_map(|id| request_frame(header(id), &set_value(root, id, 10))).collect();
        feed(&mut hives, &steps).unwrap();
        assert!(hives.answers.is_empty());
        let mut expected = 1;
        while expected <= 3000 {
            outbox.look().unwrap();
            let Ok(written) = written.recv_timeout(Duration::from_millis(1)) else { continue };
            let mut rest = &written[..];
            while let Some((_, after)) = split_frame(rest, MAX_FRAME).unwrap() {
                let frame = &rest[..rest.len() - after.len()];
                assert_eq!(answer(frame), (expected, Ok(Answer::Applied { first_sequence: None })));
                (rest, expected) = (after, expected + 1);
            }
        }
        let read = Request::QueryValue { key: root, name: "v".into(), after_layer: None };
        feed(&mut hives, &request_frame(header(7), &read)).unwrap();
        let (7, Ok(Answer::Values { entries, .. })) = answer(&hives.answers[0]) else { panic!() };
        assert_eq!(entries[0].sequence, 3000);
    }

    #[test]
    fn a_read_sees_its_snapshot_and_a_step_has_none() {
        let (mut hives, _, root) = served();
        let in_snapshot = |id| RequestHeader { snapshot: Some(1), ..header(id) };
        let read = Request::ReadKey { key: root };
        let requests = [
            request_frame(in_snapshot(1), &read),
            request_frame(header(2), &Request::Snapshot),
            request_frame(in_snapshot(3), &read),
            request_frame(in_snapshot(4), &set_value(root, 1, 10)),
            request_frame(in_snapshot(5), &Request::Snapshot),
            request_frame(header(6), &Request::Release { snapshot: 1 }),
            request_frame(in_snapshot(7), &read),
            request_frame(header(8), &Request::Release { snapshot: 1 }),
        ];
        feed(&mut hives, &requests.concat()).unwrap();
        let answers: Vec<_> = hives.answers.iter().map(|frame| answer(frame).1).collect();
        assert!(matches!(&answers[2], Ok(Answer::Key(_))), "{answers:?}");
        let (gone, invalid) = (Err(SourceError::NotFound), Err(SourceError::Invalid));
        let made = Ok(Answer::Snapshot { snapshot: 1 });
        assert_eq!(
            (&answers[..2], &answers[3..5]),
            (&[gone.clone(), made][..], &[invalid.clone(), invalid][..])
        );
        assert_eq!(answers[5..], [Ok(Answer::Done), gone.clone(), gone]);
    }

    #[test]
    fn what_is_not_known_is_answered_and_what_is_wrong_is_not() {
        let (mut hives, _, root) = served();
        let mut unknown = request_frame(header(9), &Request::Snapshot);
        *unknown.last_mut().unwrap() = 99;
        let read = Request::ReadKey { key: root };
        feed(&mut hives, &unknown).unwrap();
        let answers: Vec<_> = hives.answers.iter().map(|frame| answer(frame)).collect();
        assert_eq!(answers, [(9, Err(SourceError::NotSupported))]);
        let elsewhere = RequestHeader { hive: 1, ..header(11) };
        let registered = frame(&ToSource::Registered);
        for wrong in [
            request_frame(elsewhere, &read),
            request_frame(header(12), &read)[..10].to_vec(),
            u32::MAX.to_le_bytes().to_vec(),
            vec![1, 0, 0, 0, 77],
            [registered.clone(), registered].concat(),
        ] {
            assert!(matches!(feed(&mut hives, &wrong), Err(Error::Protocol(_))), "{wrong:?}");
        }
    }

    #[test]
    fn an_answer_that_fits_no_frame_is_too_large() {
        let orphans = |count| Ok(Answer::Orphans(vec![lcs_abi::Guid::default(); count]));
        let fits = answer_frame(1, orphans(1000), 16_100);
        assert!(answer(&fits).1.is_ok());
        let too_large = answer_frame(2, orphans(1000), 16_000);
        assert_eq!(answer(&too_large), (2, Err(SourceError::TooLarge)));
    }

    proptest! {
        #[test]
        fn any_bytes_of_lcs_are_taken_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let (mut hives, _written, _) = served();
            let _ = feed(&mut hives, &bytes);
            // As the contents of one frame, and as a request, it comes further.
            let length = (bytes.len() as u32).to_le_bytes();
            let _ = feed(&mut hives, &[&length[..], &bytes].concat());
            let prefix = lcs_abi::encode(&ToSource::Request(header(1)));
            let length = ((prefix.len() + bytes.len()) as u32).to_le_bytes();
            let _ = feed(&mut hives, &[&length[..], &prefix, &bytes].concat());
        }

        #[test]
        fn a_damaged_request_is_taken_without_a_panic(
            place in any::<prop::sample::Index>(),
            byte: u8,
        ) {
            let (mut hives, _written, root) = served();
            let mut bytes = request_frame(header(1), &set_value(root, 1, 10));
            *place.get_mut(&mut bytes) = byte;
            let _ = feed(&mut hives, &bytes);
        }
    }
}
