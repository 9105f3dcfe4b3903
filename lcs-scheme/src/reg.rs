//! Handles of `reg:`: what is derived from them and called on them.

use std::rc::Rc;

use lcs_abi::call::{
    ChangeValues, DeleteValue, Derive, EnumSubkeys, GENERATION_PAGE, GetSecurity, LayerOnly,
    MIN_PAYLOAD, Op, QueryValue, QueryValues, SetSecurity, SetTombstone, SetValue, Unhide,
};
use lcs_abi::explain::Explain;
use lcs_abi::watch::Notify;
use lcs_abi::{ABI_VERSION, Malformed};
use lcs_core::registry::{Error, HandleId, Setting};
use lcs_core::security::Sid;
use redox_scheme::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;
use syscall::error::{EBADF, ECANCELED, EINVAL, ENOSPC, EOPNOTSUPP};
use syscall::flag::{EventFlags, F_GETFL, F_SETFL, MapFlags, O_NONBLOCK};
use syscall::schemev2::{NewFdFlags, Opcode};

use crate::call::{Call, Reply};
use crate::deadlines::Moment;
use crate::errno;
use crate::event_loop::Shared;
use crate::files;
use crate::outbox::Outbox;
use crate::payloads::Room;
use crate::raw::Incoming;

/// The handle that all opens by path start from. It belongs to nobody, so only operations that come with
/// the kernel's word about the caller work on it.
pub const SHARED_ROOT: usize = 0;

/// The largest request that is not a write of data, in bytes: names are far shorter, and of a security
/// descriptor neither list has more than 64 KiB.
const MAX_PLAIN_REQUEST: usize = 256 << 10;

/// Requests of reads are hardly ever longer, in bytes; those that are take the longer way.
const LIKELY_REQUEST: usize = 1024;

/// How much of a stream or a file is read or written at once, in bytes.
const MAX_PIECE: usize = 1 << 20;

/// Buffers up to this size, in bytes, are not counted.
const SMALL: usize = 64 << 10;

/// A handle's number on the scheme.
fn number(handle: HandleId) -> usize {
    handle.0 + 1
}

/// The handle of a number; `None` for the shared root.
fn handle(number: usize) -> Option<HandleId> {
    number.checked_sub(1).map(HandleId)
}

/// Takes on a request.
pub fn request(shared: &Rc<Shared>, outbox: &Rc<Outbox>, incoming: Incoming) {
    let result = match (incoming.opcode(), handle(incoming.handle())) {
        (Some(Opcode::OpenAt), base) => return files::open_at(shared, outbox, incoming, base),
        (Some(Opcode::UnlinkAt), base) => return files::unlink_at(shared, outbox, incoming, base),
        (Some(Opcode::Dup), base) => return derive(shared, outbox, incoming, base),
        (Some(Opcode::Call), Some(handle)) => return call(shared, outbox, incoming, handle),
        (Some(Opcode::Read), Some(handle)) if shared.registry.is_stream(handle) => {
            return read_bytes(
                shared,
                outbox,
                incoming,
                handle,
                async move |shared, call, bytes| {
                    shared.registry.read_backup(handle, bytes, || call.is_open()).await
                },
            );
        }
        (Some(Opcode::Read), Some(handle)) if shared.registry.is_file(handle) => {
            return files::read(shared, outbox, incoming, handle);
        }
        (Some(Opcode::Read), Some(handle)) => return read(shared, outbox, incoming, handle),
        (Some(Opcode::Write), Some(handle)) if shared.registry.is_stream(handle) => {
            return write_bytes(shared, outbox, incoming, handle, async move |shared, piece| {
                shared.registry.write_restore(handle, piece).await
            });
        }
        (Some(Opcode::Write), Some(handle)) if shared.registry.is_file(handle) => {
            return files::write(shared, outbox, incoming, handle);
        }
        (Some(Opcode::Write), Some(_)) => Err(EBADF),
        (Some(Opcode::Fevent), Some(handle)) if shared.registry.is_file(handle) => {
            return files::poll(shared, outbox, incoming, handle);
        }
        (Some(Opcode::Fevent), Some(handle)) => match shared.registry.is_readable(handle) {
            Ok(true) => Ok(EventFlags::EVENT_READ.bits()),
            Ok(false) => Ok(0),
            Err(error) => Err(errno::of(&error)),
        },
        (Some(Opcode::MmapPrep), Some(handle)) => map(shared, &incoming, handle),
        // The kernel has done it.
        (Some(Opcode::Munmap), Some(_)) => Ok(0),
        // The kernel keeps the flags; it only asks whether they may change.
        (Some(Opcode::Fcntl), Some(_)) => match incoming.arg(1) as usize {
            F_GETFL | F_SETFL => Ok(0),
            _ => Err(EINVAL),
        },
        (Some(_), None) => Err(EBADF),
        (Some(_), Some(handle)) => return files::request(shared, outbox, incoming, handle),
        _ => Err(EOPNOTSUPP),
    };
    Call::new(incoming, outbox, &shared.clock).answer(Reply::Status(result));
}

