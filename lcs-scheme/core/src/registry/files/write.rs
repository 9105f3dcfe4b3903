//! Writing the text of a value. Each write replaces the value, at once, by all that was written through the
//! handle, and fails if that did.

use alloc::vec::Vec;

use lcs_abi::call::SetValue;
use lcs_abi::value::ValueType;

use super::super::Registry;
use super::super::backend::Backend;
use super::super::error::{Error, NotFound};
use super::super::handles::{Handle, HandleId, KeyHandle};
use super::super::settings::Setting;
use super::{Content, File, OpenFlags, Texts};
use crate::model::name::ValueName;
use crate::model::text::from_text;

/// How much longer than its data a text can be, in bytes: a final newline, or a number.
const TEXT_OVERHEAD: usize = 32;

/// Where a piece is written.
#[derive(Clone, Copy, Debug)]
enum Position {
    At(u64),
    End,
}

impl<B: Backend> Registry<B> {
    /// Writes a piece at `offset`; at the end if the file was opened so, or `append`. What stood behind the first
    /// piece that is written through a handle is gone then.
    ///
    /// # Errors
    /// The value, and what the handle has written, stay as they were. `BadHandle`: it is no file, or not open to
    /// be written. `Invalid`: the text is none of the value's type. `LimitExceeded`: it is too long.
    pub async fn write_file(
        &self,
        id: HandleId,
        piece: &[u8],
        offset: u64,
        append: bool,
    ) -> Result<(), Error> {
        let (key, file) = &self.file(id)?;
        let name = file.to_write(key)?;
        let _turn = file.writing.lock().await;
        let append = append || file.flags.contains(OpenFlags::APPEND);
        let position = if append { Position::End } else { Position::At(offset) };
        let mut text = self.text_before(key, name, file, position).await?;
        let start = match position {
            Position::End => text.len(),
            Position::At(offset) => usize::try_from(offset).unwrap_or(usize::MAX),
        };
        let end = start.checked_add(piece.len()).filter(|end| *end <= self.max_text());
        let end = end.ok_or(Error::LimitExceeded("MaxValueSize"))?;
        if text.len() < end {
            text.resize(end, 0);
        }
        text[start..end].copy_from_slice(piece);
        self.replace_text(key, name, file, text).await
    }

    /// What a piece is written into.
    async fn text_before(
        &self,
        key: &KeyHandle,
        name: &ValueName,
        file: &File,
        position: Position,
    ) -> Result<Vec<u8>, Error> {
        let (written, truncated) = {
            let texts = file.texts.lock();
            (texts.written.clone(), texts.truncated)
        };
        match (position, written) {
            // Others may have written meanwhile.
            (Position::End, written) if !truncated => match self.text(key, name, file).await {
                Err(Error::NotFound(NotFound::Value)) => Ok(written.unwrap_or_default()),
                text => text,
            },
            (_, Some(written)) => Ok(written),
            (Position::At(0), None) | (Position::End, None) => Ok(Vec::new()),
            (Position::At(offset), None) => {
                let mut text = self.text(key, name, file).await?;
                text.truncate(usize::try_from(offset).unwrap_or(usize::MAX));
                Ok(text)
            }
        }
    }

    /// Makes a file's text so long. An empty one is not written before something else is, or the file is closed
    /// or synchronised; one of another length is, at once.
    ///
    /// # Errors
    /// As for [`Registry::write_file`].
    pub async fn truncate_file(&self, id: HandleId, length: u64) -> Result<(), Error> {
        let (key, file) = &self.file(id)?;
        let name = file.to_write(key)?;
        let _turn = file.writing.lock().await;
        if length == 0 {
            let truncate = |texts: &mut Texts| {
                texts.written = Some(Vec::new());
                texts.truncated = true;
            };
            return self.with(|state| state.change_texts(key, file, truncate, 0));
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= self.max_text());
        let length = length.ok_or(Error::LimitExceeded("MaxValueSize"))?;
        let written = file.texts.lock().written.clone();
        let mut text = match written {
            Some(written) => written,
            None => self.text(key, name, file).await?,
        };
        text.resize(length, 0);
        self.replace_text(key, name, file, text).await
    }

    /// Writes that a file was made empty, if nothing was written since. All else is durable when it is
    /// acknowledged.
    ///
    /// # Errors
    /// As for [`Registry::write_file`].
    pub async fn sync_file(&self, id: HandleId) -> Result<(), Error> {
        let Handle::File(..) = self.with(|state| state.handles.get(id))? else { return Ok(()) };
        let (key, file) = self.file(id)?;
        let Content::Value(name) = &file.content else { return Ok(()) };
        let _turn = file.writing.lock().await;
        if file.texts.lock().truncated {
            self.replace_text(&key, name, &file, Vec::new()).await?;
        }
        Ok(())
    }

    /// A file is about to be closed, which cannot fail: what fails now goes to the log. Of a type that has no
    /// empty text the value stays.
    pub(in super::super) async fn before_close(&self, id: HandleId) {
        match self.sync_file(id).await {
            Ok(()) | Err(Error::BadHandle | Error::Invalid(_)) => {}
            Err(error) => log::warn!("a file that was made empty could not be written: {error}"),
        }
    }

    /// How long a text may be, in bytes.
    fn max_text(&self) -> usize {
        self.with(|state| state.settings.size(Setting::MaxValueSize)) + TEXT_OVERHEAD
    }

    /// Makes this the text of a value.
    async fn replace_text(
        &self,
        key: &KeyHandle,
        name: &ValueName,
        file: &File,
        text: Vec<u8>,
    ) -> Result<(), Error> {
        let value_type = self.type_of(key, name, file).await?;
        let data = from_text(value_type, &text);
        let data = data.map_err(|_| Error::Invalid("not a text of the value's type"))?;
        let more = text.len();
        // Room is taken first: nothing is to be written and then to fail.
        self.with(|state| state.require_room(&key.token.user(), more))?;
        let request = SetValue {
            name: name.display().into(),
            value_type: value_type.code(),
            data,
            layer: None,
            expected_sequence: None,
        };
        self.set_value_of(key, request).await?;
        let wrote = |texts: &mut Texts| {
            texts.written = Some(text);
            texts.truncated = false;
            texts.reading = None;
            texts.ended = None;
        };
        self.with(|state| state.change_texts(key, file, wrote, 0))
    }

    /// The type that a value has, or had when it was there.
    async fn type_of(
        &self,
        key: &KeyHandle,
        name: &ValueName,
        file: &File,
    ) -> Result<ValueType, Error> {
        let now = self.effective_value(key, name).await?.map(|value| value.value_type);
        let mut texts = file.texts.lock();
        texts.value_type = now.or(texts.value_type);
        let value_type = texts.value_type.ok_or(Error::NotFound(NotFound::Value))?;
        ValueType::from_code(value_type).ok_or(Error::SourceData)
    }
}
