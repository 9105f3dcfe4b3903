//! Files that hold registry data, read and written without a registry: pure functions over bytes.

pub mod hive;
pub mod pol;
pub mod reg;
pub mod role;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `.reg`: what regedit writes.
    Reg,
    /// `registry.pol`: a policy.
    Pol,
    /// A hive of Windows.
    Hive,
    /// TOML.
    Toml,
}

/// Tells what kind of file it is: by its first bytes, where these tell, else by its name. Everything else is taken
/// for `.reg`, whose reader says what is wrong with it.
pub fn kind_of(name: &str, bytes: &[u8]) -> Kind {
    match bytes {
        [b'P', b'R', b'e', b'g', ..] => Kind::Pol,
        [b'r', b'e', b'g', b'f', ..] => Kind::Hive,
        _ if name.to_ascii_lowercase().ends_with(".toml") => Kind::Toml,
        _ => Kind::Reg,
    }
}
