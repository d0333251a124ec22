//! Projects to start from: templates rendered to files, in memory.

use handlebars::{Handlebars, no_escape};
use serde_json::json;

/// A project to start from.
#[derive(Debug)]
pub struct Template {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it makes, in a sentence without a full stop.
    pub about: &'static str,
    files: &'static [(&'static str, &'static str)],
}

/// A file of a rendered project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its path within the project.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// All templates; the first is the default.
pub const TEMPLATES: &[Template] = &[
    Template {
        name: "video",
        about: "a video app: transcode and probe, with a volume for footage",
        files: &[("vdeploy.toml.hbs", include_str!("../../templates/video/vdeploy.toml.hbs"))],
    },
    Template {
        name: "python-handler",
        about: "a function written in Python that takes thumbnails, with progress",
        files: &[
            ("vdeploy.toml.hbs", include_str!("../../templates/python-handler/vdeploy.toml.hbs")),
            (
                "handlers/thumbnails.py",
                include_str!("../../examples/python-handler/handlers/thumbnails.py"),
            ),
            (
                "handlers/thumbnails.schema.json",
                include_str!("../../examples/python-handler/handlers/thumbnails.schema.json"),
            ),
        ],
    },
    Template {
        name: "rust-handler",
        about: "a function written in Rust that compares clips, with typed arguments",
        files: &[
            ("vdeploy.toml.hbs", include_str!("../../templates/rust-handler/vdeploy.toml.hbs")),
            ("Cargo.toml.hbs", include_str!("../../templates/rust-handler/Cargo.toml.hbs")),
            ("src/main.rs", include_str!("../../examples/rust-handler/src/main.rs")),
        ],
    },
];

/// The JSON Schema of manifests, for editors; made by `vdeploy schema`.
pub const MANIFEST_SCHEMA: &str = include_str!("../../templates/vdeploy.schema.json");

/// The template called `name`.
pub fn find(name: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.name == name)
}

/// The files of a project called `name`. Files that end in `.hbs` are rendered, others are as
/// they are.
pub fn render(template: &Template, name: &str) -> Vec<Rendered> {
    let mut handlebars = Handlebars::new();
    handlebars.set_strict_mode(true);
    handlebars.register_escape_fn(no_escape);
    let values = json!({
        "name": name,
        "volume": "footage",
        "version": env!("CARGO_PKG_VERSION"),
        "repository": env!("CARGO_PKG_REPOSITORY"),
    });
    let file = |(path, text): &(&str, &str)| match path.strip_suffix(".hbs") {
        None => Rendered { path: (*path).into(), text: (*text).into() },
        Some(path) => Rendered {
            path: path.into(),
            text: handlebars
                .render_template(text, &values)
                .expect("templates name only values that are given; a test renders each"),
        },
    };
    let schema = Rendered { path: "vdeploy.schema.json".into(), text: MANIFEST_SCHEMA.into() };
    template.files.iter().map(file).chain([schema]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;

    #[test]
    fn every_template_renders_to_a_right_manifest() {
        for template in TEMPLATES {
            let files = render(template, "my-app");
            let manifest = files.iter().find(|file| file.path == manifest::FILE_NAME).unwrap();
            let app = manifest::parse(&manifest.text, "main").unwrap();
            assert_eq!(app.name, "my-app");
            let own: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            for function in app.functions.values() {
                for source in function.source.iter().chain(&function.args) {
                    assert!(own.iter().any(|path| path.starts_with(source)), "{source} is missing");
                }
            }
        }
    }
}
