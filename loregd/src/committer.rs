//! The thread of a hive that commits whatever steps have arrived, together: group commit.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use lcs_abi::rsi::{Answer, FRAME_HEADER, FromSource, Request, SourceError, frame};

use crate::Error;
use crate::hive::Writer;
use crate::outbox::Outbox;

/// How many requests one commit takes.
const GROUP_REQUESTS: usize = 1024;

/// How many bytes of requests one commit takes, or one request that is larger: so neither what it holds in
/// memory nor the time that its first caller waits for the last grows without bound.
const GROUP_BYTES: usize = 16 << 20;

/// A request to carry out.
pub(crate) struct Job {
    /// The request's id.
    pub(crate) id: u64,
    pub(crate) request: Request,
    /// About how large it is, in bytes.
    pub(crate) size: usize,
}

enum Message {
    Job(Job),
    Reopen,
}

/// The way to a hive's thread.
pub(crate) struct Committer {
    hive: String,
    messages: Sender<Message>,
}

impl Committer {
    /// Starts the thread. Its answers go to `outbox`, in frames of at most `max_frame` bytes.
    pub(crate) fn start(
        hive: &str,
        writer: Writer,
        outbox: Arc<Outbox>,
        max_frame: u32,
    ) -> Result<Self, Error> {
        let (messages, receiver) = mpsc::channel();
        let mourner = Mourner { hive: hive.to_owned(), outbox: Arc::clone(&outbox) };
        thread::Builder::new()
            .name(format!("hive {hive}"))
            .spawn(move || {
                let _mourner = mourner;
                commit_all(writer, &receiver, &outbox, max_frame);
            })
            .map_err(|error| Error::System { what: "thread of a hive", error })?;
        Ok(Committer { hive: hive.to_owned(), messages })
    }

    /// Queues a request; it is answered through the outbox.
    pub(crate) fn queue(&self, job: Job) -> Result<(), Error> {
        self.send(Message::Job(job))
    }

    /// Has the hive opened again if an error closed it.
    pub(crate) fn reopen(&self) -> Result<(), Error> {
        self.send(Message::Reopen)
    }

    fn send(&self, message: Message) -> Result<(), Error> {
        self.messages.send(message).map_err(|_| Error::WriterDied(self.hive.clone()))
    }
}

/// Tells of a panic: else every caller of the hive would wait for ever.
struct Mourner {
    hive: String,
    outbox: Arc<Outbox>,
}

impl Drop for Mourner {
    fn drop(&mut self) {
        if thread::panicking() {
            self.outbox.died(&self.hive);
        }
    }
}

fn commit_all(mut writer: Writer, messages: &Receiver<Message>, outbox: &Outbox, max_frame: u32) {
    while let Ok(first) = messages.recv() {
        let group = gather(first, messages);
        let requests: Vec<&Request> = group.iter().map(|job| &job.request).collect();
        let answers = writer.commit(&requests);
        let frames = group.iter().zip(answers);
        outbox.push(frames.map(|(job, answer)| answer_frame(job.id, answer, max_frame)).collect());
    }
}

/// What has arrived, up to the limits of a group.
fn gather(first: Message, messages: &Receiver<Message>) -> Vec<Job> {
    let mut group = Vec::new();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(message) = next {
        if let Message::Job(job) = message {
            bytes += job.size;
            group.push(job);
        }
        let room = group.len() < GROUP_REQUESTS && bytes < GROUP_BYTES;
        next = room.then(|| messages.try_recv().ok()).flatten();
    }
    group
}

/// The frame of an answer, or, if it would be too long, of [`SourceError::TooLarge`].
pub(crate) fn answer_frame(
    id: u64,
    result: Result<Answer, SourceError>,
    max_frame: u32,
) -> Vec<u8> {
    let answer = frame(&FromSource::Answer { id, result });
    if answer.len() - FRAME_HEADER <= max_frame as usize {
        return answer;
    }
    log::error!("the answer to request {id} has {} bytes: too large", answer.len());
    frame(&FromSource::Answer { id, result: Err(SourceError::TooLarge) })
}

#[cfg(test)]
mod tests {
    use event::{EventFlags, EventQueue};

    use super::*;

    #[test]
    fn a_panic_while_committing_is_told() {
        let outbox = Arc::new(Outbox::new().unwrap());
        let events = EventQueue::<usize>::new().unwrap();
        events.subscribe(outbox.descriptor(), 0, EventFlags::READ).unwrap();
        let mourner = Mourner { hive: "Machine".to_owned(), outbox: Arc::clone(&outbox) };
        let thread = thread::spawn(move || {
            let _mourner = mourner;
            panic!("as a damaged database can make redb do");
        });
        events.next_event().unwrap();
        assert!(matches!(outbox.take(), Err(Error::WriterDied(_))));
        assert!(thread.join().is_err());
    }

    #[test]
    fn a_group_ends_at_its_limits() {
        let (sender, receiver) = mpsc::channel();
        let job = |size| {
            Message::Job(Job { id: 0, request: Request::Outcome { first_sequence: 1 }, size })
        };
        for _ in 0..GROUP_REQUESTS + 5 {
            sender.send(job(1)).unwrap();
        }
        assert_eq!(gather(Message::Reopen, &receiver).len(), GROUP_REQUESTS);
        assert_eq!(gather(Message::Reopen, &receiver).len(), 5);
        for size in [GROUP_BYTES / 2, GROUP_BYTES, 1] {
            sender.send(job(size)).unwrap();
        }
        assert_eq!(gather(Message::Reopen, &receiver).len(), 2);
        assert_eq!(gather(job(1), &receiver).len(), 2);
    }
}
