//! Processes by identity: a process id together with the time it started, since ids are reused.

use std::fmt;

use rustix::process::{
    Pid, Signal, WaitOptions, kill_process, kill_process_group, test_kill_process, waitpid,
};
use serde::{Deserialize, Serialize};

/// A process that can be told from a later one of the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process id; for a worker also the id of its process group.
    pub pid: u32,
    /// When it started, in the kernel's own ticks since boot; 0 where that isn't known.
    pub started: u64,
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.pid)
    }
}

impl ProcessId {
    /// This process.
    pub fn current() -> Self {
        Self::of(std::process::id())
    }

    /// The process that has id `pid` now.
    pub fn of(pid: u32) -> Self {
        ProcessId { pid, started: stat(pid).map_or(0, |stat| stat.started) }
    }

    /// Whether this very process still runs.
    pub fn is_alive(self) -> bool {
        let Some(pid) = self.as_pid() else { return false };
        let exists = match test_kill_process(pid) {
            Ok(()) => true,
            Err(error) => error == rustix::io::Errno::PERM,
        };
        // A zombie has ended; only its parent doesn't know yet.
        let started = stat(self.pid).map_or(Some(0), |stat| (!stat.zombie).then_some(stat.started));
        exists && started == Some(self.started)
    }

    /// Ends every process of the group it leads. The group outlives its leader, so this is for
    /// groups whose leader was seen alive, or whose id can't have been given away yet.
    pub fn kill_group(self) {
        self.signal_group(Signal::KILL);
    }

    /// Asks every process of the group it leads to end.
    pub fn terminate_group(self) {
        self.signal_group(Signal::TERM);
    }

    fn signal_group(self, signal: Signal) {
        if let Some(pid) = self.as_pid() {
            // The only failure that is left is a group that is already gone.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn as_pid(self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw)
    }
}

/// Ends what is left of a process group whose leader is recorded: members that started in it keep
/// its id, and the kernel gives no id away that a group still uses. The leader itself may be gone,
/// or a zombie that nobody has waited for.
pub fn kill_leftovers(leader: ProcessId) {
    if stat(leader.pid).is_none_or(|stat| stat.started == leader.started) {
        leader.kill_group();
    }
}

/// Asks one process to end.
pub fn terminate(pid: u32) {
    if let Some(pid) = (ProcessId { pid, started: 0 }).as_pid() {
        // The only failure that is left is a process that is already gone.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Makes orphans among this process's descendants its children, so that [`end_children`] finds
/// them.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    // Without it, orphans go to the init process and end when they like.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Ends every child of this process and every descendant that becomes one.
pub fn end_children() {
    loop {
        let children = children();
        if children.is_empty() {
            return;
        }
        for child in children {
            let _ = kill_process(child, Signal::KILL);
            let _ = waitpid(Some(child), WaitOptions::empty());
        }
    }
}

/// The children of all threads of this process (proc(5), `/proc/PID/task/TID/children`).
fn children() -> Vec<Pid> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(parse_pid).collect::<Vec<_>>())
        .collect()
}

fn parse_pid(text: &str) -> Option<Pid> {
    text.parse().ok().and_then(Pid::from_raw)
}

struct Stat {
    zombie: bool,
    started: u64,
}

/// Fields 3 and 22 of `/proc/PID/stat` (proc(5)); the second field may hold spaces and parentheses.
fn stat(pid: u32) -> Option<Stat> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.get(stat.rfind(')')? + 1..)?;
    let mut fields = after_name.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    Some(Stat { zombie, started: fields.nth(18)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_and_not_another_of_the_same_id() {
        let me = ProcessId::current();
        assert!(me.is_alive());
        assert!(!ProcessId { started: me.started + 1, ..me }.is_alive());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a process group to end")]
    fn a_group_is_ended_whose_leader_is_a_zombie() {
        use std::io::Read;
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new("sh");
        let mut leader = command
            // The reader sees the end of the pipe when the last of the group is gone.
            .args(["-c", "sleep 1000 & echo started"])
            .process_group(0)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let recorded = ProcessId::of(leader.id());
        while recorded.is_alive() {
            std::thread::yield_now();
        }
        kill_leftovers(recorded);
        let mut said = String::new();
        leader.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "started\n");
        leader.wait().unwrap();
    }

    #[test]
    fn a_process_that_was_never_there_is_not_alive() {
        assert!(!ProcessId { pid: u32::MAX - 1, started: 1 }.is_alive());
    }
}
