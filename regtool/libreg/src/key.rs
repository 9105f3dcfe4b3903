//! Key handles.

use std::ops::ControlFlow;
use std::sync::Arc;

use lcs_abi::call::{self as abi, AfterValues, Derive, Guarded, NamedValueRef, Op};
use lcs_abi::security::Access;
use libredox::Fd;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::call;
use crate::connection::{Connection, Kept};
use crate::error::{Attempt, Cause, Error};
use crate::registry::failed;
use crate::security::{Parts, SecurityDescriptor};
use crate::{KeyInfo, NamedValue, Subkey, Value, ValueChange};

/// An open key. It goes on working if the key is moved out of sight, and its rights stay what they were.
pub struct Key {
    handle: Fd,
    path: String,
    kept: Kept,
}

/// How to create a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct CreateKey<'a> {
    /// The layer of the new path entry; `None` is `base`.
    pub layer: Option<&'a str>,
    /// The key lives until its source or LCS ends.
    pub volatile: bool,
    /// The key is a link to this absolute path, in which `CurrentUser` is a name like others. If the name
    /// is taken, what has it is opened and stays as it is; a link then itself and not its target.
    pub link: Option<&'a str>,
}

impl CreateKey<'_> {
    pub(crate) fn derive(&self, path: &str, access: Access) -> Derive {
        let volatile = if self.volatile { abi::CREATE_VOLATILE } else { 0 };
        let link = if self.link.is_some() { abi::CREATE_LINK } else { 0 };
        Derive::CreateKey {
            path: path.to_owned(),
            access: access.bits(),
            layer: self.layer.map(str::to_owned),
            flags: volatile | link,
            link_target: self.link.map(str::to_owned),
        }
    }

    pub(crate) fn attempt(&self, access: Access) -> Attempt {
        let layer = self.layer.map(str::to_owned);
        Attempt::CreateKey { layer, access, link: self.link.is_some() }
    }
}

/// How to write a value.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetValue<'a> {
    /// The layer; `None` is `base`.
    pub layer: Option<&'a str>,
    /// Write only if the layer's entry has this sequence number, or, for 0, if the layer has none.
    pub expected_sequence: Option<u64>,
}

impl Key {
    pub(crate) fn new(handle: Fd, path: &str, connection: &Arc<Connection>) -> Key {
        Key { handle, path: path.to_owned(), kept: Kept::new(connection) }
    }

    pub(crate) fn handle(&self) -> &Fd {
        &self.handle
    }

