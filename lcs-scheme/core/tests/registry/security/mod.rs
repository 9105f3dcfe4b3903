//! Who may (DESIGN §6): what each operation asks for, and that a denial has no effect.

mod audit;
mod descriptors;
mod opening;
mod restricted;
mod writing;

use std::rc::Rc;

use lcs_abi::call::{
    DACL_SECURITY_INFORMATION, Derive, GROUP_SECURITY_INFORMATION, GetSecurity,
    OWNER_SECURITY_INFORMATION, SACL_SECURITY_INFORMATION, SetSecurity,
};
use lcs_abi::rsi::Request;
use lcs_abi::security::Access;
use lcs_core::registry::{Caller, Error, HandleId};
use lcs_core::security::{Account, SecurityDescriptor, Token};

use crate::common::Client;
use crate::common::client::user;

const ALICE: u32 = 1001;
const BOB: u32 = 1002;
const ALL_PARTS: u32 =
    OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;

fn alice() -> Caller {
    user(ALICE, &[])
}

fn bob() -> Caller {
    user(BOB, &[])
}

fn administrator() -> Caller {
    let account = Account { uid: 500, gid: 500, groups: &[27], system: false, administrator: true };
    Caller { token: Rc::new(Token::new(account)), pid: 3 }
}

fn open(path: &str, access: Access) -> Derive {
    Derive::OpenKey { path: path.into(), access: access.bits(), flags: 0 }
}

fn create(path: &str, access: Access, layer: Option<&str>) -> Derive {
    Derive::CreateKey {
        path: path.into(),
        access: access.bits(),
        layer: layer.map(Into::into),
        flags: 0,
        link_target: None,
    }
}

fn restrict(access: Access, layers: Option<&[&str]>) -> Derive {
    let layers = layers.map(|layers| layers.iter().map(|name| (*name).into()).collect());
    Derive::Restrict { access: access.bits(), layers }
}

fn denied<T>(missing: Access) -> Result<T, Error> {
    Err(Error::AccessDenied { missing })
}

fn refused<T>(layer: &str) -> Result<T, Error> {
    Err(Error::LayerDenied { layer: layer.into() })
}

fn sd(sddl: &str) -> SecurityDescriptor {
    sddl.parse().unwrap_or_else(|error| panic!("{sddl}: {error}"))
}

impl Client {
    /// Replaces the parts that the text has.
    fn set_sd(&self, handle: HandleId, sddl: &str) -> Result<(), Error> {
        let present = |part: &str, bit| if sddl.contains(part) { bit } else { 0 };
        let parts = present("O:", OWNER_SECURITY_INFORMATION)
            | present("G:", GROUP_SECURITY_INFORMATION)
            | present("D:", DACL_SECURITY_INFORMATION)
            | present("S:", SACL_SECURITY_INFORMATION);
        let request = SetSecurity { parts, sd: sd(sddl).to_bytes() };
        self.run(self.registry.set_security(handle, request))
    }

    /// A key of SYSTEM's with this security descriptor.
    fn key_with_sd(&self, path: &str, sddl: &str) -> HandleId {
        let access = Access::KEY_ALL_ACCESS | Access::ACCESS_SYSTEM_SECURITY;
        let handle = self.derive(None, create(path, access, None)).unwrap();
        self.set_sd(handle, sddl).unwrap();
        handle
    }

    fn sd_of(&self, handle: HandleId, parts: u32) -> Result<String, Error> {
        let answer = self.run(self.registry.get_security(handle, GetSecurity { parts }))?;
        Ok(SecurityDescriptor::from_bytes(&answer.sd).unwrap().to_string())
    }

    fn granted(&self, handle: HandleId) -> Access {
        let info = self.info(handle).unwrap();
        Access::from_bits(info.access).unwrap()
    }

    /// Fails if a source was asked to change anything since the last look.
    fn assert_unchanged(&self, what: &str) {
        let requests = self.world.take_requests();
        let changing = requests.iter().find(|request| {
            matches!(request, Request::Apply { .. } | Request::DropKey { .. } | Request::Flush)
        });
        assert_eq!(changing, None, "{what}");
    }
}
