//! Whether the kernel has ended processes for want of memory.

use std::sync::atomic::{AtomicU64, Ordering};

/// Notices kills for want of memory, of whichever process on this machine.
#[derive(Debug)]
pub struct OomWatch {
    seen: AtomicU64,
}

impl OomWatch {
    /// Starts watching: earlier kills don't count.
    pub fn start() -> Self {
        OomWatch { seen: AtomicU64::new(kills()) }
    }

    /// Whether there was a kill since this was last asked.
    pub fn has_killed(&self) -> bool {
        let now = kills();
        self.seen.swap(now, Ordering::SeqCst) < now
    }
}

/// The kernel's count since it started (`oom_kill` of `/proc/vmstat`, proc(5)), of kills for the
/// whole machine and for a control group; 0 where it isn't told.
fn kills() -> u64 {
    let counters = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = counters.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}
