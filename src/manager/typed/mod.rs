//! The proxies that know what they stand for: dict, list and so on.

mod both;
mod dict;
mod list;
mod namespace;
mod pages;
mod update;
mod value;

pub use dict::DictProxy;
pub use list::ListProxy;
pub use namespace::NamespaceProxy;
pub use pages::Pages;
pub use value::ValueProxy;
