//! `reg:` as files: keys are directories, values are files (INTERFACES §1).

mod directories;
mod opening;
mod polling;
mod reading;
mod removing;
mod writing;

use lcs_abi::call::{DACL_SECURITY_INFORMATION, SetSecurity};
use lcs_abi::security::Access;
use lcs_core::registry::{Caller, Error, FileStat, HandleId, OpenFlags};
use lcs_core::security::SecurityDescriptor;

use crate::common::Client;
use crate::common::client::system;
use crate::common::world::Source;

const READ: OpenFlags = OpenFlags::READ;
const WRITE: OpenFlags = OpenFlags::WRITE;
const LOOK: OpenFlags = OpenFlags::empty();

/// What `mkdir` asks for.
const NEW_DIRECTORY: OpenFlags = OpenFlags::DIRECTORY.union(NEW);

/// What makes a file that must not be there.
const NEW: OpenFlags = OpenFlags::CREATE.union(OpenFlags::EXCLUSIVE);

/// What a shell's `>` asks for.
const REPLACE: OpenFlags = WRITE.union(OpenFlags::CREATE).union(OpenFlags::TRUNCATE);

/// Codes of value types.
mod types {
    pub const NONE: u32 = 0;
    pub const SZ: u32 = 1;
    pub const BINARY: u32 = 3;
    pub const DWORD: u32 = 4;
    pub const MULTI_SZ: u32 = 7;
    pub const QWORD: u32 = 11;
}

/// Lets this user do this with a key, and SYSTEM everything.
fn allow(client: &Client, key: HandleId, who: &Caller, rights: Access) {
    let mut sddl = String::from("D:(A;;KA;;;SY)");
    if !rights.is_empty() {
        sddl.push_str(&format!("(A;;{:#x};;;{})", rights.bits(), who.token.user()));
    }
    let sd: SecurityDescriptor = sddl.parse().expect("a security descriptor");
    let request = SetSecurity { parts: DACL_SECURITY_INFORMATION, sd: sd.to_bytes() };
    client.run(client.registry.set_security(key, request)).expect("SYSTEM may");
}

/// A registry with a hive `Test`, and a user's queues no longer than this.
fn with_limit(bytes: u32) -> Client {
    let (client, _source) = Client::with_hive([]);
    client.serve(2, &[("Machine", &Source::new("Machine"))]).expect("a new hive");
    let settings = client.open("Machine\\System\\Registry").expect("LCS makes it");
    client
        .set(settings, "MaxQueuedBytesPerUser", types::DWORD, &bytes.to_le_bytes(), None)
        .expect("SYSTEM may");
    client
}

/// The same operations as programs know them.
impl Client {
    fn file(&self, path: &str, flags: OpenFlags) -> Result<HandleId, Error> {
        self.file_as(&system(), None, path, flags)
    }

    fn file_as(
        &self,
        caller: &Caller,
        base: Option<HandleId>,
        path: &str,
        flags: OpenFlags,
    ) -> Result<HandleId, Error> {
        self.run(self.registry.open_file(base, caller, path, flags))
    }

    fn read_at(&self, file: HandleId, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        self.run(self.registry.read_file(file, offset, length))
    }

    /// Writes from the start of the file.
    fn write(&self, file: HandleId, text: &str) -> Result<(), Error> {
        self.run(self.registry.write_file(file, text.as_bytes(), 0, false))
    }

    fn truncate(&self, file: HandleId, length: u64) -> Result<(), Error> {
        self.run(self.registry.truncate_file(file, length))
    }

    fn stat(&self, handle: HandleId) -> Result<FileStat, Error> {
        self.run(self.registry.stat_file(handle))
    }

    /// `cat`.
    fn cat(&self, path: &str) -> Result<String, Error> {
        let file = self.file(path, READ)?;
        let text = self.read_at(file, 0, 1 << 20);
        self.close(file);
        Ok(String::from_utf8(text?).expect("UTF-8"))
    }

    /// A shell's `>`.
    fn echo(&self, text: &str, path: &str) -> Result<(), Error> {
        let file = self.file(path, REPLACE)?;
        let written = self.write(file, text);
        self.close(file);
        written
    }

    /// `ls`.
    fn ls(&self, path: &str) -> Result<Vec<String>, Error> {
        let directory = self.file(path, READ | OpenFlags::DIRECTORY)?;
        let listed = self.run(self.registry.list_directory(directory, true));
        self.close(directory);
        Ok(listed?.entries().iter().map(|entry| entry.name.clone()).collect())
    }

    /// `rm`.
    fn rm(&self, path: &str) -> Result<(), Error> {
        self.run(self.registry.unlink_file(None, Some(&system()), path, false))
    }

    /// `rmdir`.
    fn rmdir(&self, path: &str) -> Result<(), Error> {
        self.run(self.registry.unlink_file(None, Some(&system()), path, true))
    }
}
