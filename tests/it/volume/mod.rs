//! Volumes: Modal's argument order and rules, without its traps.

mod interruption;
mod manage;
mod names;
mod transfer;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::env::{Ran, TestEnv, ran};

const MIB: u64 = 1 << 20;

/// A world with an empty volume `v`.
fn with_volume() -> TestEnv {
    let env = TestEnv::new();
    env.vdeploy("volume create v").exits(0);
    env
}

/// Where the files of `v` are.
fn root(env: &TestEnv) -> PathBuf {
    env.vdeploy_home().join("environments/main/volumes/v")
}

/// Every path below `folder`, folders with a slash at the end, staging included.
fn tree(folder: &Path) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let shown = path.strip_prefix(folder).unwrap().display().to_string();
            if path.is_dir() && !path.is_symlink() {
                paths.insert(format!("{shown}/"));
                waiting.push(path);
            } else {
                paths.insert(shown);
            }
        }
    }
    paths
}

fn set(paths: &[&str]) -> BTreeSet<String> {
    paths.iter().map(ToString::to_string).collect()
}

/// Bytes that don't compress or repeat by block, the same in every run.
pub fn noise(bytes: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(bytes as usize).collect()
}

/// Runs `vdeploy` in a shell that sets limits first.
fn limited(env: &TestEnv, limits: &str, line: &str) -> Ran {
    within(&env.command(line.split_whitespace()), limits)
}

/// Runs a command after a line of the shell that limits it.
pub fn within(command: &Command, limits: &str) -> Ran {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("{limits}; exec \"$0\" \"$@\""))
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().expect("commands have one"))
        .env_clear();
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(key, value);
        }
    }
    ran(shell.stdin(Stdio::null()).output().unwrap())
}
