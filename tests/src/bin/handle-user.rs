//! A program that is given a key handle over a socket, its standard input, and says what it can do with it:
//! a line for each attempt, `ok` or the error's number.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd;

use hosted as _;
use lcs_abi::call::{
    DACL_SECURITY_INFORMATION, Derive, GetSecurity, GetSecurityAnswer, Guarded, KeyInfoAnswer, Op,
    QueryValue, QueryValueAnswer, SetValue, SetValueAnswer,
};
use libredox::Fd;
use libreg::{Access, ValueType};
use registry_tests::registry::{call, derive};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

fn received() -> anyhow::Result<Fd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [IoSliceMut::new(&mut byte)];
    recvmsg(std::io::stdin(), &mut bytes, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let descriptor = descriptor.ok_or_else(|| anyhow::anyhow!("no descriptor came"))?;
    Ok(Fd::new(usize::try_from(descriptor.into_raw_fd())?))
}

fn say<T>(what: &str, outcome: libredox::error::Result<T>) {
    match outcome {
        Ok(_) => println!("{what}: ok"),
        Err(error) => println!("{what}: {}", error.errno()),
    }
}

fn main() -> anyhow::Result<()> {
    let key = received()?;
    let info: Guarded<KeyInfoAnswer> = call(&key, Op::KeyInfo, &(), &[])?;
    let info = info.answer;
    println!("granted: {:#x}", info.access);
    let name = || "Name".to_owned();
    let query = QueryValue { name: name() };
    say("read", call::<_, Guarded<QueryValueAnswer>>(&key, Op::QueryValue, &query, &[]));
    let set = SetValue {
        name: name(),
        value_type: ValueType::Sz.code(),
        data: b"changed".into(),
        layer: None,
        expected_sequence: None,
    };
    say("write", call::<_, SetValueAnswer>(&key, Op::SetValue, &set, &[]));
    let parts = GetSecurity { parts: DACL_SECURITY_INFORMATION };
    say("security", call::<_, GetSecurityAnswer>(&key, Op::GetSecurity, &parts, &[]));
    let open =
        |access: Access| Derive::OpenKey { path: String::new(), access: access.bits(), flags: 0 };
    say("open again", derive(&key, &open(Access::QUERY_VALUE)));
    Ok(())
}
