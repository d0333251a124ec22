//! What the bucket keeps of calls: who writes what, when, and what it says.
//!
//! Whoever submits writes the group and its inputs before anything runs. The worker of a call
//! replaces its status while it runs, and writes its outcome once. Whoever looks on writes an
//! outcome only for a call whose worker is known never to.

mod inputs;
mod ledger;
mod record;

pub use ledger::Ledger;
pub use record::{Ended, Group, Job, MapPart, MapPlace, Status, call_record};
