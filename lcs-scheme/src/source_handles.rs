//! Handles of `regsrc:`, and what sources say over them.

use std::rc::Rc;

use lcs_abi::rsi::{
    FOLD_VERSION, FRAME_OVERHEAD, FromSource, RSI_VERSION, Refusal, RegisteredHive, ToSource, frame,
};
use lcs_core::registry::{ConnectionId, Setting};
use lcs_core::security::Privileges;
use syscall::error::{EBADF, EINVAL, EIO, ENOENT, EOPNOTSUPP, EPERM};
use syscall::flag::{EventFlags, F_GETFL, F_SETFL, O_NONBLOCK};
use syscall::schemev2::{NewFdFlags, Opcode};

use crate::call::{Call, Reply};
use crate::event_loop::Shared;
use crate::outbox::Outbox;
use crate::raw::Incoming;
use crate::regsrc::Phase;

/// The handle that all opens by path start from.
pub const SHARED_ROOT: usize = 0;

/// Takes on a request.
pub fn request(shared: &Rc<Shared>, outbox: &Rc<Outbox>, incoming: Incoming) {
    let opcode = incoming.opcode();
    let id = ConnectionId(incoming.handle() as u64);
    if incoming.handle() == SHARED_ROOT {
        match opcode {
            Some(Opcode::OpenAt) => open(shared, outbox, incoming),
            _ => {
                let call = Call::new(incoming, outbox, &shared.clock);
                call.answer(Reply::Status(Err(EBADF)));
            }
        }
        return;
    }
    if matches!(opcode, Some(Opcode::Read)) {
        let nonblock = incoming.arg(4) as usize & O_NONBLOCK != 0;
        shared.sources.read(id, incoming, nonblock);
        return;
    }
    let result = match opcode {
        Some(Opcode::Write) => {
            let bytes = incoming.copy_in();
            received(shared, id, &bytes)
        }
        Some(Opcode::Fevent) => {
            let flags = EventFlags::from_bits_retain(incoming.arg(1) as usize);
            shared.sources.subscribe(id, flags).map(|ready| ready.bits())
        }
        Some(Opcode::Fcntl) if matches!(incoming.arg(1) as usize, F_GETFL | F_SETFL) => Ok(0),
        _ => Err(EOPNOTSUPP),
    };
    Call::new(incoming, outbox, &shared.clock).answer(Reply::Status(result));
}

/// A source's handle is closed.
pub fn closed(shared: &Rc<Shared>, number: usize) {
    let id = ConnectionId(number as u64);
    disconnect(shared, id);
    shared.sources.closed(id);
}

/// Only those who are trusted with what the registry says may be a source.
fn open(shared: &Rc<Shared>, outbox: &Rc<Outbox>, incoming: Incoming) {
    let context = incoming.caller();
    let names_something = incoming.buffer_len() != 0;
    let call = Call::new(incoming, outbox, &shared.clock);
    let (own, answered) = (Rc::clone(shared), Rc::clone(&call));
    shared.start(call, async move {
        let connected = match own.identity.caller(&context).await {
            Err(errno) => Err(errno),
            Ok(caller) if !caller.token.holds(Privileges::TCB) => Err(EPERM),
            Ok(_) if names_something => Err(ENOENT),
            Ok(_) => Ok(own.sources.connect()),
        };
        let number = connected.map(|id| id.0 as usize);
        if !answered.answer(Reply::Opened(number.map(|number| (number, NewFdFlags::empty()))))
            && let Ok(id) = connected
        {
            own.sources.closed(id);
        }
    });
}

/// Takes what a source writes; its count, if all of it was understood.
fn received(shared: &Rc<Shared>, id: ConnectionId, bytes: &[u8]) -> Result<usize, i32> {
    if shared.sources.phase(id).ok_or(EBADF)? == Phase::Ended {
        return Err(EIO);
    }
    let messages = shared.sources.received(id, bytes);
    let understood =
        messages.is_some_and(|messages| messages.into_iter().all(|m| message(shared, id, m)));
    if understood {
        return Ok(bytes.len());
    }
    log::error!("source {}: protocol error; its connection is torn down", id.0);
    disconnect(shared, id);
    Err(EINVAL)
}

/// The source is as good as gone: its hives go out of service, and nobody waits for it any more.
fn disconnect(shared: &Rc<Shared>, id: ConnectionId) {
    shared.registry.disconnected(id);
    shared.sources.end(id);
}

/// Takes a message. False: it has no place here.
fn message(shared: &Rc<Shared>, id: ConnectionId, message: FromSource) -> bool {
    let sources = &shared.sources;
    match (sources.phase(id), message) {
        (Some(Phase::Open), FromSource::Claim { version, fold_version, hives }) => {
            let claimed = if version != RSI_VERSION {
                Err(Refusal::Version)
            } else if fold_version != FOLD_VERSION {
                Err(Refusal::FoldVersion)
            } else {
                shared.registry.claim(id, &hives)
            };
            match claimed {
                Ok(()) => accept(shared, id),
                Err(refusal) => refuse(shared, id, refusal),
            }
            true
        }
        (Some(Phase::Claimed), FromSource::Register { hives, assigns_sequences, recovered }) => {
            sources.set_phase(id, Phase::Registered);
            let claimed = shared.registry.recovered(id, recovered);
            if claimed {
                register(shared, id, hives, assigns_sequences);
            }
            claimed
        }
        (Some(Phase::Registered), FromSource::Answer { id: request, result }) => {
            sources.answered(id, request, result)
        }
        (Some(Phase::Registered), FromSource::Invalidate { hive, keys }) => {
            let has_hive = shared.registry.has_hive(id, hive);
            if has_hive {
                let own = Rc::clone(shared);
                shared.start_own(async move { own.registry.invalidated(id, hive, keys).await });
            }
            has_hive
        }
        (Some(Phase::Claimed | Phase::Registered), FromSource::Unregister) => {
            shared.registry.unregister(id);
            sources.end(id);
            true
        }
        // What was written behind a claim that is refused is not read.
        (Some(Phase::Ended), _) => true,
        _ => false,
    }
}

fn accept(shared: &Rc<Shared>, id: ConnectionId) {
    let max_value_size = shared.registry.setting(Setting::MaxValueSize);
    let max_value_size = u32::try_from(max_value_size).unwrap_or(u32::MAX - FRAME_OVERHEAD);
    let max_frame = FRAME_OVERHEAD + max_value_size;
    shared.sources.set_phase(id, Phase::Claimed);
    shared.sources.set_max_frame(id, max_frame);
    let claimed = ToSource::Claimed { version: RSI_VERSION, max_frame, max_value_size };
    shared.sources.tell(id, frame(&claimed));
}

fn refuse(shared: &Rc<Shared>, id: ConnectionId, refusal: Refusal) {
    log::error!("source {}: refused: {refusal}", id.0);
    shared.sources.tell(id, frame(&ToSource::Refused(refusal)));
    disconnect(shared, id);
}

/// Brings the hives into service; the source is told when LCS is ready too.
fn register(
    shared: &Rc<Shared>,
    id: ConnectionId,
    hives: Vec<RegisteredHive>,
    assigns_sequences: bool,
) {
    let own = Rc::clone(shared);
    shared.start_own(async move {
        match own.registry.register(id, &hives, assigns_sequences).await {
            Ok(()) => {
                own.sources.tell(id, frame(&ToSource::Registered));
                own.registry.finish_deletions().await;
            }
            Err(refusal) => refuse(&own, id, refusal),
        }
    });
}
