//! The data model, without any operation that takes time.

pub mod backup;
pub mod file_name;
pub mod layer;
pub mod name;
pub mod path;
pub mod resolve;
pub mod text;
pub mod value;
pub mod view;

pub use layer::{Layer, LayerTable};
pub use name::{KeyName, NameError, ValueName, fold};
pub use path::{CURRENT_USER, KeyPath};
pub use view::View;
