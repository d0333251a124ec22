//! The lock of an environment in a bucket: an object that is written only where there is none.
//!
//! Nobody frees it when its holder dies, unless that was on the same machine: then the next one sees
//! that the process is gone, and takes the lock over.

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};
use vdeploy_runtime::aws::AwsErrorKind;
use vdeploy_runtime::aws::objects::{Bucket, Condition};

use super::lock::{Holder, LockError};
use super::s3::mark;

/// A held lock; [`S3Lock::release`] frees it.
#[derive(Debug)]
pub(crate) struct S3Lock {
    objects: Bucket,
    key: String,
    mark: String,
}

/// What the object says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    holder: Holder,
    /// Of this boot of the machine, and the processes that see each other there.
    machine: Option<String>,
    mark: String,
}

impl S3Lock {
    /// Takes the lock at `key`, or says at once who has it.
    pub(crate) async fn take(
        objects: Bucket,
        key: String,
        holder: &Holder,
    ) -> Result<Self, LockError> {
        let note = Note { holder: holder.clone(), machine: machine(), mark: mark() };
        let mut condition = Condition::Absent;
        loop {
            match objects.put_json(&key, &note, condition).await {
                Ok(_) => return Ok(S3Lock { objects, key, mark: note.mark }),
                Err(error) if error.kind != AwsErrorKind::Conflict => return Err(error.into()),
                Err(_) => {}
            }
            condition = match objects.get_json::<Note>(&key).await? {
                // The answer to a writing of ours got lost.
                Some((found, _)) if found.mark == note.mark => {
                    return Ok(S3Lock { objects, key, mark: note.mark });
                }
                Some((found, etag)) if found.is_left(&note) => Condition::Unchanged(etag),
                Some((found, _)) => return Err(LockError::Held { holder: Some(found.holder) }),
                None => Condition::Absent,
            };
        }
    }

    /// Frees the lock, unless somebody else has it by now.
    pub(crate) async fn release(self) -> Result<(), LockError> {
        match self.objects.get_json::<Note>(&self.key).await? {
            Some((found, _)) if found.mark == self.mark => {
                Ok(self.objects.delete(&[self.key]).await?)
            }
            _ => Ok(()),
        }
    }
}

/// Who has the lock at `key`.
pub(crate) async fn s3_holder(objects: &Bucket, key: &str) -> Result<Option<Holder>, LockError> {
    Ok(objects.get_json::<Note>(key).await?.map(|(note, _)| note.holder))
}

/// Frees the lock at `key` whoever has it. What its holder still records is refused by the serial.
pub(crate) async fn break_s3_lock(objects: &Bucket, key: String) -> Result<(), LockError> {
    Ok(objects.delete(&[key]).await?)
}

impl Note {
    /// Whether its holder was a process of this machine that is gone.
    fn is_left(&self, by: &Note) -> bool {
        let here = self.machine.is_some() && self.machine == by.machine;
        let pid = i32::try_from(self.holder.pid).ok().and_then(Pid::from_raw);
        let gone = |pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
        here && pid.is_some_and(gone)
    }
}

/// This boot of the machine, and which processes see each other.
fn machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let processes = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), processes.display()))
}
