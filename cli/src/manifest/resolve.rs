//! From what a manifest says to the [`App`] it means: references, names and everything that two
//! keys can get wrong together.

use std::collections::BTreeMap;

use vdeploy_runtime::environment::volume_variable;
use vdeploy_runtime::function::BucketMount;

use super::app::{App, Function, Secret};
use super::aws;
use super::check;
use super::decode::{At, Entries, Table};
use super::function;
use super::image;
use super::problem::{Lines, Problem, Problems};
use super::raw::{RawApp, RawBucket, RawManifest, RawSecret, RawTargets, RawVolume};

/// What functions may refer to.
pub(super) struct Known<'a> {
    pub(super) app: &'a str,
    pub(super) images: Vec<String>,
    pub(super) volumes: Vec<String>,
    pub(super) secrets: Vec<String>,
    pub(super) buckets: BTreeMap<String, BucketMount>,
    /// Functions run in containers unless they say otherwise.
    pub(super) contained: bool,
    pub(super) handlers: &'a [&'a str],
    pub(super) lines: &'a Lines<'a>,
}

/// The app that `raw` means. With problems noted, it is only there to find more of them.
pub(super) fn app(
    raw: RawManifest,
    handlers: &[&str],
    lines: &Lines<'_>,
    problems: &mut Problems,
) -> App {
    let name = match &raw.app {
        None if raw.wrong().contains(&"app") => String::new(),
        app => app_name(app.as_ref(), problems),
    };
    let images = entries(raw.image);
    let volumes = entries(raw.volume);
    let secrets = entries(raw.secret);
    let secret_names = names(&secrets);
    let buckets = each(
        entries(raw.bucket),
        |name, raw, problems| bucket(name, raw, &secret_names, problems),
        problems,
    );
    let known = Known {
        app: &name,
        images: names(&images),
        volumes: names(&volumes),
        secrets: secret_names,
        buckets,
        contained: contained(raw.target.as_ref()),
        handlers,
        lines,
    };
    let functions = functions(raw.function, &known, problems);
    App {
        functions,
        buckets: known.buckets,
        image_places: images
            .iter()
            .map(|(name, raw)| (name.value.clone(), image::place(name, &raw.value, lines)))
            .collect(),
        images: each(
            images,
            |name, raw, problems| image::resolve(name, raw, &known.secrets, problems),
            problems,
        ),
        volumes: self::volumes(&volumes, problems),
        secrets: each(secrets, secret, problems),
        targets: aws::targets(raw.target, problems),
        description: raw.app.and_then(|app| text(app.value.description)),
        name,
    }
}

fn app_name(app: Option<&At<RawApp>>, problems: &mut Problems) -> String {
    let Some(app) = app else {
        problems.push(
            Problem::new(&(0..0), "the manifest doesn't name its app")
                .hint("begin it with `[app]` and `name = \"my-app\"`"),
        );
        return String::new();
    };
    let Some(name) = &app.value.name else {
        if app.value.wrong().contains(&"name") {
            return String::new();
        }
        problems
            .push(Problem::new(&app.span, "`[app]` has no `name`").hint("add `name = \"my-app\"`"));
        return String::new();
    };
    check::name(name, problems);
    name.value.clone()
}

fn entries<T>(entries: Option<At<Entries<T>>>) -> Vec<(At<String>, At<T>)> {
    entries.map(|entries| entries.value.0).unwrap_or_default()
}

fn names<T>(entries: &[(At<String>, At<T>)]) -> Vec<String> {
    entries.iter().map(|(name, _)| name.value.clone()).collect()
}

/// Resolves entries by name, after checking the names.
fn each<Raw, T>(
    entries: Vec<(At<String>, At<Raw>)>,
    resolve: impl Fn(&At<String>, Raw, &mut Problems) -> T,
    problems: &mut Problems,
) -> BTreeMap<String, T> {
    let mut resolved = BTreeMap::new();
    for (name, raw) in entries {
        check::name(&name, problems);
        let value = resolve(&name, raw.value, problems);
        resolved.insert(name.value, value);
    }
    resolved
}