    /// Whether the key was opened in a transaction.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.kept.connection().is_of_transaction
    }

    /// The path by which the key was opened.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Opens a key below this one; `path` begins here, and without a name leads to this key. Links are
    /// followed.
    pub fn open_key(&self, path: &str, access: Access) -> Result<Key, Error> {
        self.open_with(path, access, 0)
    }

    /// Opens a key below this one; `path` begins here. If it is a link, then the link and not its target.
    pub fn open_link(&self, path: &str, access: Access) -> Result<Key, Error> {
        self.open_with(path, access, abi::OPEN_LINK)
    }

    /// Creates a key below this one, or opens it if it is there; `path` begins here. The rights of this
    /// handle play no part, unless it is restricted.
    pub fn create_key(&self, path: &str, access: Access, how: &CreateKey) -> Result<Key, Error> {
        self.derive(path, &how.derive(path, access), || how.attempt(access))
    }

    /// What the key is: name, identity, times, counts; all but `created` and `access` need READ_CONTROL.
    pub fn info(&self) -> Result<KeyInfo, Error> {
        if let Some(kept) = self.kept.info() {
            return Ok(kept);
        }
        let told = self.call(Op::KeyInfo, &(), call::ANSWER, || Attempt::KeyInfo)?;
        Ok(self.kept.keep_info(told))
    }

    /// The effective value of a name; the empty name is the default value. Needs QUERY_VALUE.
    pub fn value(&self, name: &str) -> Result<Value, Error> {
        if let Some(kept) = self.kept.value(name) {
            return Ok(kept);
        }
        let request = abi::QueryValue { name: name.to_owned() };
        let attempt = || Attempt::QueryValue { name: name.to_owned() };
        let told = self.call(Op::QueryValue, &request, call::ANSWER, attempt)?;
        Ok(self.kept.keep_value(name, told))
    }

    /// All effective values, in the order of their folded names. Needs QUERY_VALUE.
    pub fn values(&self) -> Values<'_> {
        Values { key: self, page: ValuePage::default(), next: Next::Page(None) }
    }

    /// Looks at all effective values, in the order of their folded names, where they are: what is not copied costs
    /// little. Stops when `look` breaks, and gives what it breaks with. Needs QUERY_VALUE.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// use libreg::{Access, Registry};
    ///
    /// # fn main() -> Result<(), libreg::Error> {
    /// # let _system = registry_tests::harness::System::for_an_example();
    /// let key = Registry::open()?.open_key("Machine/System/Registry", Access::KEY_READ)?;
    /// let mut bytes = 0;
    /// key.each_value(|value| {
    ///     bytes += value.name.len() + value.value.data.len();
    ///     ControlFlow::<()>::Continue(())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn each_value<R>(
        &self,
        mut look: impl FnMut(NamedValueRef<'_>) -> ControlFlow<R>,
    ) -> Result<Option<R>, Error> {
        let mut next = Next::Page(None);
        while let Next::Page(cursor) = next {
            let mut page = ValuePage::ask(self, cursor)?;
            while page.left > 0 {
                page.left -= 1;
                let value = page.take().map_err(|cause| self.failed_to_list(cause))?;
                if let ControlFlow::Break(found) = look(value) {
                    return Ok(Some(found));
                }
            }
            next = page.next().map_err(|cause| self.failed_to_list(cause))?;
        }
        Ok(None)
    }

    fn failed_to_list(&self, cause: Cause) -> Error {
        failed(&self.path, Attempt::ListValues, cause)
    }

    /// Writes a value, durably, and says its sequence number. Needs SET_VALUE.
    pub fn set_value(
        &self,
        name: &str,
        value_type: u32,
        data: &[u8],
        how: &SetValue,
    ) -> Result<u64, Error> {
        let request = abi::SetValue {
            name: name.to_owned(),
            value_type,
            data: data.to_vec(),
            layer: how.layer.map(str::to_owned),
            expected_sequence: how.expected_sequence,
        };
        let answer: abi::SetValueAnswer =
            self.call(Op::SetValue, &request, 0, || Attempt::SetValue {
                name: name.to_owned(),
                layer: how.layer.map(str::to_owned),
                expected_sequence: how.expected_sequence,
            })?;
        Ok(answer.sequence)
    }

    /// Removes a layer's entry for a value; one that is not there is no error. Needs SET_VALUE.
    pub fn delete_value(&self, name: &str, layer: Option<&str>) -> Result<(), Error> {
        let layer = layer.map(str::to_owned);
        let request = abi::DeleteValue { name: name.to_owned(), layer: layer.clone() };
        self.call(Op::DeleteValue, &request, 0, || Attempt::DeleteValue {
            name: name.to_owned(),
            layer,
        })
    }

    /// Changes several values in a layer, `base` if none is named: all of them, durably, or, if one cannot be, none.
    /// One request takes about 256 KiB, whatever the number of values. Needs SET_VALUE. Gives the sequence number of
    /// the first change; outside a transaction those of the others follow it.
    ///
    /// ```
    /// use libreg::{Access, Becomes, CreateKey, Registry, ValueChange, ValueType};
    ///
    /// # fn main() -> Result<(), libreg::Error> {
    /// # let _system = registry_tests::harness::System::for_an_example();
    /// let registry = Registry::open()?;
    /// let key = registry.create_key("Machine/Editor", Access::KEY_ALL_ACCESS, &CreateKey::default())?;
    /// let text = |text: &str| Becomes::Value { value_type: ValueType::Sz.code(), data: text.into() };
    /// let change = |name: &str, to| ValueChange { name: name.to_owned(), to };
    /// key.change_values(vec![change("Theme", text("dark")), change("Tabs", text("8"))], None)?;
    /// key.change_values(vec![change("Theme", text("light")), change("Tabs", Becomes::Absent)], None)?;
    /// assert_eq!(key.value("Theme")?.data, b"light");
    /// assert!(key.value("Tabs").is_err_and(|error| error.is_not_found()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the change that cannot be. EINVAL: no changes. ENOSPC: more than a request takes.
    pub fn change_values(
        &self,
        changes: Vec<ValueChange>,
        layer: Option<&str>,
    ) -> Result<u64, Error> {
        let layer = layer.map(str::to_owned);
        let request = abi::ChangeValues { changes, layer: layer.clone() };
        let answer: abi::SetValueAnswer =
            self.call(Op::ChangeValues, &request, 0, || Attempt::ChangeValues { layer })?;
        Ok(answer.sequence)
    }

    /// The visible subkeys, in the order of their folded names. With `counts` each says what it holds,
    /// which costs a look into each. Needs ENUMERATE_SUB_KEYS.
    pub fn subkeys(&self, counts: bool) -> Subkeys<'_> {
        Subkeys { key: self, counts, page: Vec::new().into_iter(), next: Next::Page(None) }
    }

    /// Removes a layer's path entry of this key, which must have no visible subkeys. Needs DELETE.
    pub fn delete(&self, layer: Option<&str>) -> Result<(), Error> {
        let layer = layer.map(str::to_owned);
        let request = abi::LayerOnly { layer: layer.clone() };
        self.call(Op::DeleteKey, &request, 0, || Attempt::DeleteKey { layer })
    }

    /// Parts of the key's security descriptor. Owner, group and DACL need READ_CONTROL, the SACL
    /// ACCESS_SYSTEM_SECURITY.
    ///
    /// # Errors
    /// EACCES: one of these rights is not granted; EINVAL: no parts; [`Cause::Malformed`]: the answer is no
    /// security descriptor.
    pub fn security(&self, parts: Parts) -> Result<SecurityDescriptor, Error> {
        let attempt = || Attempt::GetSecurity { parts };
        let request = abi::GetSecurity { parts: parts.bits() };
        let answer: abi::GetSecurityAnswer =
            self.call(Op::GetSecurity, &request, call::ANSWER, attempt)?;
        SecurityDescriptor::from_bytes(&answer.sd)
            .map_err(|_| failed(&self.path, attempt(), Cause::Malformed))
    }

    /// Replaces parts of the key's security descriptor by those of another one, durably; the other parts of
    /// `sd` are not looked at. Owner and group need WRITE_OWNER, the DACL WRITE_DAC, the SACL
    /// ACCESS_SYSTEM_SECURITY. Handles that are open keep their rights, and keys below stay as they are.
    ///
    /// # Errors
    /// EACCES: one of these rights is not granted; EPERM: the new owner is neither the caller nor one of its
    /// groups, which takes SeRestore; EINVAL: no parts, or an owner or group that is none.
    pub fn set_security(&self, parts: Parts, sd: &SecurityDescriptor) -> Result<(), Error> {
        let request = abi::SetSecurity { parts: parts.bits(), sd: sd.only(parts).to_bytes() };
        self.call(Op::SetSecurity, &request, 0, || Attempt::SetSecurity { parts })
    }

    /// The same key with these rights and no others, able to write into these layers and no others (`base`,
    /// too, only if it is named; `None` leaves the layers as they are), and without the caller's privileges.
    /// What is opened from it has no more than that.
    ///
    /// # Errors
    /// EACCES: one of the rights or layers is more than this handle has; ENOENT: no such layer; EINVAL: no
    /// rights.
    pub fn restrict(&self, access: Access, layers: Option<&[&str]>) -> Result<Key, Error> {
        let layers = layers.map(|layers| layers.iter().map(|layer| (*layer).to_owned()).collect());
        let derive = Derive::Restrict { access: access.bits(), layers };
        match call::derive(&self.handle, &derive) {
            Ok(handle) => Ok(Key::new(handle, &self.path, self.kept.connection())),
            Err(cause) => Err(failed(&self.path, Attempt::Restrict { access }, cause)),
        }
    }

    fn open_with(&self, path: &str, access: Access, flags: u32) -> Result<Key, Error> {
        let derive = Derive::OpenKey { path: path.to_owned(), access: access.bits(), flags };
        self.derive(path, &derive, || Attempt::open(access, flags))
    }

    fn derive(
        &self,
        path: &str,
        derive: &Derive,
        attempt: impl FnOnce() -> Attempt,
    ) -> Result<Key, Error> {
        let path = match path {
            "" => self.path.clone(),
            below => format!("{}\\{below}", self.path),
        };
        match self.kept.connection().ask(|| call::derive(&self.handle, derive)) {
            Ok(handle) => Ok(Key::new(handle, &path, self.kept.connection())),
            Err(cause) => Err(failed(&path, attempt(), cause)),
        }
    }

    pub(crate) fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        op: Op,
        request: &Q,
        room: usize,
        attempt: impl FnOnce() -> Attempt,
    ) -> Result<A, Error> {
        self.ask(|| call::call(&self.handle, op, request, room), attempt)
    }

    fn ask<A>(
        &self,
        ask: impl FnOnce() -> Result<A, Cause>,
        attempt: impl FnOnce() -> Attempt,
    ) -> Result<A, Error> {
        let answer = self.kept.connection().ask(ask);
        answer.map_err(|cause| failed(&self.path, attempt(), cause))
    }
}