/// Where a root handle's generation page is.
fn map(shared: &Shared, incoming: &Incoming, handle: HandleId) -> Result<usize, i32> {
    let [length, flags, offset] = [1, 2, 3].map(|index| incoming.arg(index) as usize);
    let exactly = (MapFlags::PROT_READ | MapFlags::MAP_SHARED).bits();
    if !shared.registry.is_root(handle) {
        return Err(EOPNOTSUPP);
    }
    if offset != 0 || !(1..=GENERATION_PAGE).contains(&length) || flags != exactly {
        return Err(EINVAL);
    }
    Ok(shared.generations.address())
}

/// Ends the transactions and backups whose time is over, and wakes those who wait for the end of one, or for
/// events.
pub fn tell_readable(shared: &Rc<Shared>, outbox: &Outbox) {
    let due = [shared.registry.expire_transactions(), shared.registry.expire_backups()];
    let old_answers = shared.old_answers.tell(Moment::now());
    let due = due.into_iter().flatten().map(Moment::at).chain(old_answers);
    shared.clock.wake_at(due.min());
    if shared.registry.has_ended_streams() {
        let own = Rc::clone(shared);
        shared.start_own(async move { own.registry.release_streams().await });
    }
    for readable in shared.registry.take_readable() {
        shared.readers.serve(&shared.registry, readable);
        tell_left(shared, outbox, readable);
    }
}

/// Tells pollers of a handle that there is something to read, if there is. One that sees only edges is so told
/// again of what a read left.
fn tell_left(shared: &Shared, outbox: &Outbox, handle: HandleId) {
    if shared.registry.is_readable(handle) == Ok(true) {
        outbox.push(Response::post_fevent(number(handle), EventFlags::EVENT_READ.bits()));
    }
}

/// A handle is closed.
pub fn closed(shared: &Rc<Shared>, number: usize) {
    if let Some(handle) = handle(number) {
        close(shared, handle);
    }
}

fn close(shared: &Rc<Shared>, handle: HandleId) {
    shared.readers.close(handle);
    let own = Rc::clone(shared);
    shared.start_own(async move { own.registry.close(handle).await });
}

fn derive(shared: &Rc<Shared>, outbox: &Rc<Outbox>, incoming: Incoming, base: Option<HandleId>) {
    let context = incoming.caller();
    let payload = incoming.copy_in_at_most(MAX_PLAIN_REQUEST);
    let call = Call::new(incoming, outbox, &shared.clock);
    let derive: Derive = match lcs_abi::decode(&payload) {
        Ok(derive) => derive,
        Err(Malformed) => {
            call.answer(Reply::Opened(Err(EINVAL)));
            return;
        }
    };
    let own = Rc::clone(shared);
    let answered = Rc::clone(&call);
    shared.start(call, async move {
        let derived = match own.identity.caller(&context).await {
            Ok(caller) => own.registry.derive(base, &caller, derive).await.map_err(|error| {
                log::debug!("{}: {error}", caller.token.user());
                errno::of(&error)
            }),
            Err(errno) => Err(errno),
        };
        give(&own, &answered, derived);
    });
}

/// Gives a new handle to whoever asked for it, or closes it if nobody wants it any more.
pub fn give(shared: &Rc<Shared>, call: &Call, made: Result<HandleId, i32>) {
    match made {
        Err(errno) => {
            call.answer(Reply::Opened(Err(errno)));
        }
        Ok(handle) if call.is_cancelled() => {
            call.answer(Reply::Opened(Err(ECANCELED)));
            close(shared, handle);
        }
        Ok(handle) => {
            let mut flags = NewFdFlags::empty();
            if shared.registry.is_file(handle) {
                // The kernel keeps where it is read and written next.
                flags |= NewFdFlags::POSITIONED;
            }
            if !call.answer(Reply::Opened(Ok((number(handle), flags)))) {
                close(shared, handle);
            }
        }
    }
}