fn functions(
    raw: Option<At<Entries<super::raw::RawFunction>>>,
    known: &Known<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, Function> {
    each(
        entries(raw),
        |name, raw, problems| function::resolve(name, raw, known, problems),
        problems,
    )
}

/// Names of volumes. Functions find a volume by a variable that two names may share.
fn volumes(entries: &[(At<String>, At<RawVolume>)], problems: &mut Problems) -> Vec<String> {
    let mut variables: BTreeMap<String, &At<String>> = BTreeMap::new();
    for (name, _) in entries {
        check::name(name, problems);
        let variable = volume_variable(&name.value);
        if let Some(first) = variables.insert(variable.clone(), name) {
            problems.push(
                Problem::new(
                    &name.span,
                    format!("volumes `{}` and `{}` are too alike", first.value, name.value),
                )
                .label(format!("functions would find both as `{variable}`"))
                .related(&first.span, "the other one")
                .hint("rename one of them"),
            );
        }
    }
    entries.iter().map(|(name, _)| name.value.clone()).collect()
}

fn secret(_: &At<String>, raw: RawSecret, problems: &mut Problems) -> Secret {
    let keys = raw.keys.map(|keys| keys.value).unwrap_or_default();
    keys.iter().for_each(|key| check::variable(key, problems));
    Secret { keys: values(keys) }
}

fn bucket(
    name: &At<String>,
    raw: RawBucket,
    secrets: &[String],
    problems: &mut Problems,
) -> BucketMount {
    if let Some(secret) = &raw.secret {
        check::reference("secret", secret, secrets, problems);
    }
    match &raw.url {
        None if raw.wrong().contains(&"url") => {}
        None => problems.push(
            Problem::new(&name.span, format!("bucket `{}` has no `url`", name.value))
                .hint("add `url = \"s3://BUCKET/PREFIX\"`"),
        ),
        Some(url) if !is_bucket_url(&url.value) => problems.push(
            Problem::new(&url.span, format!("`{}` isn't the address of a bucket", url.value))
                .hint("write it as `s3://BUCKET/PREFIX`"),
        ),
        Some(_) => {}
    }
    if let Some(endpoint) = &raw.endpoint
        && !["https://", "http://"].iter().any(|scheme| endpoint.value.starts_with(scheme))
    {
        problems.push(
            Problem::new(&endpoint.span, format!("`{}` isn't a URL", endpoint.value))
                .hint("write it as `https://HOST`"),
        );
    }
    let url = text(raw.url).unwrap_or_default();
    let place = url.strip_prefix("s3://").unwrap_or_default();
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let prefix = prefix.trim_matches('/');
    BucketMount {
        bucket: bucket.to_owned(),
        prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
        endpoint: text(raw.endpoint),
        region: text(raw.region),
        secret: text(raw.secret),
        read_only: raw.read_only.is_some_and(|read_only| read_only.value),
    }
}

fn is_bucket_url(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("s3://") else { return false };
    let bucket = rest.split('/').next().unwrap_or_default();
    let bytes_ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b);
    (3..64).contains(&bucket.len()) && bucket.bytes().all(bytes_ok)
}

/// Whether the local target runs functions in containers.
fn contained(raw: Option<&At<RawTargets>>) -> bool {
    let local = raw.and_then(|targets| targets.value.local.as_ref());
    let isolation = local.and_then(|local| local.value.isolation.as_ref());
    isolation.is_some_and(|isolation| isolation.value.0 == "docker")
}

/// A text without its place.
pub(super) fn text(at: Option<At<String>>) -> Option<String> {
    at.map(|at| at.value)
}

/// Texts without their places.
pub(super) fn values(list: Vec<At<String>>) -> Vec<String> {
    list.into_iter().map(|at| at.value).collect()
}

/// Variables by name, after checking the names.
pub(super) fn variables(
    raw: Option<At<Entries<String>>>,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    let entries = entries(raw);
    entries.iter().for_each(|(name, _)| check::variable(name, problems));
    entries.into_iter().map(|(name, value)| (name.value, value.value)).collect()
}
