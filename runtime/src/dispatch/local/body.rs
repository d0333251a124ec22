//! What a worker is to the machine: a process with all it has started, or a container.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Child;
use tokio::time::timeout;

use super::container::Container;
use super::luggage::Luggage;
use crate::oom::OomWatch;
use crate::process::ProcessId;
use crate::wire::Failure;
use crate::worker::frame::Invoke;

/// How long a body that has hung up may take to be dead.
const GRACE: Duration = Duration::from_secs(5);

/// A worker's body.
#[derive(Debug)]
pub(super) enum Body {
    /// A process that leads a group.
    Process {
        /// To be waited for.
        child: Child,
        /// Which it is.
        process: ProcessId,
        /// Knows whether it was killed for want of memory.
        oom: OomWatch,
    },
    /// A container.
    Container(Container),
}

impl Body {
    /// Says how it died; it has hung up, so it is dead or about to be.
    pub(super) async fn last_words(&mut self, when: &str) -> String {
        match self {
            Body::Process { child, oom, .. } => match timeout(GRACE, child.wait()).await {
                Ok(Ok(status)) => describe(status, oom.has_killed(), when),
                _ => "hung up".into(),
            },
            Body::Container(container) => container.last_words(when).await,
        }
    }

    /// Ends it and everything in it.
    pub(super) async fn end(&mut self) {
        match self {
            Body::Process { child, process, .. } => {
                process.kill_group();
                // It was killed; waiting only reaps it.
                let _ = child.wait().await;
            }
            Body::Container(container) => container.remove().await,
        }
    }

    /// Puts where the worker can reach them the files that a call names.
    pub(super) async fn pack(&self, invoke: &mut Invoke) -> Result<Luggage, Failure> {
        match self {
            Body::Process { .. } => Ok(Luggage::none()),
            Body::Container(container) => container.pack(invoke).await,
        }
    }
}

fn describe(status: ExitStatus, out_of_memory: bool, when: &str) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) if out_of_memory => "was killed because there was no memory left".into(),
        (Some(9), _) => "was killed (signal 9); did the machine run out of memory?".into(),
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (_, Some(code)) => format!("exited with status {code} {when}"),
        _ => format!("ended {when}"),
    }
}