/// Reading a key's handle gives the events of its watch.
fn read(shared: &Rc<Shared>, outbox: &Rc<Outbox>, incoming: Incoming, handle: HandleId) {
    let nonblock = incoming.arg(4) as usize & O_NONBLOCK != 0;
    let call = Call::new(incoming, outbox, &shared.clock);
    shared.readers.read(&shared.registry, handle, call, nonblock);
    tell_left(shared, outbox, handle);
}

/// A read of bytes: `read` gives at most so many.
pub fn read_bytes(
    shared: &Rc<Shared>,
    outbox: &Rc<Outbox>,
    incoming: Incoming,
    handle: HandleId,
    read: impl AsyncFnOnce(&Shared, &Call, usize) -> Result<Vec<u8>, Error> + 'static,
) {
    let length = incoming.buffer_len();
    let call = Call::new(incoming, outbox, &shared.clock);
    let (own, answered) = (Rc::clone(shared), Rc::clone(&call));
    shared.start(call, async move {
        let _room = room(&own, handle, length).await;
        let reply = match read(&own, &answered, length.min(MAX_PIECE)).await {
            Ok(piece) => Reply::Bytes(piece),
            Err(error) => Reply::Status(Err(errno::of(&error))),
        };
        answered.answer(reply);
    });
}

/// A write of bytes, which `write` takes. As with any write, not all need be taken at once.
pub fn write_bytes(
    shared: &Rc<Shared>,
    outbox: &Rc<Outbox>,
    incoming: Incoming,
    handle: HandleId,
    write: impl AsyncFnOnce(&Shared, &[u8]) -> Result<(), Error> + 'static,
) {
    let length = incoming.buffer_len().min(MAX_PIECE);
    let call = Call::new(incoming, outbox, &shared.clock);
    let (own, answered) = (Rc::clone(shared), Rc::clone(&call));
    shared.start(call, async move {
        let _room = room(&own, handle, length).await;
        // It may have been told meanwhile that it took too long.
        if let Some(piece) = answered.copy_in_at_most(length) {
            let taken = write(&own, &piece).await;
            let status = taken.map(|()| piece.len()).map_err(|error| errno::of(&error));
            answered.answer(Reply::Status(status));
        }
    });
}

fn call(shared: &Rc<Shared>, outbox: &Rc<Outbox>, incoming: Incoming, handle: HandleId) {
    let (op, version) = (incoming.arg(3), incoming.arg(4));
    let length = incoming.buffer_len();
    let refusal =
        if incoming.names_several_handles() || version != ABI_VERSION || length < MIN_PAYLOAD {
            Some(EINVAL)
        } else {
            None
        };
    if refusal.is_none()
        && let Some(answer) = known(shared, &incoming, handle, op)
    {
        outbox.push(answered(incoming, &answer));
        return;
    }
    let call = Call::new(incoming, outbox, &shared.clock);
    let op = match (refusal, Op::from_raw(op)) {
        (None, Some(op)) => op,
        (refusal, _) => {
            call.answer(Reply::Status(Err(refusal.unwrap_or(EOPNOTSUPP))));
            return;
        }
    };
    let own = Rc::clone(shared);
    let answered = Rc::clone(&call);
    shared.start(call, async move {
        let _room = room(&own, handle, length).await;
        let longest = if matches!(op, Op::SetValue | Op::ChangeValues) {
            MAX_PLAIN_REQUEST.saturating_add(own.setting(Setting::MaxValueSize))
        } else {
            MAX_PLAIN_REQUEST
        };
        // It may have been told meanwhile that it took too long.
        if let Some(payload) = answered.copy_in_at_most(longest) {
            let reply = operate(&own, handle, op, &payload, length).await;
            answered.answer(reply);
        }
    });
}

/// The answer to a read of which all is known, and for which nobody has to wait.
fn known(shared: &Shared, incoming: &Incoming, handle: HandleId, op: u64) -> Option<Vec<u8>> {
    let length = incoming.buffer_len();
    let request = |most| incoming.copy_in_at_most(most);
    let registry = &shared.registry;
    let answer = match Op::from_raw(op)? {
        _ if length > SMALL => return None,
        Op::QueryValue => {
            registry.known_value(handle, &lcs_abi::decode(&request(LIKELY_REQUEST)).ok()?)
        }
        Op::QueryValues => {
            registry.known_values(handle, &lcs_abi::decode(&request(LIKELY_REQUEST)).ok()?, length)
        }
        _ => None,
    };
    answer.filter(|answer| answer.len() <= length)
}

/// Answers a request that has had no other answer, and waited for nothing.
fn answered(mut incoming: Incoming, bytes: &[u8]) -> Response {
    incoming.copy_out(bytes);
    Response::ok(bytes.len(), incoming.into_request())
}

