//! Reading the text of a value.

use alloc::string::String;
use alloc::vec::Vec;

use lcs_abi::rsi::ValueEntry;
use lcs_abi::value::ValueType;

use super::super::Registry;
use super::super::backend::Backend;
use super::super::error::{Error, NotFound};
use super::super::handles::{HandleId, KeyHandle};
use super::{Content, File, OpenFlags, SCHEME_PATH, Texts, version};
use crate::model::file_name::key_file_name;
use crate::model::name::ValueName;
use crate::model::text::to_text;

impl<B: Backend> Registry<B> {
    /// What stands in a file from `offset` on, at most `length` bytes; nothing at its end. A read from the start
    /// takes the text as it is then, and those that follow go on in that one, whatever becomes of the value.
    ///
    /// # Errors
    /// `BadHandle`: it is no file, or not open to be read. `NotFound`: the value is gone. `LimitExceeded`: the
    /// user has read too many files half.
    pub async fn read_file(
        &self,
        id: HandleId,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, Error> {
        let (key, file) = self.file(id)?;
        if !file.flags.contains(OpenFlags::READ) {
            return Err(Error::BadHandle);
        }
        let (goes_on, ended) = {
            let texts = file.texts.lock();
            (offset > 0 && texts.reading.is_some(), texts.ended)
        };
        if !goes_on {
            if offset > 0 && ended.is_some_and(|end| offset >= end) {
                return Ok(Vec::new());
            }
            self.take_text(id, &key, &file).await?;
        }
        self.with(|state| {
            let mut piece = Vec::new();
            let read = |texts: &mut Texts| {
                let Some(text) = &texts.reading else { return };
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
                let end = start.saturating_add(length).min(text.len());
                piece = text[start..end].to_vec();
                if end == text.len() {
                    texts.ended = Some(end as u64);
                    texts.reading = None;
                }
            };
            state.change_texts(&key, &file, read, 0)?;
            Ok(piece)
        })
    }

    /// Takes the text as it is now.
    async fn take_text(&self, id: HandleId, key: &KeyHandle, file: &File) -> Result<(), Error> {
        // Of what changes from here on those who poll are told.
        self.with(|state| state.watches.being_read(id));
        let (text, seen) = match &file.content {
            Content::Link => (self.link_text(key).await?, None),
            Content::Value(name) => {
                let value = self.effective_value(key, name).await?;
                let seen = value.as_ref().map(version);
                let text = value.map(|value| text_of(value, file)).transpose()?;
                if text.is_none() {
                    file.texts.lock().seen = Some(None);
                }
                (text.ok_or(Error::NotFound(NotFound::Value))?, Some(seen))
            }
        };
        self.with(|state| {
            let held = file.texts.lock().reading.as_ref().map_or(0, Vec::len);
            let more = text.len().saturating_sub(held);
            let take = |texts: &mut Texts| {
                texts.reading = Some(text);
                texts.ended = None;
                texts.seen = seen;
            };
            state.change_texts(key, file, take, more)
        })
    }

    /// The value of a file as it is now.
    pub(super) async fn text(
        &self,
        key: &KeyHandle,
        name: &ValueName,
        file: &File,
    ) -> Result<Vec<u8>, Error> {
        let value = self.effective_value(key, name).await?;
        text_of(value.ok_or(Error::NotFound(NotFound::Value))?, file)
    }

    /// Where a link leads, as the path of a file.
    pub(super) async fn link_text(&self, link: &KeyHandle) -> Result<Vec<u8>, Error> {
        let target = self.link_target(&link.place()).await?;
        let mut path = String::from(SCHEME_PATH);
        for name in target.components() {
            path.push('/');
            path.push_str(&key_file_name(name.display()));
        }
        Ok(path.into_bytes())
    }
}

fn text_of(value: ValueEntry, file: &File) -> Result<Vec<u8>, Error> {
    file.texts.lock().value_type = Some(value.value_type);
    let value_type = ValueType::from_code(value.value_type).ok_or(Error::SourceData)?;
    Ok(to_text(value_type, value.data))
}
