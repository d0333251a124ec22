//! How a program ended, as a result or as a failure that names what went wrong.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use serde::Deserialize;
use serde_json::Value;

use crate::oom::OomWatch;
use crate::wire::{Failure, FailureKind};

/// Bytes of JSON a program may print as its result.
pub(super) const RESULT_LIMIT: usize = 16 << 20;

/// A disk with less room than this is full: nothing but the smallest file fits.
const FULL_BELOW: u64 = 64 << 10;

/// What is left of a program that has ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// How it ended.
    pub(super) status: ExitStatus,
    /// What it printed as its result, or the start of it when that is too long.
    pub(super) stdout: Vec<u8>,
    /// The last lines of its log.
    pub(super) stderr_tail: Vec<String>,
}

impl Ending {
    /// The result it printed, or why there is none. `scratch` is the folder it worked in.
    pub(super) fn result(
        self,
        program: &str,
        scratch: &Path,
        oom: &OomWatch,
    ) -> Result<Value, Failure> {
        if self.stdout.len() > RESULT_LIMIT {
            return Err(self.too_long(program));
        }
        if self.status.success() {
            return self.parse(program);
        }
        Err(self
            .declared()
            .or_else(|| self.for_want_of_memory(program, oom))
            .or_else(|| self.for_want_of_disk(program, scratch))
            .unwrap_or_else(|| self.for_its_own_reasons(program)))
    }

    fn too_long(&self, program: &str) -> Failure {
        let limit = RESULT_LIMIT >> 20;
        self.failure(format!("`{program}` printed more than {limit} MiB as its result"))
            .retryable(false)
            .hint("put large results in files below `$VDEPLOY_ARTIFACTS`, and logs on stderr")
    }

    fn parse(&self, program: &str) -> Result<Value, Failure> {
        if self.stdout.iter().all(u8::is_ascii_whitespace) {
            return Err(self
                .failure(format!("`{program}` exited with status 0 but printed no result"))
                .retryable(false)
                .hint("print one JSON value on stdout, for example `{}`"));
        }
        serde_json::from_slice(&self.stdout).map_err(|error| {
            let start: String = String::from_utf8_lossy(&self.stdout).chars().take(120).collect();
            Failure::new(
                FailureKind::Handler,
                format!("`{program}` printed something that isn't one JSON value"),
            )
            .cause(error)
            .cause(format!("its output starts with {start:?}"))
            .hint("print the result on stdout and everything else on stderr")
            .retryable(false)
        })
    }

    /// What the program itself says about its failure.
    fn declared(&self) -> Option<Failure> {
        #[derive(Deserialize)]
        struct Declared {
            error: Said,
        }
        #[derive(Deserialize)]
        struct Said {
            message: String,
            hint: Option<String>,
            #[serde(default)]
            retryable: bool,
        }
        let Declared { error } = serde_json::from_slice(&self.stdout).ok()?;
        let mut failure = self.failure(error.message).retryable(error.retryable);
        failure.hint = error.hint;
        Some(failure)
    }

    /// A shell says 137 when its last command was killed by signal 9.
    fn for_want_of_memory(&self, program: &str, oom: &OomWatch) -> Option<Failure> {
        let killed = self.status.signal() == Some(9) || self.status.code() == Some(137);
        (killed && oom.has_killed()).then(|| {
            self.lack(format!("`{program}` was killed because there was no memory left"))
                .hint("raise `memory` so that fewer calls run at a time, or lower `max_containers`")
        })
    }

    fn for_want_of_disk(&self, program: &str, scratch: &Path) -> Option<Failure> {
        let said = self.stderr_tail.iter().any(|line| line.contains("No space left on device"));
        (said || is_full(scratch)).then(|| {
            self.lack(format!("`{program}` {} because the disk is full", self.how())).hint(format!(
                "make room, and see where there is some: `df -h {}`",
                existing(scratch).display()
            ))
        })
    }

    fn for_its_own_reasons(&self, program: &str) -> Failure {
        let failure = self.failure(format!("`{program}` {}", self.how())).retryable(true);
        match self.status.signal() {
            Some(9) => failure
                .hint("if the machine ran out of memory, raise `memory` or lower `max_containers`"),
            Some(25) => failure.hint("it wrote a file over the limit that `ulimit -f` shows"),
            _ => failure,
        }
    }

    fn how(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exited with status {code}"),
            (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
        }
    }

    fn lack(&self, message: String) -> Failure {
        Failure { kind: FailureKind::Machine, ..self.failure(message) }.retryable(true)
    }

    fn failure(&self, message: String) -> Failure {
        let mut failure = Failure::new(FailureKind::Handler, message);
        failure.causes.clone_from(&self.stderr_tail);
        failure
    }
}

/// Whether the disk that holds `folder` has no room left for this user.
fn is_full(folder: &Path) -> bool {
    let Ok(disk) = rustix::fs::statvfs(existing(folder)) else { return false };
    let blocks = if rustix::process::geteuid().is_root() { disk.f_bfree } else { disk.f_bavail };
    disk.f_blocks > 0 && blocks * disk.f_frsize < FULL_BELOW
}

/// The nearest folder that is there: the program may have removed its own.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder)
}