/// Where a listing goes on when its page is used up.
enum Next {
    Page(Option<String>),
    Nothing,
}

impl Next {
    fn after(next: Option<String>) -> Next {
        next.map_or(Next::Nothing, |cursor| Next::Page(Some(cursor)))
    }
}

/// A page of values as it came, which is decoded value by value.
#[derive(Default)]
struct ValuePage {
    bytes: Vec<u8>,
    /// Where the next value is.
    at: usize,
    /// How many there still are.
    left: u64,
}

impl ValuePage {
    /// The page behind a cursor.
    fn ask(key: &Key, cursor: Option<String>) -> Result<ValuePage, Error> {
        let request = abi::QueryValues { cursor };
        let (handle, op) = (key.handle(), Op::QueryValues);
        let ask = || call::call_with(handle, op, &request, call::PAGE, ValuePage::new);
        key.ask(ask, || Attempt::ListValues)
    }

    fn new(answer: &[u8]) -> Result<ValuePage, Cause> {
        let (left, rest) = lcs_abi::decode_first(answer).map_err(|_| Cause::Malformed)?;
        Ok(ValuePage { at: answer.len() - rest.len(), bytes: answer.to_vec(), left })
    }

    fn take<'p, T: Deserialize<'p>>(&'p mut self) -> Result<T, Cause> {
        let bytes = self.bytes.get(self.at..).unwrap_or_default();
        let (taken, rest) = lcs_abi::decode_first(bytes).map_err(|_| Cause::Malformed)?;
        self.at = self.bytes.len() - rest.len();
        Ok(taken)
    }

