//! Image recipes of a manifest.

use super::app::Image;
use super::check;
use super::decode::{At, Table};
use super::problem::{Problem, Problems};
use super::raw::RawImage;
use super::resolve::{text, values, variables};

/// The recipe that an `[image.NAME]` means.
pub(super) fn resolve(name: &At<String>, raw: RawImage, problems: &mut Problems) -> Image {
    one_origin(name, &raw, problems);
    fitting_keys(&raw, problems);
    if let Some(dockerfile) = &raw.dockerfile {
        check::own_path("dockerfile", dockerfile, problems);
    }
    if let Some(uri) = &raw.uri {
        image_uri(uri, &raw, problems);
    }
    versions(&raw, problems);
    packages(&raw, problems);
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
        env: variables(raw.env, problems),
        run: list(raw.run),
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

fn versions(raw: &RawImage, problems: &mut Problems) {
    for (key, version, example) in [("cuda", &raw.cuda, "12.4.1"), ("python", &raw.python, "3.12")]
    {
        let Some(version) = version else { continue };
        if !is_version(&version.value) {
            problems.push(
                Problem::new(&version.span, format!("`{}` isn't a version", version.value))
                    .hint(format!("write it as `{key} = \"{example}\"`")),
            );
        }
    }
    let Some(os) = &raw.os else { return };
    if os.value.is_empty() || !os.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') {
        problems.push(
            Problem::new(&os.span, format!("`{}` isn't an operating system of CUDA", os.value))
                .hint("write it as `os = \"ubuntu22.04\"`"),
        );
    }
}

fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (2..=3).contains(&parts.len()) && parts.iter().all(number)
}

/// What ends up in build commands must be one word or one line.
fn packages(raw: &RawImage, problems: &mut Problems) {
    for package in raw.apt.iter().flat_map(|list| &list.value) {
        let ok = |b: u8| b.is_ascii_alphanumeric() || b"+-.:=~_".contains(&b);
        if package.value.is_empty() || !package.value.bytes().all(ok) {
            problems.push(
                Problem::new(&package.span, format!("`{}` isn't a Debian package", package.value))
                    .hint("name one package per string, such as `\"fonts-noto-core\"`"),
            );
        }
    }
    for package in raw.pip.iter().flat_map(|list| &list.value) {
        check::text("pip", package, problems);
    }
    for line in raw.run.iter().flat_map(|list| &list.value) {
        check::text("run", line, problems);
    }
}