/// Waits until there is room for a request with a large buffer, whether it is to be read or filled, among those
/// of the user that the handle acts for. SYSTEM waits for nobody.
async fn room(shared: &Shared, handle: HandleId, length: usize) -> Option<Room> {
    if length <= SMALL {
        return None;
    }
    let user = shared.registry.user_of(handle).ok().filter(|user| *user != Sid::SYSTEM)?;
    let most = shared.setting(Setting::MaxQueuedBytesPerUser);
    shared.payloads.room(user, length, most).await
}

/// Carries out an operation; its answer may have `length` bytes.
async fn operate(
    shared: &Shared,
    handle: HandleId,
    op: Op,
    payload: &[u8],
    length: usize,
) -> Reply {
    let registry = &shared.registry;
    /// Decodes the request of an operation and answers with what comes of it.
    macro_rules! answer {
        ($request:ty, |$decoded:ident| $operation:expr) => {
            match decode::<$request>(payload) {
                Ok($decoded) => reply($operation, length),
                Err(reply) => reply,
            }
        };
    }
    match op {
        Op::QueryValue => {
            answer!(QueryValue, |request| registry.query_value(handle, request).await)
        }
        Op::QueryValues => {
            answer!(QueryValues, |request| registry.query_values(handle, request, length).await)
        }
        Op::SetValue => match decode::<SetValue>(payload) {
            Ok(request) => reply(registry.set_value(handle, request).await, length),
            // Only so much of it was looked at as the largest value takes.
            Err(_) if payload.len() < length => Reply::Status(Err(ENOSPC)),
            Err(reply) => reply,
        },
        Op::ChangeValues => match decode::<ChangeValues>(payload) {
            Ok(request) => reply(registry.change_several(handle, request).await, length),
            Err(_) if payload.len() < length => Reply::Status(Err(ENOSPC)),
            Err(reply) => reply,
        },
        Op::DeleteValue => {
            answer!(DeleteValue, |request| registry.delete_value(handle, request).await)
        }
        Op::SetTombstone => {
            answer!(SetTombstone, |request| registry.set_tombstone(handle, request).await)
        }
        Op::SetBlanket => {
            answer!(LayerOnly, |request| registry.set_blanket(handle, request).await)
        }
        Op::ClearBlanket => {
            answer!(LayerOnly, |request| registry.clear_blanket(handle, request).await)
        }
        Op::EnumSubkeys => {
            answer!(EnumSubkeys, |request| registry.enum_subkeys(handle, request, length).await)
        }
        Op::KeyInfo => reply(registry.key_info(handle).await, length),
        Op::DeleteKey => {
            answer!(LayerOnly, |request| registry.delete_key(handle, request).await)
        }
        Op::HideKey => answer!(LayerOnly, |request| registry.hide_key(handle, request).await),
        Op::Unhide => answer!(Unhide, |request| registry.unhide(handle, request).await),
        Op::GetSecurity => {
            answer!(GetSecurity, |request| registry.get_security(handle, request).await)
        }
        Op::SetSecurity => {
            answer!(SetSecurity, |request| registry.set_security(handle, request).await)
        }
        Op::Flush => reply(registry.flush(handle).await, length),
        Op::Status => {
            let version = env!("CARGO_PKG_VERSION");
            reply(registry.status(handle, version, shared.sources.status()), length)
        }
        Op::Commit => reply(registry.commit(handle).await, length),
        Op::TransactionStatus => reply(registry.transaction_status(handle).await, length),
        Op::Notify => {
            let armed = answer!(Notify, |request| registry.notify(handle, request).await);
            // Whoever waits on a handle that is no longer armed waits for nothing.
            shared.readers.serve(registry, handle);
            armed
        }
        Op::Explain => answer!(Explain, |request| registry.explain(handle, request).await),
        Op::StoreCopy => reply(registry.store_copy(handle).await, length),
        Op::Finish => reply(registry.finish(handle).await, length),
    }
}

fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Reply> {
    lcs_abi::decode(payload).map_err(|Malformed| Reply::Status(Err(EINVAL)))
}

fn reply<T: Serialize>(result: Result<T, Error>, length: usize) -> Reply {
    match result {
        Ok(answer) => {
            let bytes = lcs_abi::encode(&answer);
            if bytes.len() <= length { Reply::Bytes(bytes) } else { Reply::TooSmall(bytes.len()) }
        }
        Err(Error::BufferTooSmall { needed }) => Reply::TooSmall(needed),
        Err(error) => Reply::Status(Err(errno::of(&error))),
    }
}
