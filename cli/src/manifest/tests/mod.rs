//! Every kind of mistake and what is said about it; what right manifests mean; and that no text
//! makes the reader panic.

mod app;
mod functions;
mod meaning;
mod properties;
mod shape;

use super::{App, parse, render};

/// What a person sees without colour.
fn mistakes(text: &str) -> String {
    let errors = parse(text, "main").expect_err("the manifest is wrong");
    render::text(&errors, "vdeploy.toml", text, false, false)
}

/// The same for the body of a function in an otherwise right manifest.
fn in_function(body: &str) -> String {
    mistakes(&format!("[app]\nname = \"reel\"\n[volume.footage]\n[function.f]\n{body}"))
}

fn right(text: &str) -> App {
    parse(text, "main").unwrap_or_else(|_| panic!("{}", mistakes(text)))
}
