//! Errors as people see them: one line, its causes, hints; and the table of exit codes.

use std::fmt;

use vdeploy_runtime::Failure;
use vdeploy_runtime::catalog::CatalogError;
use vdeploy_runtime::client::ClientError;
use vdeploy_runtime::dispatch::local::DispatchError;
use vdeploy_runtime::secret::SecretError;
use vdeploy_runtime::settings::SettingsError;
pub use vdeploy_runtime::suggestion::did_you_mean;

/// How the process ends; the numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// It could not be done.
    Failed = 1,
    /// The command line or a file it names is wrong.
    Usage = 2,
    /// `plan --detailed-exitcode` found changes.
    ChangesPending = 3,
    /// Some steps were applied, others were not.
    PartlyApplied = 4,
    /// The function that was called failed.
    FunctionFailed = 5,
    /// Ctrl-C.
    Interrupted = 130,
}

/// An error at the edge: what failed, why, and what to do.
#[derive(Debug)]
pub struct CliError {
    /// How the process ends because of it.
    pub exit: Exit,
    /// One line that names the thing in backticks; lowercase, without a full stop.
    pub message: String,
    /// What lies behind it, outermost first.
    pub causes: Vec<String>,
    /// What to do about it, each with a command to paste where there is one.
    pub hints: Vec<String>,
    /// Everything that is wrong, one by one, where one line can't say it.
    pub report: Option<Box<Report>>,
}

/// Many mistakes at once, such as those of a manifest.
#[derive(Debug)]
pub struct Report {
    /// What people see, above the error's own line.
    pub text: String,
    /// What programs see: a list of mistakes.
    pub data: serde_json::Value,
}

/// What commands return.
pub type Result<T, E = CliError> = std::result::Result<T, E>;

impl CliError {
    /// It could not be done.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// What was asked for makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// An error that ends the process with `exit`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        CliError {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
            report: None,
        }
    }

    /// It could not be done because of `error` and everything behind that.
    pub fn chain(error: &dyn std::error::Error) -> Self {
        let edge = CliError::failed(error.to_string());
        match error.source() {
            Some(source) => edge.caused_by(source),
            None => edge,
        }
    }

    /// The same error, with what lies behind it.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// The same error, with an error and everything behind that.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// The same error, with everything that is wrong.
    #[must_use]
    pub fn report(mut self, report: Report) -> Self {
        self.report = Some(Box::new(report));
        self
    }

    /// The same error, with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        CliError {
            exit: Exit::FunctionFailed,
            message: failure.message,
            causes: failure.causes,
            hints: failure.hint.into_iter().collect(),
            report: None,
        }
    }
}

impl From<CatalogError> for CliError {
    fn from(error: CatalogError) -> Self {
        let hint = error.hint();
        let source = std::error::Error::source(&error);
        CliError {
            causes: source.into_iter().map(ToString::to_string).collect(),
            hints: hint.into_iter().collect(),
            ..CliError::failed(error.to_string())
        }
    }
}

impl From<SecretError> for CliError {
    fn from(error: SecretError) -> Self {
        let hint = error.hint();
        let source = std::error::Error::source(&error);
        CliError {
            causes: source.into_iter().map(ToString::to_string).collect(),
            hints: hint.into_iter().collect(),
            ..CliError::failed(error.to_string())
        }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        CliError::failed("can't read or write").cause(error)
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Args(failure) => CliError { exit: Exit::Usage, ..failure.into() },
            ClientError::Catalog(error) => error.into(),
            ClientError::Dispatch(error) => error.into(),
            ClientError::DifferentMap { .. } => CliError::chain(&error).hint(
                "leave `--map-id` away to start a new map, or pass the same function and inputs",
            ),
            ClientError::Settings(error) => error.into(),
            error => {
                let hints = error.hint().into_iter().collect();
                CliError { hints, ..CliError::chain(&error) }
            }
        }
    }
}

impl From<SettingsError> for CliError {
    fn from(error: SettingsError) -> Self {
        let exit = match &error {
            SettingsError::NoWorker(_) => Exit::Failed,
            _ => Exit::Usage,
        };
        let hints = error.hint().into_iter().collect();
        CliError { exit, hints, ..CliError::chain(&error) }
    }
}

impl From<DispatchError> for CliError {
    fn from(error: DispatchError) -> Self {
        let edge = CliError::chain(&error);
        match error {
            DispatchError::Queue(error) if error.is_full() => {
                edge.hint("nothing that was accepted is lost; make room and run it again").hint(
                    "see how full the disks are: `df -h`; forget old calls: `vdeploy calls prune`",
                )
            }
            _ => edge,
        }
    }
}
