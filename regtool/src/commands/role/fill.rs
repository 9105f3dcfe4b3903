//! Writing what a role file says into the role's layer.

use libreg::security::{Parts, SecurityDescriptor};
use libreg::{Access, CreateKey, Key, Registry, SetValue, ValueType};

use crate::exit::{Code, Failure};
use crate::formats::role::{KeyContent, Located, RoleKey, RoleValue};
use crate::path::Path;
use crate::rights;

/// Something that cannot be done, and the line that asks for it.
pub struct Refused {
    /// The line, counted from 1.
    pub line: usize,
    /// Why not.
    pub failure: Box<Failure>,
}

impl Refused {
    /// With the line.
    pub fn new(line: usize, failure: Failure) -> Refused {
        Refused { line, failure: Box::new(failure) }
    }

    /// By the registry.
    pub fn by(registry: &Registry, line: usize, error: libreg::Error) -> Refused {
        Refused::new(line, Failure::explained(registry, error))
    }
}

/// Why a role cannot set the security descriptor of a key that is there.
pub const SD_WOULD_STAY: &str = "is there, and an SD is only for keys that the role makes: it would stay \
                                 when the role is removed";

/// Writes into a layer.
pub struct Filling<'a> {
    /// Where, in a transaction in which the layer counts.
    pub registry: &'a Registry,
    /// The layer.
    pub layer: &'a str,
}

impl Filling<'_> {
    /// Writes what a role has for some keys of one hive, parents first.
    pub fn fill<'k>(&self, keys: impl IntoIterator<Item = &'k RoleKey>) -> Result<(), Refused> {
        for key in keys {
            self.key(key)?;
        }
        Ok(())
    }

    fn key(&self, key: &RoleKey) -> Result<(), Refused> {
        let line = key.path.line;
        let path = &key.path.item;
        match &key.what {
            KeyContent::Hide => self.hide(path).map_err(|error| self.refused(line, error)),
            KeyContent::Link { target, sd } => self.link(line, path, target, sd.as_ref()),
            KeyContent::Key { sd, mask, values, volatile: _ } => {
                let writes =
                    if *mask || !values.is_empty() { Access::SET_VALUE } else { Access::empty() };
                let how = CreateKey { layer: Some(self.layer), ..CreateKey::default() };
                let handle = self
                    .make(path, writes | rights_for(sd.as_ref()), &how)
                    .map_err(|error| self.refused(line, error))?;
                // Before there are keys below it, which inherit from it.
                self.secure(&handle, sd.as_ref())?;
                if *mask {
                    // Before its values, for it does not mask what is written after it.
                    let masked = handle.set_blanket(Some(self.layer));
                    masked.map_err(|error| self.refused(line, error))?;
                }
                values.iter().try_for_each(|value| self.value(&handle, value))
            }
        }
    }

    fn hide(&self, path: &Path) -> Result<(), libreg::Error> {
        self.registry.open_link(&path.to_string(), Access::DELETE)?.hide(Some(self.layer))
    }

    fn link(
        &self,
        line: usize,
        path: &Path,
        target: &Located<Path>,
        sd: Option<&Located<SecurityDescriptor>>,
    ) -> Result<(), Refused> {
        let refused = |error| self.refused(line, error);
        let leads_to = target.item.to_string();
        let link = Some(leads_to.as_str());
        let how = CreateKey { layer: Some(self.layer), link, ..CreateKey::default() };
        let access = Access::SET_VALUE | Access::READ_CONTROL | rights_for(sd);
        let handle = self.make(path, access, &how).map_err(refused)?;
        self.secure(&handle, sd)?;
        let info = handle.info().map_err(refused)?;
        if info.created {
            return Ok(());
        }
        if !info.details.is_some_and(|details| details.link) {
            return Err(Refused::new(line, cannot(&path.to_string(), "is there, and is no link")));
        }
        let how = SetValue { layer: Some(self.layer), expected_sequence: None };
        let set = handle.set_value("", ValueType::Link.code(), leads_to.as_bytes(), &how);
        set.map(drop).map_err(|error| self.refused(target.line, error))
    }

    fn value(&self, key: &Key, value: &RoleValue) -> Result<(), Refused> {
        let Located { line, item: name } = &value.name;
        let outcome = match &value.value {
            Some(value) => {
                let how = SetValue { layer: Some(self.layer), expected_sequence: None };
                key.set_value(name, value.value_type, &value.data, &how).map(drop)
            }
            None => key.set_tombstone(name, Some(self.layer)),
        };
        outcome.map_err(|error| self.refused(*line, error))
    }

    /// Opens a key, or makes it and those that lead to it. A hive is made by its source alone.
    fn make(&self, path: &Path, access: Access, how: &CreateKey) -> Result<Key, libreg::Error> {
        let name = path.to_string();
        // Some access has to be asked for.
        let access = if access.is_empty() { Access::MAXIMUM_ALLOWED } else { access };
        let Some(parent) = path.ancestors().last() else {
            return self.registry.open_key(&name, access);
        };
        match self.registry.create_key(&name, access, how) {
            Err(error) if error.is_not_found() => {
                let how = CreateKey { link: None, ..*how };
                self.make(&parent, Access::empty(), &how)?;
            }
            outcome => return outcome,
        }
        self.registry.create_key(&name, access, how)
    }

    /// Sets the security descriptor of a key that was just made.
    fn secure(&self, key: &Key, sd: Option<&Located<SecurityDescriptor>>) -> Result<(), Refused> {
        let Some(Located { line, item: sd }) = sd else {
            return Ok(());
        };
        let refused = |error| self.refused(*line, error);
        if !key.info().map_err(refused)?.created {
            return Err(Refused::new(*line, cannot(key.path(), SD_WOULD_STAY)));
        }
        key.set_security(rights::parts_of(sd), sd).map_err(refused)
    }

    fn refused(&self, line: usize, error: libreg::Error) -> Refused {
        Refused::by(self.registry, line, error)
    }
}

/// What a handle needs so that a security descriptor can be set over it.
fn rights_for(sd: Option<&Located<SecurityDescriptor>>) -> Access {
    sd.map_or(Parts::empty(), |sd| rights::parts_of(&sd.item)).rights_to_write()
}

fn cannot(path: &str, what: &str) -> Failure {
    Failure::Partial { subject: path.to_owned(), what: what.to_owned(), code: Code::Other }
}
