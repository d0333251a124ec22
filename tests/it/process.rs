//! The processes of one test's world, as `/proc` shows them.

use std::path::PathBuf;

use rustix::process::{Pid, Signal};

use crate::env::TestEnv;

/// A process that was started, however far back, by a command of one world.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    /// Its words, separated by spaces.
    pub line: String,
}

impl Process {
    /// Ends it, without a word.
    pub fn kill(&self) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            // It may have ended since it was seen.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// All processes whose `HOME` is the world's, which every descendant inherits.
pub fn of(env: &TestEnv) -> Vec<Process> {
    let home = format!("HOME={}", env.user_home().display());
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| words(*pid, "environ").contains(&home))
        .map(|pid| Process { pid, line: words(pid, "cmdline").join(" ") })
        // One that is about to end has variables no longer, or no words.
        .filter(|process| !process.line.is_empty())
        .collect()
}

/// How many processes have exactly these words.
pub fn running(line: &str) -> usize {
    all().filter(|process| process.line == line).count()
}

/// Every process there is.
pub fn all() -> impl Iterator<Item = Process> {
    let numbers = std::fs::read_dir("/proc").unwrap().flatten();
    numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(|pid| Process { pid, line: words(pid, "cmdline").join(" ") })
}

/// Kills the world's processes until none is left, as a power cut would.
pub fn kill_all(env: &TestEnv) {
    loop {
        let found = of(env);
        if found.is_empty() {
            return;
        }
        found.iter().for_each(Process::kill);
    }
}

fn words(pid: i32, file: &str) -> Vec<String> {
    let bytes = std::fs::read(PathBuf::from(format!("/proc/{pid}")).join(file)).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    words.map(std::borrow::Cow::into_owned).filter(|word| !word.is_empty()).collect()
}
