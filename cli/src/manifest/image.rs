//! Image recipes of a manifest.

use std::collections::BTreeMap;
use std::ops::Range;

use super::app::{Image, ImagePlace};
use super::check;
use super::cuda;
use super::decode::{At, Entries, Table};
use super::problem::{Lines, Problem, Problems};
use super::raw::RawImage;
use super::resolve::{text, values, variables};

/// The recipe that an `[image.NAME]` means.
pub(super) fn resolve(
    name: &At<String>,
    raw: RawImage,
    secrets: &[String],
    problems: &mut Problems,
) -> Image {
    one_origin(name, &raw, problems);
    fitting_keys(&raw, problems);
    if let Some(dockerfile) = &raw.dockerfile {
        check::own_path("dockerfile", dockerfile, problems);
    }
    if let Some(uri) = &raw.uri {
        image_uri(uri, &raw, problems);
    }
    cuda::check(&raw, problems);
    packages(&raw, problems);
    lines(&raw, problems);
    for secret in raw.secrets.iter().flat_map(|list| &list.value) {
        check::reference("secret", secret, secrets, problems);
    }
    let list =
        |list: Option<At<Vec<At<String>>>>| list.map(|l| values(l.value)).unwrap_or_default();
    Image {
        kind: raw.kind.map(|kind| kind.value.0.to_owned()),
        base: text(raw.base),
        dockerfile: text(raw.dockerfile),
        uri: text(raw.uri),
        cuda: text(raw.cuda),
        os: text(raw.os),
        flavor: raw.flavor.map(|flavor| flavor.value.0.to_owned()),
        python: text(raw.python),
        apt: list(raw.apt),
        pip: list(raw.pip),
        driver: text(raw.driver),
        env: variables(raw.env, problems),
        args: variables(raw.args, problems),
        copy: copies(raw.copy, problems),
        run: list(raw.run),
        secrets: list(raw.secrets),
        workdir: text(raw.workdir),
        entrypoint: list(raw.entrypoint),
        ca_bundle: text(raw.ca_bundle),
    }
}

/// Where an `[image.NAME]` says what.
pub(super) fn place(name: &At<String>, raw: &RawImage, lines: &Lines<'_>) -> ImagePlace {
    let line = |span: &Range<usize>| lines.position(span.start).0;
    let runs = raw.run.iter().flat_map(|list| &list.value);
    ImagePlace {
        section: line(&name.span),
        apt: raw.apt.as_ref().map(|at| line(&at.span)),
        pip: raw.pip.as_ref().map(|at| line(&at.span)),
        copy: raw.copy.as_ref().map(|at| line(&at.span)),
        run: runs.map(|at| line(&at.span)).collect(),
    }
}

fn one_origin(name: &At<String>, raw: &RawImage, problems: &mut Problems) {
    let kind = raw.kind.as_ref().map(|at| ("kind", &at.span));
    let base = raw.base.as_ref().map(|at| ("base", &at.span));
    let dockerfile = raw.dockerfile.as_ref().map(|at| ("dockerfile", &at.span));
    let uri = raw.uri.as_ref().map(|at| ("uri", &at.span));
    let origins: Vec<_> = [kind, base, dockerfile, uri].into_iter().flatten().collect();
    match origins[..] {
        [] if !raw.wrong().is_empty() => {}
        [] => problems.push(
            Problem::new(&name.span, format!("image `{}` starts from nothing", name.value))
                .hint("add `kind = \"cpu\"`, `base = \"debian:bookworm-slim\"` or `dockerfile`"),
        ),
        [(first, first_span), (second, span), ..] => problems.push(
            Problem::new(span, format!("an image has `{first}` or `{second}`, not both"))
                .related(first_span, "the other one")
                .hint("remove one of them"),
        ),
        [_] => {}
    }
}

/// An image that is used as it is has nothing to add, and its name holds no account number.
fn image_uri(uri: &At<String>, raw: &RawImage, problems: &mut Problems) {
    check::text("uri", uri, problems);
    if uri.value.contains(char::is_whitespace) || uri.value.contains("://") {
        problems.push(
            Problem::new(&uri.span, format!("`{}` isn't the name of an image", uri.value))
                .hint("write it as `REGISTRY/NAME:TAG` or `REGISTRY/NAME@sha256:…`"),
        );
    }
    let added = [
        ("apt", raw.apt.as_ref().map(|at| &at.span)),
        ("pip", raw.pip.as_ref().map(|at| &at.span)),
        ("run", raw.run.as_ref().map(|at| &at.span)),
        ("secrets", raw.secrets.as_ref().map(|at| &at.span)),
    ];
    for (key, span) in added {
        if let Some(span) = span {
            problems.push(
                Problem::new(span, format!("nothing is built for `uri`, so there is no `{key}`"))
                    .related(&uri.span, "used as it is")
                    .hint("use `base` in place of `uri` to add to an image"),
            );
        }
    }
}

