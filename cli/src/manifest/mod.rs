//! `vdeploy.toml` → a validated [`App`]. Pure: text in, an app or all of its errors out.

mod app;

pub use app::{App, Bucket, Function, Image, Secret, Target};
