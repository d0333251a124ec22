//! A hermetic place to run `vdeploy` in: its own HOME, no variables of the machine's, and output
//! with times, ids and paths replaced.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;
use vdeploy_runtime::aws::layout::Engine;
use vdeploy_runtime::catalog::{Catalog, FORMAT, Published};
use vdeploy_runtime::clock::now;
use vdeploy_runtime::function::{Entry, FunctionSpec};
use vdeploy_runtime::home::Home;

/// One test's world.
pub struct TestEnv {
    root: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl TestEnv {
    pub fn new() -> Self {
        let root = TempDir::with_prefix("vdeploy-test-").expect("a temporary folder");
        let env = TestEnv { root };
        for dir in ["home", "project", "vdeploy-home"] {
            std::fs::create_dir(env.root.path().join(dir)).expect("a folder");
        }
        env
    }

    /// The folder commands run in.
    pub fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// `HOME`.
    pub fn user_home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// `VDEPLOY_HOME`.
    pub fn vdeploy_home(&self) -> PathBuf {
        self.root.path().join("vdeploy-home")
    }

    /// Writes a file into the project.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.project().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// A `vdeploy` command in this world, to be changed before it runs.
    pub fn command<I: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vdeploy"));
        command
            .args(args)
            .current_dir(self.project())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.user_home())
            .env("VDEPLOY_HOME", self.vdeploy_home())
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// Runs `vdeploy` with words split at spaces.
    pub fn vdeploy(&self, line: &str) -> Ran {
        self.run(line.split_whitespace())
    }

    /// Runs `vdeploy` with these arguments.
    pub fn run<I: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Ran {
        ran(self.command(args).output().expect("vdeploy starts"))
    }

    /// Publishes a function as a deploy would, for tests of what comes after.
    pub fn publish(&self, name: &str, entry: Entry, change: impl FnOnce(&mut FunctionSpec)) {
        self.publish_in("main", name, entry, change);
    }

    /// The same in any environment.
    pub fn publish_in(
        &self,
        environment: &str,
        name: &str,
        entry: Entry,
        change: impl FnOnce(&mut FunctionSpec),
    ) {
        let mut function: FunctionSpec = serde_json::from_value(serde_json::json!({
            "app": "demo",
            "name": name,
            "entry": entry,
        }))
        .expect("a function");
        if let Entry::Builtin { handler } = &function.entry {
            let handler = vdeploy_runtime::handlers::builtin().describe(handler);
            function.schema = handler.map(|handler| handler.args);
        }
        change(&mut function);
        let home = Home::new(self.vdeploy_home()).environment(environment);
        Catalog::new(home)
            .publish(&Published {
                format: FORMAT,
                version: 1,
                deployed_at: now(),
                function,
                engine: Engine::Local,
            })
            .expect("the function is published");
    }

    /// Publishes a program; `script` is run by `sh`.
    pub fn publish_script(&self, name: &str, script: &str) {
        self.publish(name, sh(script), |_| {});
    }

    /// Replaces what differs from run to run.
    pub fn redact(&self, text: &str) -> String {
        text.replace(&self.root.path().display().to_string(), "[ROOT]")
    }
}

impl Ran {
    /// Asserts the exit code, showing everything when it is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr))
    }
}

/// A program that `sh` runs.
pub fn sh(script: &str) -> Entry {
    Entry::Command { argv: vec!["sh".into(), "-c".into(), script.into()] }
}

/// Presses Ctrl-C.
pub fn interrupt(child: &Child) {
    signal(child, rustix::process::Signal::INT);
}

/// Sends a signal to a process that runs.
pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Waits until `holds`; for what another process does a moment after the last thing it can be
/// asked about.
pub fn eventually(mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed().as_secs() < 60, "it never came to hold");
        // Leaves the processor to what is waited for.
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The parts of a finished process.
pub fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The repository this test was built from.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("cli/ has a parent")
}
