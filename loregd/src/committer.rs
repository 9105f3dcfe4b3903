//! The thread of a hive that commits whatever steps have arrived, together: group commit.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use lcs_abi::rsi::{Answer, FRAME_HEADER, FromSource, Request, SourceError, frame};

use crate::Error;
use crate::hive::{StagedStep, Stages, Turn, Writer, is_step};
use crate::outbox::Outbox;

/// How many requests one commit takes.
const GROUP_REQUESTS: usize = 1024;

/// How many bytes of requests one commit takes, or one request that is larger: so neither what it holds in
/// memory nor the time that its first caller waits for the last grows without bound.
const GROUP_BYTES: usize = 16 << 20;

/// How long nothing is to have come before a hive is sealed.
const QUIET: Duration = Duration::from_secs(1);

/// How long a hive may take to be closed.
const CLOSING: Duration = Duration::from_secs(2);

/// A request to carry out.
pub(crate) struct Job {
    /// The request's id.
    pub(crate) id: u64,
    /// The snapshot to read from; a step has none.
    pub(crate) snapshot: Option<u64>,
    pub(crate) request: Request,
    /// About how large it is, in bytes.
    pub(crate) size: usize,
}

/// The way to a hive's thread.
pub(crate) struct Committer {
    hive: String,
    jobs: Sender<Job>,
    /// Ends with the thread.
    closed: Receiver<Infallible>,
}

impl Committer {
    /// Starts the thread. Its answers go to `outbox`, in frames of at most `max_frame` bytes.
    pub(crate) fn start(
        hive: &str,
        writer: Writer,
        outbox: Arc<Outbox>,
        max_frame: u32,
    ) -> Result<Self, Error> {
        let (jobs, receiver) = mpsc::channel();
        let mourner = Mourner { hive: hive.to_owned(), outbox: Arc::clone(&outbox) };
        let (closing, closed) = mpsc::channel();
        thread::Builder::new()
            .name(format!("hive {hive}"))
            .spawn(move || {
                let (_closing, _mourner) = (closing, mourner);
                commit_all(writer, &receiver, &outbox, max_frame);
            })
            .map_err(|error| Error::System { what: "thread of a hive", error })?;
        Ok(Committer { hive: hive.to_owned(), jobs, closed })
    }

    /// Carries out what is queued, and closes the hive. One that takes long is left to itself: on Redox nothing ends
    /// a call to an LCS that is dead.
    pub(crate) fn close(self) {
        let Committer { hive, jobs, closed } = self;
        drop(jobs);
        if let Err(RecvTimeoutError::Timeout) = closed.recv_timeout(CLOSING) {
            log::warn!("{hive}: is not closed after {CLOSING:?}");
        }
    }

    /// Queues a request; it is answered through the outbox. One that reads is here because an error of the
    /// store kept it from being answered at once.
    pub(crate) fn queue(&self, job: Job) -> Result<(), Error> {
        self.jobs.send(job).map_err(|_| Error::WriterDied(self.hive.clone()))
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
            self.outbox.end(Error::WriterDied(self.hive.clone()));
        }
    }
}

fn commit_all(mut writer: Writer, jobs: &Receiver<Job>, outbox: &Outbox, max_frame: u32) {
    let frame = |id, answer| answer_frame(id, answer, max_frame);
    let mut queue = Queue { jobs, stages: writer.stages(), first: None, large: None };
    loop {
        if writer.is_to_be_sealed() && queue.is_quiet_for(QUIET) {
            writer.seal();
        }
        let Some(Group { steps, reads, answered }) = queue.next_group() else { return };
        outbox.send(answered.into_iter().map(|(id, answer)| frame(id, answer)).collect());
        let requests: Vec<_> = steps.iter().map(|(_, step)| step.parts()).collect();
        let answers = writer.commit_staged(&requests);
        let mut frames = Vec::with_capacity(steps.len() + reads.len());
        for ((id, step), answer) in steps.into_iter().zip(answers) {
            queue.stages.settle(step, &answer);
            frames.push(frame(id, answer));
        }
        let requests: Vec<_> =
            reads.iter().map(|(_, snapshot, request)| (*snapshot, request)).collect();
        let answers = writer.read(&requests);
        frames.extend(reads.iter().zip(answers).map(|((id, ..), answer)| frame(*id, answer)));
        outbox.send(frames);
    }
}

/// What arrives at the thread, and what it has to keep of that.
struct Queue<'a> {
    jobs: &'a Receiver<Job>,
    stages: Stages,
    /// What arrived while it was asked whether anything would.
    first: Option<Job>,
    /// A large step, which waits for a group of its own.
    large: Option<(u64, StagedStep)>,
}

/// What has arrived, each with the id of its request.
#[derive(Default)]
struct Group {
    /// To be committed together.
    steps: Vec<(u64, StagedStep)>,
    /// To be read, after that, from a snapshot or the newest state.
    reads: Vec<(u64, Option<u64>, Request)>,
    /// Answered without a commit.
    answered: Vec<(u64, Result<Answer, SourceError>)>,
}