/// Keys that only some kinds have.
fn fitting_keys(raw: &RawImage, problems: &mut Problems) {
    let kind = raw.kind.as_ref().map(|kind| kind.value.0);
    let has_cuda = matches!(kind, None | Some("cuda" | "cuda-ffmpeg" | "detect"));
    let has_python = matches!(kind, None | Some("python" | "detect"));
    let kind = kind.unwrap_or_default();
    let cuda_keys = [
        ("cuda", raw.cuda.as_ref().map(|at| &at.span)),
        ("os", raw.os.as_ref().map(|at| &at.span)),
        ("flavor", raw.flavor.as_ref().map(|at| &at.span)),
        ("driver", raw.driver.as_ref().map(|at| &at.span)),
    ];
    for (key, span) in cuda_keys {
        if let Some(span) = span.filter(|_| !has_cuda) {
            problems.push(
                Problem::new(span, format!("an image of kind `{kind}` has no `{key}`"))
                    .hint(format!("use `kind = \"cuda\"`, or remove `{key}`")),
            );
        }
    }
    if let Some(python) = raw.python.as_ref().filter(|_| !has_python) {
        problems.push(
            Problem::new(&python.span, format!("an image of kind `{kind}` has no `python`"))
                .hint("use `kind = \"python\"`, or remove `python`"),
        );
    }
}

/// What ends up in build commands must be one word or one line.
fn packages(raw: &RawImage, problems: &mut Problems) {
    for package in raw.apt.iter().flat_map(|list| &list.value) {
        let ok = |b: u8| b.is_ascii_alphanumeric() || b"+-.:=~_".contains(&b);
        let starts_well = package.value.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts_well || !package.value.bytes().all(ok) {
            problems.push(
                Problem::new(&package.span, format!("`{}` isn't a Debian package", package.value))
                    .hint("name one package per string, such as `\"fonts-noto-core\"`"),
            );
        }
    }
    for package in raw.pip.iter().flat_map(|list| &list.value) {
        check::text("pip", package, problems);
        if package.value.starts_with('-') {
            problems.push(
                Problem::new(&package.span, format!("`{}` isn't a package", package.value))
                    .hint("options of pip can stand in a command: `run = [\"pip install …\"]`"),
            );
        }
    }
    for line in raw.run.iter().flat_map(|list| &list.value) {
        check::text("run", line, problems);
    }
}

/// What must be one line, and what no variable may be part of.
fn lines(raw: &RawImage, problems: &mut Problems) {
    let env = raw.env.iter().flat_map(|at| &at.value.0).map(|(_, value)| ("env", value));
    let args = raw.args.iter().flat_map(|at| &at.value.0).map(|(_, value)| ("args", value));
    for (key, value) in env.chain(args) {
        if value.value.contains(char::is_control) {
            problems.push(
                Problem::new(&value.span, format!("a value of `{key}` must be one line"))
                    .hint("write longer texts to a file and `copy` it"),
            );
        }
    }
    if let Some(workdir) = &raw.workdir {
        plain_path("workdir", workdir, problems);
        if !workdir.value.starts_with('/') {
            problems.push(
                Problem::new(&workdir.span, "`workdir` must be an absolute path")
                    .hint("such as `/srv`"),
            );
        }
    }
    if let Some(bundle) = &raw.ca_bundle {
        check::own_path("ca_bundle", bundle, problems);
    }
    if let Some(base) = &raw.base
        && (!base.value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/@-".contains(&b))
            || !base.value.starts_with(|c: char| c.is_ascii_alphanumeric()))
    {
        problems.push(
            Problem::new(&base.span, format!("`{}` isn't the name of an image", base.value))
                .hint("write it as `debian:bookworm-slim` or `registry.example.com/team/base:1`"),
        );
    }
}

/// A path that means the same in a build's instructions.
fn plain_path(key: &str, path: &At<String>, problems: &mut Problems) {
    check::text(key, path, problems);
    if path.value.contains(|c: char| c.is_control() || "$\\\"'*?[".contains(c)) {
        problems.push(
            Problem::new(&path.span, format!("`{key}` holds a character that paths can't have"))
                .hint("use letters, digits, spaces and `._/-`"),
        );
    }
}

fn copies(raw: Option<At<Entries<String>>>, problems: &mut Problems) -> BTreeMap<String, String> {
    let entries = raw.map(|entries| entries.value.0).unwrap_or_default();
    for (from, to) in &entries {
        check::own_path("copy", from, problems);
        plain_path("copy", from, problems);
        plain_path("copy", to, problems);
    }
    entries.into_iter().map(|(from, to)| (from.value, to.value)).collect()
}
