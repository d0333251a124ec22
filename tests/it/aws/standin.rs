//! The stand-in for AWS that tests/standin/aws makes of moto, one for each test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::env::{Ran, TestEnv, eventually, ran, repository};

/// The region that everything is in.
pub const REGION: &str = "us-east-1";
/// The number of moto's account, which nothing that is shown may hold.
pub const ACCOUNT: &str = "123456789012";

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

    /// Runs `vdeploy` with words split at spaces.
    pub fn vdeploy(&self, env: &TestEnv, line: &str) -> Ran {
        ran(self.command(env, line).output().expect("vdeploy starts"))
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

impl Drop for Aws {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> PathBuf {
    repository().join("target/standin/venv/bin/python")
}
