//! Links: keys that lead to others (DESIGN §8).

use lcs_abi::value::ValueType;

use super::Registry;
use super::backend::Backend;
use super::error::{Error, NotFound};
use super::open::Place;
use super::settings::Setting;
use crate::model::name::ValueName;
use crate::model::path::KeyPath;

/// How many more links one open may follow.
pub(super) struct Patience(u64);

impl Patience {
    /// One more link.
    pub(super) fn follow(&mut self) -> Result<(), Error> {
        self.0 = self.0.checked_sub(1).ok_or(Error::LinkLoop)?;
        Ok(())
    }
}

impl<B: Backend> Registry<B> {
    /// As many links as one open may follow (SymlinkDepthLimit).
    pub(super) fn patience(&self) -> Patience {
        Patience(self.setting(Setting::SymlinkDepthLimit))
    }

    /// The path that a link leads to, as it is seen from where the link was found.
    ///
    /// # Errors
    /// `NotFound`: it has no target. `Invalid`: what stands there is none.
    pub(super) async fn link_target(&self, link: &Place) -> Result<KeyPath, Error> {
        let name = ValueName::new("", usize::MAX)?;
        let target = self.winning_value(link.site, &link.view, link.key, &name).await?;
        let target = target.ok_or(Error::NotFound(NotFound::Key))?;
        if target.value_type != ValueType::Link.code() {
            return Err(Error::Invalid("the link's default value is no link target"));
        }
        let text = target.data.strip_suffix(&[0]).unwrap_or(&target.data);
        let text = core::str::from_utf8(text)
            .map_err(|_| Error::Invalid("the link's target is not UTF-8"))?;
        self.target_path(text)
    }

    /// A link target, which is an absolute path.
    pub(super) fn target_path(&self, text: &str) -> Result<KeyPath, Error> {
        let path = self.key_path(text)?;
        if path.components().is_empty() {
            return Err(Error::Invalid("the link's target is empty"));
        }
        Ok(path)
    }
}
