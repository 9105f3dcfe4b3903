//! From the paths of files to handles.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use lcs_abi::call::SetValue;
use lcs_abi::security::Access;
use lcs_abi::value::ValueType;
use spin::Mutex;

use super::super::Registry;
use super::super::backend::Backend;
use super::super::error::{Error, NotFound};
use super::super::handles::{Handle, HandleId, KeyHandle};
use super::super::open::{Place, Reached};
use super::super::security::{Asking, Caller};
use super::super::settings::Setting;
use super::super::structure::{Child, Maker, NewKey};
use super::{Content, File, OpenFlags, Texts};
use crate::model::file_name::{FileName, parse_file_path, value_file_name};
use crate::model::name::{KeyName, ValueName};
use crate::model::path::KeyPath;
use crate::security::access_check;

/// The directory that a path's last component is in, as far as that matters.
pub(super) struct Parent {
    pub(super) reached: Reached,
    pub(super) last: FileName,
}

impl<B: Backend> Registry<B> {
    /// A file or a directory, for this caller: below `base`, or below the registry as a whole. The empty path is
    /// `base` itself.
    ///
    /// # Errors
    /// As files have them: `IsADirectory`, `NotADirectory`, `AlreadyExists` (also a value that another layer
    /// masks), `NotFound`, `AccessDenied`, `LinkLoop` for a link that is not to be followed.
    pub async fn open_file(
        &self,
        base: Option<HandleId>,
        caller: &Caller,
        path: &str,
        flags: OpenFlags,
    ) -> Result<HandleId, Error> {
        let base_handle = self.base(base, caller)?;
        let Some((last, parents)) = self.split(path)? else {
            if flags.contains(OpenFlags::NEW) {
                return Err(Error::AlreadyExists);
            }
            return match &base_handle {
                Handle::Key(key) => {
                    let record = self.read_key(key.site, key.key).await?;
                    let reached = Reached { place: key.place(), record, made: None };
                    self.open_directory(&base_handle, caller, reached, flags).await
                }
                Handle::Root(..) if flags.contains(OpenFlags::WRITE) => Err(Error::IsADirectory),
                Handle::Root(..) => self.open_root(base, Rc::clone(&caller.token)),
                _ => Err(Error::BadHandle),
            };
        };
        let Some(parent) = self.parent(&base_handle, caller, &parents, last.clone()).await? else {
            return self.open_hive(&base_handle, caller, &last, flags).await;
        };
        match self.found(&parent, flags).await? {
            Some(_) if flags.contains(OpenFlags::NEW) => Err(Error::AlreadyExists),
            Some(reached) if reached.record.link => {
                self.open_link_itself(&base_handle, caller, reached, flags).await
            }
            Some(reached) => self.open_directory(&base_handle, caller, reached, flags).await,
            None if flags.contains(OpenFlags::DIRECTORY) => {
                self.make_directory(&base_handle, caller, &parent, flags).await
            }
            None => self.open_value(&base_handle, caller, &parent, flags).await,
        }
    }

    /// The last component of a path, and those before it.
    pub(super) fn split(&self, path: &str) -> Result<Option<(FileName, Vec<FileName>)>, Error> {
        let mut components = parse_file_path(path)?;
        let length: usize = components.iter().map(|component| component.name.len() + 1).sum();
        if length > self.with(|state| state.settings.size(Setting::MaxTotalPathLength)) + 1 {
            return Err(Error::NameTooLong);
        }
        Ok(components.pop().map(|last| (last, components)))
    }

