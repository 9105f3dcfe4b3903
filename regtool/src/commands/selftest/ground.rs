//! The scratch key, and what is made beside it: all of it goes, however the test ends.

use std::cell::{Cell, RefCell};
use std::str::FromStr;

use libreg::data::type_name;
use libreg::security::{Parts, SecurityDescriptor};
use libreg::{Access, CreateKey, Error, Guid, Key, Registry, SetValue, ValueType};

use super::super::delete::delete_tree;
use super::super::layer::{ENABLED, key_of};
use super::super::scope;
use super::expect::{Outcome, Trouble, differs};
use crate::exit::{Failure, complain};
use crate::path::Path;

/// Where a scratch key may be: the first where the caller is granted everything.
const PLACES: [&str; 3] = ["Machine\\Software", "Machine", super::super::CURRENT_USER];

/// Where it is tried.
pub struct Ground<'a> {
    pub registry: &'a Registry,
    path: String,
    /// Ends the names of what is made.
    id: String,
    /// The caller is told what only Administrators are told, so that what these may must work.
    administrator: bool,
    /// Keys of layers and scopes, each from before it is made until it is gone.
    beside: RefCell<Vec<String>>,
    removed: Cell<bool>,
}

impl<'a> Ground<'a> {
    /// Makes the scratch key, with a name that nobody has.
    pub fn new(registry: &'a Registry) -> Outcome<Ground<'a>> {
        let administrator = registry.status()?.details.is_some();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let mut last = None;
        for place in PLACES {
            let path = format!("{place}\\selftest-{id}");
            match registry.create_key(&path, Access::KEY_ALL_ACCESS, &CreateKey::default()) {
                Ok(_) => {
                    return Ok(Ground {
                        registry,
                        path,
                        id,
                        administrator,
                        beside: RefCell::default(),
                        removed: Cell::new(false),
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| differs("no place for a scratch key"), Trouble::from))
    }

    /// The scratch key.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A new key for a check.
    pub fn key(&self, name: &str) -> Outcome<Key> {
        let path = format!("{}\\{name}", self.path);
        let key = self.registry.create_key(&path, Access::KEY_ALL_ACCESS, &CreateKey::default())?;
        if key.info()?.created {
            Ok(key)
        } else {
            Err(differs(format_args!("{path}: was there before it was made")))
        }
    }

    /// The path of a file of the registry, from that of a key or value below the scratch key.
    pub fn file(&self, below: &str) -> String {
        format!("/scheme/reg/{}/{below}", self.path.replace('\\', "/"))
    }

    /// What an operation gave that takes more than everybody may; who may not is not blamed.
    pub fn unless_denied<T>(&self, why: &str, outcome: Result<T, Error>) -> Outcome<T> {
        match outcome {
            Err(error) if error.is_access_denied() && !self.administrator => {
                Err(Trouble::Skipped(why.to_owned()))
            }
            outcome => Ok(outcome?),
        }
    }

    /// Makes a role layer, or a disabled one, and says its name.
    pub fn layer(&self, purpose: &str, enabled: bool) -> Outcome<String> {
        let layer = format!("selftest-{purpose}-{}", self.id);
        let path = key_of(&layer)?;
        let access = Access::SET_VALUE | Access::CREATE_SUB_KEY;
        let key = self.unless_denied("you may not make layers", self.beside(&path, access))?;
        if !enabled {
            self.set_enabled(&key, false)?;
        }
        Ok(layer)
    }

    /// As [`Ground::layer`], enabled; `None`, which is `base`, where the caller may make none.
    pub fn layer_or_base(&self, purpose: &str) -> Outcome<Option<String>> {
        match self.layer(purpose, true) {
            Ok(layer) => Ok(Some(layer)),
            Err(Trouble::Skipped(_)) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Enables or disables a layer.
    pub fn enable(&self, layer: &str, enabled: bool) -> Outcome {
        let key = self.registry.open_key(&key_of(layer)?, Access::SET_VALUE)?;
        self.set_enabled(&key, enabled)
    }

    fn set_enabled(&self, layer: &Key, enabled: bool) -> Outcome {
        let number = u32::from(enabled).to_le_bytes();
        layer.set_value(ENABLED, ValueType::Dword.code(), &number, &SetValue::default())?;
        Ok(())
    }

    /// Ends a layer.
    pub fn delete_layer(&self, layer: &str) -> Outcome {
        Ok(self.delete_beside(&key_of(layer)?)?)
    }

    /// Makes a scope.
    pub fn scope(&self, scope: Guid) -> Outcome {
        let key = self.beside(&scope::key_of(scope), Access::CREATE_SUB_KEY);
        self.unless_denied("you may not make scopes", key).map(drop)
    }

    /// Ends a scope.
    pub fn delete_scope(&self, scope: Guid) -> Outcome {
        Ok(self.delete_beside(&scope::key_of(scope))?)
    }

    /// Makes a key that is not below the scratch key.
    fn beside(&self, path: &str, access: Access) -> Result<Key, Error> {
        self.beside.borrow_mut().push(path.to_owned());
        let made = self.registry.create_key(path, access, &CreateKey::default());
        // Else it may have been made all the same.
        if made.as_ref().is_err_and(|error| !error.is_unavailable()) {
            self.forget(path);
        }
        made
    }

    fn forget(&self, path: &str) {
        self.beside.borrow_mut().retain(|other| other != path);
    }

    fn delete_beside(&self, path: &str) -> Result<(), Error> {
        self.registry.open_link(path, Access::DELETE)?.delete(None)?;
        self.forget(path);
        Ok(())
    }

    /// Removes all that was made, as far as it goes; the first trouble is told.
    pub fn remove(&self) -> Outcome {
        self.removed.set(true);
        let mut outcome = Ok(());
        // Layers first: with them goes what was written into them.
        for path in self.beside.take().iter().rev() {
            match self.delete_beside(path) {
                Ok(()) => {}
                // It was not made after all.
                Err(error) if error.is_not_found() => {}
                Err(error) => outcome = outcome.and(Err(error.into())),
            }
        }
        outcome.and_then(|()| self.remove_scratch_key())
    }

    fn remove_scratch_key(&self) -> Outcome {
        delete_tree(self.registry, &Path::parse(&self.path).map_err(Failure::from)?, None)?;
        match self.registry.open_key(&self.path, Access::MAXIMUM_ALLOWED) {
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err(differs(format_args!("{}: still there", self.path))),
        }
    }
}

impl Drop for Ground<'_> {
    fn drop(&mut self) {
        if self.removed.get() {
            return;
        }
        match self.remove() {
            Ok(()) => {}
            Err(Trouble::Failed(failure)) => complain(&failure),
            Err(Trouble::Differs(what) | Trouble::Skipped(what)) => complain(&what),
        }
    }
}

/// Writes into `base`.
pub fn set(key: &Key, name: &str, value_type: ValueType, data: &[u8]) -> Result<u64, Error> {
    key.set_value(name, value_type.code(), data, &SetValue::default())
}

/// Writes text into a layer.
pub fn set_text(key: &Key, name: &str, text: &str, layer: Option<&str>) -> Result<u64, Error> {
    let how = SetValue { layer, ..SetValue::default() };
    key.set_value(name, ValueType::Sz.code(), text.as_bytes(), &how)
}

/// The effective text of a value.
pub fn text(key: &Key, name: &str) -> Outcome<String> {
    let value = key.value(name)?;
    if value.value_type != ValueType::Sz.code() {
        let found = type_name(value.value_type);
        return Err(differs(format_args!("{name}: the type is {found} instead of sz")));
    }
    Ok(String::from_utf8_lossy(&value.data).into_owned())
}

/// Replaces the DACL of a key, as its owner.
pub fn set_dacl(registry: &Registry, path: &str, sddl: &str) -> Outcome {
    let sd = SecurityDescriptor::from_str(sddl).map_err(differs)?;
    let key = registry.open_key(path, Access::WRITE_DAC)?;
    Ok(key.set_security(Parts::DACL, &sd)?)
}
