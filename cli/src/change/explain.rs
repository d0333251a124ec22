//! What goes wrong while an environment is changed, as people see it.

use std::path::Path;

use crate::desired::CloudProblem;
use crate::error::CliError;
use crate::plan::{MissingSecret, PlanError};
use crate::prepare::PrepareError;
use crate::provider::ProviderError;
use crate::store::{Holder, LockError, StoreError};

/// A mistake in a file that a function names.
pub(super) fn explain_file(error: &PrepareError, manifest: &Path, line: usize) -> CliError {
    let message = format!("{error} (in `{}`, line {line})", manifest.display());
    let cli = CliError::usage(message).caused_by(&error.problem);
    match error.problem.hint() {
        Some(hint) => cli.hint(hint),
        None => cli,
    }
}

/// What stands in the way of an app in the cloud, each at its function.
pub(super) fn explain_cloud(problems: &[CloudProblem], manifest: &Path) -> CliError {
    let count = match problems.len() {
        1 => "1 function can't".to_owned(),
        count => format!("{count} functions can't"),
    };
    let error = CliError::usage(format!("{count} run on AWS"));
    problems.iter().fold(error, |error, problem| {
        let CloudProblem { function, line, text, hint } = problem;
        let at = format!("`{}`, line {line}", manifest.display());
        error.cause(format!("function `{function}`: {text} ({at})")).hint(hint)
    })
}

impl From<PlanError> for CliError {
    fn from(error: PlanError) -> Self {
        let PlanError::MissingSecrets { environment, secrets } = &error;
        secrets.iter().fold(CliError::failed(error.to_string()), |cli, secret| {
            cli.cause(missing_text(secret)).hint(missing_hint(secret, environment))
        })
    }
}

fn missing_text(secret: &MissingSecret) -> String {
    let keys: Vec<_> = secret.keys.iter().map(|key| format!("`{key}`")).collect();
    if secret.exists {
        format!("secret `{}` lacks {}", secret.name, keys.join(", "))
    } else {
        format!("there is no secret `{}`", secret.name)
    }
}

fn missing_hint(secret: &MissingSecret, environment: &str) -> String {
    let MissingSecret { name, exists, keys } = secret;
    let force = if *exists { " --merge" } else { "" };
    let keys: String = match keys.as_slice() {
        [] => " KEY=-".into(),
        keys => keys.iter().map(|key| format!(" {key}=-")).collect(),
    };
    let environment =
        if environment == "main" { String::new() } else { format!(" -e {environment}") };
    format!("enter it with `vdeploy secret create {name}{keys}{force}{environment}`")
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let cli = CliError::failed(error.to_string());
        let cli = match std::error::Error::source(&error) {
            Some(source) => cli.caused_by(source),
            None => cli,
        };
        if let StoreError::Cloud(aws) = &error {
            let cli = cli.cause(&aws.cause);
            return aws.hint().into_iter().fold(cli, CliError::hint);
        }
        match error {
            StoreError::Moved(_) => cli.hint("look at what is left to do: `vdeploy plan`"),
            StoreError::Later(_) => cli.hint("use that version, or a later one"),
            _ => cli,
        }
    }
}

impl From<ProviderError> for CliError {
    fn from(error: ProviderError) -> Self {
        let hints = error.hint.iter().cloned().collect();
        CliError { causes: error.chain(), hints, ..CliError::failed(error.to_string()) }
    }
}

impl From<LockError> for CliError {
    fn from(error: LockError) -> Self {
        let cli = CliError::failed(error.to_string());
        match error {
            LockError::Io { source, .. } => cli.cause(source),
            LockError::Cloud(aws) => {
                let cli = cli.cause(&aws.cause);
                aws.hint().into_iter().fold(cli, CliError::hint)
            }
            LockError::Held { holder: None } => {
                cli.hint("wait for it to end, or break its lock: `vdeploy state unlock --force`")
            }
            LockError::Held { holder: Some(holder) } => cli
                .cause(holder_text(&holder))
                .hint("wait for it to end")
                .hint(format!(
                    "if it hangs, end it with `kill {}` on `{}`, or break its lock: `vdeploy state unlock --force`",
                    holder.pid, holder.host
                )),
        }
    }
}

/// Who holds a lock, in one line.
pub(crate) fn holder_text(holder: &Holder) -> String {
    let Holder { user, host, pid, operation, since } = holder;
    format!("`{operation}` by {user}@{host}, process {pid}, since {since:.0}")
}
