//! `vdeploy.toml` → a validated [`App`]. Pure: text in, an app or all of its errors out; only
//! [`load`] touches files.
//!
//! `document` reads TOML with the place of everything in it, `raw` says which keys there are,
//! `decode` reads them, `resolve` finds out what they mean together, and `render` shows what is
//! wrong where it is written.

mod app;
mod aws;
mod check;
mod choice;
mod cron;
mod cuda;
mod decode;
mod document;
mod function;
mod image;
mod load;
mod parse;
mod problem;
mod quantity;
mod raw;
mod render;
mod resolve;
#[cfg(test)]
mod tests;

pub use app::{App, Function, Image, ImagePlace, Secret, StatePlace, Target};
pub(crate) use check::nearest_name;
pub use load::{FILE_NAME, Manifest, load};
pub use parse::{parse, schema_text};
pub use problem::{ManifestErrors, Problem};
