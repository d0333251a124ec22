//! Transfers between a bucket and the files of a call: told as its progress, and one failure of
//! whatever goes wrong.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::storage::bucket::explained;
use crate::storage::transfer::{BucketTransfer, Event, Pair, Summary, TransferError};
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// Hears how far a call is, from any thread; must not block.
pub(crate) type Tell = Arc<dyn Fn(Progress) + Send + Sync>;

/// A transfer of `pairs` that is told as `phase` of a call.
pub(crate) fn transfer(
    pairs: Vec<Pair>,
    overwrite: bool,
    tell: &Tell,
    phase: Phase,
) -> BucketTransfer {
    let tell = Arc::clone(tell);
    let bytes = Mutex::new((0_u64, 0_u64));
    let events = move |event: Event| {
        let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Copying { bytes: all, .. } => *bytes = (0, all),
            Event::Advanced { bytes: more } => bytes.0 += more,
            _ => return,
        }
        let (done, all) = *bytes;
        tell(of_bytes(phase, done, (all > 0).then_some(all)));
    };
    BucketTransfer {
        pairs,
        overwrite,
        index: None,
        cancel: CancellationToken::new(),
        events: Arc::new(events),
    }
}

/// How far a transfer is, of `all` bytes where that is known.
pub(super) fn of_bytes(phase: Phase, done: u64, all: Option<u64>) -> Progress {
    let fraction = all.map(|all| done.min(all) as f64 / all as f64);
    let message = match all {
        Some(all) => format!("{:.1} of {:.1} MiB", mebibytes(done), mebibytes(all)),
        None => format!("{:.1} MiB", mebibytes(done)),
    };
    Progress { phase, fraction, message: Some(message), ..Progress::default() }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// One failure of whatever could not be transferred.
pub(crate) fn check_summary(
    done: Result<Summary, TransferError>,
    what: &str,
    kind: FailureKind,
) -> Result<(), Failure> {
    match done {
        Ok(summary) => match summary.failed.first() {
            None => Ok(()),
            Some(failed) => {
                let message = format!("can't transfer `{}` of {what}", failed.path);
                Err(Failure::new(kind, message).cause(&failed.why).retryable(true))
            }
        },
        Err(TransferError::Exists(paths)) => {
            let path = paths.first().map(ToString::to_string).unwrap_or_default();
            Err(exists(&path))
        }
        Err(TransferError::Destination(failed) | TransferError::Source(failed)) => {
            let message = format!("can't transfer `{}` of {what}", failed.path);
            Err(Failure::new(kind, message).cause(failed.why).retryable(true))
        }
        Err(error) => Err(Failure::new(kind, format!("can't transfer {what}")).cause(error)),
    }
}

/// Something is where an output belongs.
pub(crate) fn exists(location: &str) -> Failure {
    Failure::new(FailureKind::Output, format!("output `{location}` already exists"))
        .hint("pass `--force` to replace it, or name another output")
}

/// Something can't be reached, or its files can't be taken here.
pub(super) fn unusable(what: &str, error: &io::Error) -> Failure {
    let Some(refused) = explained(error) else { return machine(what, error) };
    let failure = Failure::new(FailureKind::Machine, format!("can't reach `{what}`"));
    let failure = failure.cause(&refused.cause);
    match refused.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The machine that runs a call can't take its files.
pub(crate) fn machine(what: &str, error: &io::Error) -> Failure {
    Failure::new(FailureKind::Machine, format!("can't use `{what}` here")).cause(error)
}