    /// Where the listing goes on, when all values were taken.
    fn next(mut self) -> Result<Next, Cause> {
        self.take().map(|after: AfterValues| Next::after(after.next))
    }
}

/// The values of a key; ends after the first error.
pub struct Values<'a> {
    key: &'a Key,
    page: ValuePage,
    next: Next,
}

impl Values<'_> {
    /// The next value, page by page.
    fn step(&mut self) -> Result<Option<NamedValue>, Error> {
        let failed = |cause| self.key.failed_to_list(cause);
        loop {
            if self.page.left > 0 {
                self.page.left -= 1;
                let value = self.page.take().map_err(failed)?;
                if self.page.left == 0 {
                    self.next = std::mem::take(&mut self.page).next().map_err(failed)?;
                }
                return Ok(Some(value));
            }
            let Next::Page(cursor) = std::mem::replace(&mut self.next, Next::Nothing) else {
                return Ok(None);
            };
            self.page = ValuePage::ask(self.key, cursor)?;
        }
    }
}

impl Iterator for Values<'_> {
    type Item = Result<NamedValue, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.step();
        if value.is_err() {
            (self.page, self.next) = (ValuePage::default(), Next::Nothing);
        }
        value.transpose()
    }
}

/// The subkeys of a key; ends after the first error.
pub struct Subkeys<'a> {
    key: &'a Key,
    counts: bool,
    page: std::vec::IntoIter<Subkey>,
    next: Next,
}

impl Iterator for Subkeys<'_> {
    type Item = Result<Subkey, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(subkey) = self.page.next() {
                return Some(Ok(subkey));
            }
            let Next::Page(cursor) = std::mem::replace(&mut self.next, Next::Nothing) else {
                return None;
            };
            let request = abi::EnumSubkeys { cursor, counts: self.counts };
            let told: Result<Guarded<abi::EnumSubkeysAnswer>, Error> =
                self.key.call(Op::EnumSubkeys, &request, call::PAGE, || Attempt::ListSubkeys);
            match told {
                Ok(Guarded { answer, .. }) => {
                    self.page = answer.subkeys.into_iter();
                    self.next = Next::after(answer.next);
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
