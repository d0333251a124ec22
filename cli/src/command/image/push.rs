//! `vdeploy image push`.

use std::io::Read;

use serde_json::json;

use crate::error::{CliError, Exit, Result};
use crate::image::{self, Login, PushError};
use crate::settings::Settings;
use crate::ui::Verbosity;

/// Push an image of the manifest to a registry, and print what it can be pulled by
///
/// The image is built first if it isn't yet. Layers that the registry has are skipped; a push that
/// was broken off goes on where it ended.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An image of the manifest
    #[arg(value_name = "NAME")]
    name: String,
    /// Where to: `registry.example.com/team/name`, with `:tag` if the content's isn't wanted
    #[arg(value_name = "REPOSITORY")]
    repository: String,
    /// Log in as this user; the password is read from stdin
    #[arg(long, value_name = "USER")]
    username: Option<String>,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let docker = super::docker(settings).await?;
    let (job, images) = super::find(settings, &args.name)?;
    let builder = crate::change::builder(settings, &images, &Default::default());
    let built = builder.build(&job.name, &job.reference).await;
    built.map_err(|failure| super::not_built(&job.name, failure))?;
    let (repository, tag) = split(&args.repository);
    let content = job.reference.rsplit(':').next().unwrap_or_default();
    let tag = tag.unwrap_or(content);
    let login = args.username.as_ref().map(|username| login(username)).transpose()?;
    let printer = settings.printer;
    let pushed =
        image::push(&docker, &job.reference, repository, tag, login.as_ref(), |layer, status| {
            if printer.verbosity == Verbosity::Verbose {
                printer.note(format!("    {layer} {status}").trim_end());
            }
        });
    let pushed = pushed.await.map_err(explain)?;
    if printer.json {
        printer.data_json(&json!({ "image": args.name, "digest": pushed.by_digest }))?;
    } else {
        printer.data(&pushed.by_digest)?;
    }
    Ok(Exit::Ok)
}

/// A tag comes after the last `/`; an earlier `:` is a port.
fn split(repository: &str) -> (&str, Option<&str>) {
    match repository.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (repository, None),
    }
}

fn login(username: &str) -> Result<Login> {
    let mut password = String::new();
    std::io::stdin().read_to_string(&mut password)?;
    let password = password.trim_end_matches(['\n', '\r']).to_owned();
    if password.is_empty() {
        return Err(CliError::usage("there is no password on stdin")
            .hint("pass it: `… | vdeploy image push …`"));
    }
    Ok(Login { username: username.to_owned(), password })
}

fn explain(error: PushError) -> CliError {
    let edge = CliError::chain(&error);
    match error {
        PushError::Refused { .. } => {
            edge.hint("name a user, and pass the password on stdin: `--username USER`")
        }
        _ => edge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(split("127.0.0.1:5000/a/b"), ("127.0.0.1:5000/a/b", None));
        assert_eq!(split("127.0.0.1:5000/a:1"), ("127.0.0.1:5000/a", Some("1")));
        assert_eq!(split("team/a"), ("team/a", None));
    }
}