    /// The directory in which a path ends; none if that is the registry as a whole.
    pub(super) async fn parent(
        &self,
        base: &Handle,
        caller: &Caller,
        parents: &[FileName],
        last: FileName,
    ) -> Result<Option<Parent>, Error> {
        if parents.is_empty() && matches!(base, Handle::Root(..) | Handle::Transaction(..)) {
            return Ok(None);
        }
        let mut names = Vec::new();
        for component in parents {
            if component.is_value {
                return Err(Error::NotADirectory);
            }
            names.push(self.key_name_of_file(component)?.ok_or(Error::NotFound(NotFound::Key))?);
        }
        let (start, path) = self.start(base, &caller.token, KeyPath::from(names)).await?;
        let mut patience = self.patience();
        match self.follow(start.clone(), path.components(), false, &mut patience).await {
            Ok(reached) => Ok(Some(Parent { reached, last })),
            Err(Error::NotFound(NotFound::Key)) => {
                Err(self.why_no_directory(start, path.components(), caller).await)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a way ends at a value, as far as this caller may know.
    async fn why_no_directory(&self, start: Place, names: &[KeyName], caller: &Caller) -> Error {
        for (done, name) in names.iter().enumerate() {
            let walked =
                self.follow(start.clone(), &names[..done], false, &mut self.patience()).await;
            let Ok(reached) = walked else { break };
            match self.child(&reached.place, name).await {
                Ok(Some(_)) => {}
                Ok(None) if self.shows_value(&reached, name.display(), caller).await => {
                    return Error::NotADirectory;
                }
                _ => break,
            }
        }
        Error::NotFound(NotFound::Key)
    }

    /// Whether a key has a value of this name, and this caller may know.
    pub(super) async fn shows_value(&self, key: &Reached, name: &str, caller: &Caller) -> bool {
        let Ok(sd) = self.descriptor(key.place.site.slot, &key.record) else { return false };
        let query = Access::QUERY_VALUE.into();
        if access_check(&sd, &caller.token, &query).is_err() {
            return false;
        }
        let Ok(name) = self.value_name(name) else { return false };
        let place = &key.place;
        let winner = self.winning_value(place.site, &place.view, place.key, &name).await;
        matches!(winner, Ok(Some(_)))
    }

    /// The name that a component has as a key's; none if it is a value's, or no key can have it.
    pub(super) fn key_name_of_file(&self, file: &FileName) -> Result<Option<KeyName>, Error> {
        if file.is_value { Ok(None) } else { self.possible_key_name(&file.name) }
    }

    /// A key's name; none if no key can have it.
    fn possible_key_name(&self, name: &str) -> Result<Option<KeyName>, Error> {
        match self.key_name(name) {
            Err(Error::Invalid(_)) => Ok(None),
            name => name.map(Some),
        }
    }

    /// The key that a path ends at, if it is one: what a link leads to, or the link itself if that is wanted.
    async fn found(&self, parent: &Parent, flags: OpenFlags) -> Result<Option<Reached>, Error> {
        let Some(name) = self.key_name_of_file(&parent.last)? else { return Ok(None) };
        let place = &parent.reached.place;
        let Some(record) = self.child(place, &name).await? else { return Ok(None) };
        let child = place.child(&record);
        let itself = OpenFlags::LINK_ITSELF | OpenFlags::NO_FOLLOW;
        if record.link && !flags.intersects(itself) && !flags.contains(OpenFlags::NEW) {
            return self.follow_link(&child, &mut self.patience()).await.map(Some);
        }
        Ok(Some(Reached { place: child, record, made: None }))
    }

    /// A hive, or the alias for the caller's own part of `Users`.
    async fn open_hive(
        &self,
        base: &Handle,
        caller: &Caller,
        name: &FileName,
        flags: OpenFlags,
    ) -> Result<HandleId, Error> {
        let hive = self.key_name_of_file(name)?.ok_or(Error::NotFound(NotFound::Hive))?;
        let path = KeyPath::from(Vec::from([hive]));
        let started = self.start(base, &caller.token, path).await;
        let (start, path) = match started {
            // Hives are what sources bring, and nobody makes one.
            Err(Error::NotFound(NotFound::Hive)) if flags.contains(OpenFlags::CREATE) => {
                return Err(Error::AccessDenied { missing: Access::CREATE_SUB_KEY });
            }
            started => started?,
        };
        let reached = self.follow(start, path.components(), false, &mut self.patience()).await?;
        if flags.contains(OpenFlags::NEW) {
            return Err(Error::AlreadyExists);
        }
        self.open_directory(base, caller, reached, flags).await
    }

    /// A key as a directory: with the rights that reading it takes, as far as they are granted.
    async fn open_directory(
        &self,
        base: &Handle,
        caller: &Caller,
        reached: Reached,
        flags: OpenFlags,
    ) -> Result<HandleId, Error> {
        if flags.intersects(OpenFlags::CHANGE) {
            return Err(Error::IsADirectory);
        }
        self.admit(reached, asking_for_directory(base, caller, flags)?).await
    }

    async fn make_directory(
        &self,
        base: &Handle,
        caller: &Caller,
        parent: &Parent,
        flags: OpenFlags,
    ) -> Result<HandleId, Error> {
        let new = flags.contains(OpenFlags::NEW);
        if self.shows_value(&parent.reached, &parent.last.name, caller).await {
            return Err(if new { Error::AlreadyExists } else { Error::NotADirectory });
        }
        if !flags.contains(OpenFlags::CREATE) {
            return Err(Error::NotFound(NotFound::Key));
        }
        if flags.intersects(OpenFlags::CHANGE) {
            return Err(Error::IsADirectory);
        }
        let name = self.key_name_of_file(&parent.last)?;
        let name = name.ok_or(Error::Invalid("no name of a key"))?;
        let asking = asking_for_directory(base, caller, flags)?;
        let maker = Maker::Client(&asking, None);
        let key = NewKey { name: &name, volatile: false, link: None, maker };
        let (record, made) = match self.create_child(&parent.reached.place, key).await? {
            Child::Found(_) if new => return Err(Error::AlreadyExists),
            Child::Found(record) => (record, None),
            Child::Made(record, access) => (record, Some(access)),
        };
        let place = parent.reached.place.child(&record);
        self.admit(Reached { place, record, made }, asking).await
    }

    async fn open_link_itself(
        &self,
        base: &Handle,
        caller: &Caller,
        reached: Reached,
        flags: OpenFlags,
    ) -> Result<HandleId, Error> {
        if !flags.contains(OpenFlags::LINK_ITSELF) {
            return Err(Error::LinkLoop);
        }
        if flags.contains(OpenFlags::DIRECTORY) {
            return Err(Error::NotADirectory);
        }
        if flags.intersects(OpenFlags::CHANGE) {
            return Err(Error::Invalid("a link is no file to write"));
        }
        let right = if flags.contains(OpenFlags::READ) {
            Access::QUERY_VALUE
        } else {
            Access::READ_CONTROL
        };
        let key = self.granted(reached, &asking_to_read(base, caller, right)?).await?;
        self.insert_file(key, Content::Link, flags, String::new(), Texts::default())
    }

    async fn open_value(
        &self,
        base: &Handle,
        caller: &Caller,
        parent: &Parent,
        flags: OpenFlags,
    ) -> Result<HandleId, Error> {
        let name = self.value_name(&parent.last.name)?;
        let key = self.key_for_value(base, caller, parent, rights(flags)).await?;
        let mut texts = Texts::default();
        let mut spelled = name.display().into();
        match self.effective_value(&key, &name).await? {
            Some(_) if flags.contains(OpenFlags::NEW) => {
                return Err(Error::AlreadyExists);
            }
            Some(value) => {
                texts.value_type = Some(value.value_type);
                spelled = value.name.display;
                if flags.contains(OpenFlags::CHANGE) {
                    texts.written = Some(Default::default());
                    texts.truncated = true;
                }
            }
            None if flags.contains(OpenFlags::CREATE) => {
                let rights = rights(flags) | Access::SET_VALUE;
                let maker = self.key_for_value(base, caller, parent, rights).await?;
                if !self.make_value(&maker, &name).await? {
                    // Somebody else was faster.
                    let flags = flags - OpenFlags::CREATE;
                    if flags.contains(OpenFlags::EXCLUSIVE) {
                        return Err(Error::AlreadyExists);
                    }
                    let again = self.open_value(base, caller, parent, flags);
                    return Box::pin(again).await;
                }
                texts.value_type = Some(ValueType::Sz.code());
                texts.written = flags.contains(OpenFlags::WRITE).then(Default::default);
            }
            None => return Err(Error::NotFound(NotFound::Value)),
        }
        let beside_key = match self.possible_key_name(&parent.last.name)? {
            Some(name) if parent.last.is_value => {
                self.child(&parent.reached.place, &name).await?.is_some()
            }
            _ => false,
        };
        let file_name = value_file_name(&spelled, beside_key);
        self.insert_file(key, Content::Value(name), flags, file_name, texts)
    }

    /// The key that has a value, with these rights.
    pub(super) async fn key_for_value(
        &self,
        base: &Handle,
        caller: &Caller,
        parent: &Parent,
        rights: Access,
    ) -> Result<KeyHandle, Error> {
        let asking = Asking::new(base, caller, rights.bits())?;
        self.granted(parent.reached.clone(), &asking).await
    }

    /// Makes an empty text, where there is no value; tells whether that was so.
    async fn make_value(&self, key: &KeyHandle, name: &ValueName) -> Result<bool, Error> {
        let request = SetValue {
            name: name.display().into(),
            value_type: ValueType::Sz.code(),
            data: Default::default(),
            layer: None,
            expected_sequence: Some(0),
        };
        match self.set_value_of(key, request).await {
            Ok(_) => Ok(true),
            Err(Error::ConditionFailed) => match self.effective_value(key, name).await? {
                Some(_) => Ok(false),
                // There is one that another layer masks.
                None => Err(Error::AlreadyExists),
            },
            Err(error) => Err(error),
        }
    }

    fn insert_file(
        &self,
        key: KeyHandle,
        content: Content,
        flags: OpenFlags,
        name: String,
        texts: Texts,
    ) -> Result<HandleId, Error> {
        let (writing, texts) = (async_lock::Mutex::new(()), Mutex::new(texts));
        let file = File { content, flags, name, writing, texts };
        self.with(|state| state.insert(Handle::File(Rc::new(key), Rc::new(file))))
    }
}

/// What the use of a value takes.
fn rights(flags: OpenFlags) -> Access {
    let mut rights = Access::empty();
    if flags.contains(OpenFlags::WRITE) {
        rights |= Access::SET_VALUE;
    }
    // Without reading it, too, one learns of a value that one looks at, or adds to.
    if flags.contains(OpenFlags::READ) || !flags.contains(OpenFlags::CHANGE) {
        rights |= Access::QUERY_VALUE;
    }
    rights
}

fn asking_for_directory(base: &Handle, caller: &Caller, flags: OpenFlags) -> Result<Asking, Error> {
    let listed = flags.contains(OpenFlags::READ);
    let rights = if listed { Access::ENUMERATE_SUB_KEYS } else { Access::empty() };
    asking_to_read(base, caller, rights)
}

/// A caller that asks for these rights, and for what else of reading a key it is granted.
fn asking_to_read(base: &Handle, caller: &Caller, rights: Access) -> Result<Asking, Error> {
    let mut asking = Asking::new(base, caller, (rights | Access::MAXIMUM_ALLOWED).bits())?;
    asking.desired = asking.desired.within(Access::KEY_READ)?;
    Ok(asking)
}
