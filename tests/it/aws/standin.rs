//! The stand-in for AWS that tests/standin/aws makes of moto, one for each test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::env::{Ran, TestEnv, eventually, ran, repository};

/// The region that everything is in.
pub const REGION: &str = "us-east-1";
/// The number of moto's account, which nothing that is shown may hold.
pub const ACCOUNT: &str = "123456789012";

/// What nothing that is shown or kept may hold: the account, its keys, its registry's password, and
/// what tests put into secrets.
pub const SECRETS: [&str; 5] =
    [ACCOUNT, "AKIATESTTESTTEST", "test-secret-access-key", "auth-token", "hunter2-of-the-test"];

/// A running stand-in; it ends with the test.
pub struct Aws {
    child: Child,
    pub address: String,
}

impl Aws {
    /// Starts one in `env`, or says in a line why there is none.
    pub fn start(env: &TestEnv) -> Option<Aws> {
        Aws::start_with(env, |_| {})
    }

    /// Starts one whose process was changed before it runs.
    pub fn start_with(env: &TestEnv, change: impl FnOnce(&mut Command)) -> Option<Aws> {
        let python = python();
        if !python.exists() {
            eprintln!("skipped: there is no stand-in for AWS; `tests/tools` installs it");
            return None;
        }
        let address = env.user_home().join("aws-address");
        let server = repository().join("tests/standin/aws/server.py");
        let mut command = Command::new(python);
        command.arg(server).arg(&address).stdin(Stdio::piped()).stderr(Stdio::null());
        change(&mut command);
        let child = command.spawn().expect("the stand-in starts");
        eventually(|| address.exists());
        let address = std::fs::read_to_string(address).expect("an address");
        Some(Aws { child, address })
    }

    /// Starts one whose jobs and functions are programs of this machine.
    pub fn serving(env: &TestEnv) -> Option<Aws> {
        let worker = worker();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = worker.parent().map(Path::to_owned).into_iter();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&path)));
        Aws::start_with(env, |command| {
            command.env("STANDIN_JOBS", "process").env("VDEPLOY_WORKER", &worker);
            command.env("PATH", path.expect("folders of a path"));
        })
    }

    /// A `vdeploy` command that has credentials for it, and `aws` as its target.
    pub fn command(&self, env: &TestEnv, line: &str) -> Command {
        let mut command = env.command(line.split_whitespace());
        for (name, value) in self.variables() {
            command.env(name, value);
        }
        command
    }

    /// Where it is and who asks.
    pub fn variables(&self) -> [(&'static str, &str); 6] {
        [
            ("AWS_ENDPOINT_URL", &self.address),
            ("AWS_ACCESS_KEY_ID", "AKIATESTTESTTEST"),
            ("AWS_SECRET_ACCESS_KEY", "test-secret-access-key"),
            ("AWS_REGION", REGION),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("VDEPLOY_TARGET", "aws"),
        ]
    }

    /// Runs `vdeploy` with words split at spaces. Whatever it does, it tells nobody secrets.
    #[track_caller]
    pub fn vdeploy(&self, env: &TestEnv, line: &str) -> Ran {
        discreet(self.command(env, line).output().expect("vdeploy starts"))
    }

    /// Asks the stand-in itself, such as `faults?share=0.1`.
    pub fn ask(&self, what: &str) -> String {
        let host = self.address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("the stand-in listens");
        write!(stream, "GET /standin/{what} HTTP/1.0\r\nHost: {host}\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
    }

    /// How often each operation was asked for.
    pub fn requests(&self) -> serde_json::Value {
        serde_json::from_str(&self.ask("requests")).expect("a table")
    }

    /// Everything that is there, as boto3 alone sees it.
    pub fn everything(&self) -> Vec<String> {
        let script = repository().join("tests/standin/aws/left.py");
        let listed =
            self.python(&[script.display().to_string(), self.address.clone(), REGION.into()]);
        listed.lines().map(str::to_owned).collect()
    }

    /// Runs lines of Python that find boto3's clients in `client("service")`.
    pub fn boto3(&self, lines: &str) -> String {
        let address = &self.address;
        let client = format!(
            "import boto3, json\ndef client(service):\n    return boto3.client(service, \
             endpoint_url={address:?}, region_name={REGION:?}, aws_access_key_id='t', \
             aws_secret_access_key='t')\n"
        );
        self.python(&["-c".into(), client + lines])
    }

    fn python(&self, args: &[String]) -> String {
        let output = Command::new(python()).args(args).output().expect("python starts");
        let ran = ran(output).exits(0);
        ran.stdout
    }
}

/// What a command did, which is to name neither an account nor a secret.
#[track_caller]
pub fn discreet(output: Output) -> Ran {
    let ran = ran(output);
    for secret in SECRETS {
        for text in [&ran.stdout, &ran.stderr] {
            let at = text.find(secret);
            assert!(at.is_none(), "{secret}: {}", &text[at.unwrap_or(0).saturating_sub(300)..]);
        }
    }
    ran
}

impl Drop for Aws {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The worker program that was built with the tests.
pub fn worker() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_vdeploy")).with_file_name("vdeploy-runtime")
}

fn python() -> PathBuf {
    repository().join("target/standin/venv/bin/python")
}