impl Queue<'_> {
    /// Waits until something arrives, but not longer than this; whether nothing did.
    fn is_quiet_for(&mut self, time: Duration) -> bool {
        if self.large.is_some() {
            return false;
        }
        match self.jobs.recv_timeout(time) {
            Ok(job) => self.first = Some(job),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => {}
        }
        false
    }

    /// Waits for something, and takes with it what else is there, up to the limits of a group. `None`: nothing
    /// will come any more.
    ///
    /// A large step is a group of its own. What becomes of one from a stage decides, besides, whether its stage
    /// is there for what was sent after it.
    fn next_group(&mut self) -> Option<Group> {
        let mut group = Group::default();
        if let Some(large) = self.large.take() {
            group.steps.push(large);
            return Some(group);
        }
        let mut bytes = 0;
        let mut next = Some(match self.first.take() {
            Some(first) => first,
            None => self.jobs.recv().ok()?,
        });
        while let Some(Job { id, snapshot, request, size }) = next {
            if is_step(&request) {
                match self.stages.take(request) {
                    Turn::Answered(answer) => group.answered.push((id, answer)),
                    Turn::Step(step) if step.is_large() => {
                        self.large = Some((id, step));
                        break;
                    }
                    Turn::Step(step) => {
                        bytes += size;
                        group.steps.push((id, step));
                    }
                }
            } else {
                group.reads.push((id, snapshot, request));
            }
            let count = group.steps.len() + group.reads.len() + group.answered.len();
            let room = count < GROUP_REQUESTS && bytes < GROUP_BYTES;
            next = room.then(|| self.jobs.try_recv().ok()).flatten();
        }
        Some(group)
    }
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
    use lcs_abi::rsi::Changes;

    use super::*;
    use crate::outbox::tests::outbox;

    #[test]
    fn a_panic_while_committing_is_told() {
        let outbox = Arc::new(outbox().0);
        let events = EventQueue::<usize>::new().unwrap();
        events.subscribe(outbox.descriptor(), 0, EventFlags::READ).unwrap();
        let mourner = Mourner { hive: "Machine".to_owned(), outbox: Arc::clone(&outbox) };
        let thread = thread::spawn(move || {
            let _mourner = mourner;
            panic!("as a damaged database can make redb do");
        });
        events.next_event().unwrap();
        assert!(matches!(outbox.look(), Err(Error::WriterDied(_))));
        assert!(thread.join().is_err());
    }

    fn queue(jobs: &Receiver<Job>) -> Queue<'_> {
        Queue { jobs, stages: Stages::default(), first: None, large: None }
    }

    fn job(id: u64, request: Request, size: usize) -> Job {
        Job { id, snapshot: None, request, size }
    }

    #[test]
    fn a_group_ends_at_its_limits() {
        let (sender, receiver) = mpsc::channel();
        let mut queue = queue(&receiver);
        let sized = |size| job(0, Request::Outcome { first_sequence: 1 }, size);
        for _ in 0..GROUP_REQUESTS + 5 {
            sender.send(sized(1)).unwrap();
        }
        let mut next = || queue.next_group().unwrap().steps.len();
        assert_eq!(next(), GROUP_REQUESTS);
        assert_eq!(next(), 5);
        for size in [GROUP_BYTES / 2, GROUP_BYTES, 1, 1] {
            sender.send(sized(size)).unwrap();
        }
        assert_eq!(next(), 2);
        assert_eq!(next(), 2);
    }

    #[test]
    fn a_step_from_a_stage_is_a_group_of_its_own_and_staging_is_answered_without_the_disk() {
        let stage = |id| job(id, Request::Stage { stage: 7, mutations: Vec::new() }, GROUP_BYTES);
        let apply = |id, changes| {
            job(id, Request::Apply { conditions: Vec::new(), changes, first_sequence: id }, 10)
        };
        let plain = |id| apply(id, Changes::Mutations(Vec::new()));
        let staged = |id| apply(id, Changes::Stage(7));
        let (sender, receiver) = mpsc::channel();
        for message in [plain(1), stage(2), stage(3), plain(4), staged(5), staged(6), plain(7)] {
            sender.send(message).unwrap();
        }
        let mut queue = queue(&receiver);
        let mut next = || {
            let Group { steps, answered, .. } = queue.next_group().unwrap();
            let steps: Vec<u64> = steps.into_iter().map(|(id, _)| id).collect();
            (steps, answered)
        };
        let done = |id| (id, Ok(Answer::Done));
        assert_eq!(next(), (vec![1, 4], vec![done(2), done(3)]));
        assert_eq!(next(), (vec![5], vec![]));
        assert_eq!(next(), (vec![7], vec![(6, Err(SourceError::NotFound))]));
        drop(sender);
        assert!(queue.next_group().is_none());
    }
}
