//! Views: roots that see more than others, or less.

use std::os::fd::{AsRawFd, RawFd};

use lcs_abi::Guid;
use lcs_abi::call::Derive;

use crate::call;
use crate::error::{Attempt, Error};
use crate::registry::{Registry, failed};

/// What a view has beside what the root has that it is made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewOptions<'a> {
    /// Private hives, by scope: one takes the place of a global hive of its name, and the first counts.
    pub scopes: &'a [Guid],
    /// Layers that count in this view though they are disabled, by name.
    pub private_layers: &'a [&'a str],
    /// No global hive at all.
    pub sealed: bool,
}

impl Registry {
    /// A root with more in its view. What is opened or begun from it has its view, and a view never gets
    /// less again.
    ///
    /// ```
    /// use libreg::{Access, CreateKey, Registry, SetValue, ValueType, ViewOptions};
    ///
    /// # fn main() -> Result<(), libreg::Error> {
    /// # let _system = registry_tests::harness::System::for_an_example();
    /// let registry = Registry::open()?;
    /// let made = |path| registry.create_key(path, Access::KEY_ALL_ACCESS, &CreateKey::default());
    /// let trial = made("Machine/System/Registry/Layers/trial")?;
    /// trial.set_value("Enabled", ValueType::Dword.code(), &[0; 4], &SetValue::default())?;
    /// let how = SetValue { layer: Some("trial"), ..SetValue::default() };
    /// made("Machine/Editor")?.set_value("Tabs", ValueType::Sz.code(), b"8", &how)?;
    ///
    /// // Nobody sees what is in a layer that is disabled, but those in whose view it is.
    /// let view = registry.view(&ViewOptions { private_layers: &["trial"], ..ViewOptions::default() })?;
    /// let tabs = |registry: &Registry| registry.open_key("Machine/Editor", Access::KEY_READ)?.value("Tabs");
    /// assert!(tabs(&registry).is_err_and(|error| error.is_not_found()));
    /// assert_eq!(tabs(&view)?.data, b"8");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// ENOENT: no such scope or layer. EACCES: CREATE_SUB_KEY is not granted on the key of a scope or layer.
    /// EPERM: a layer with a precedence above 0, which takes SeTcb. ENOSPC: more than a view can have. EBADF:
    /// this is the registry of a transaction.
    pub fn view(&self, options: &ViewOptions) -> Result<Registry, Error> {
        let scopes = options.scopes.to_vec();
        let layers: Vec<String> =
            options.private_layers.iter().map(|layer| (*layer).to_owned()).collect();
        let derive = Derive::View {
            scopes: scopes.clone(),
            private_layers: layers.clone(),
            sealed: options.sealed,
        };
        match call::derive(self.root(), &derive) {
            Ok(root) => Ok(Registry::with_root(root)),
            Err(cause) => Err(failed("", Attempt::View { scopes, layers }, cause)),
        }
    }
}

impl AsRawFd for Registry {
    /// The root's descriptor. A process that inherits it can have it as its `reg`: what that process opens is
    /// opened with its own identity, in this view.
    fn as_raw_fd(&self) -> RawFd {
        self.root().raw() as RawFd
    }
}
