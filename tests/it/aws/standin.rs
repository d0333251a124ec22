//! The stand-in for AWS that tests/standin/aws makes of moto, one for each test.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::env::{Ran, TestEnv, eventually, ran, repository};

/// The region that everything is in.
pub const REGION: &str = "us-east-1";
/// The number of moto's account, which nothing that is shown may hold.
pub const ACCOUNT: &str = "123456789012";

/// What nothing that is shown or kept may hold: the account, its keys, its registry's password, and
/// what tests put into secrets.
pub const SECRETS: [&str; 5] =
    [ACCOUNT, "AKIATESTTESTTEST", "test-secret-access-key", "auth-token", "hunter2-of-the-test"];

/// A running stand-in; it ends with the test, which closes the connection.
pub struct Aws {
    _connection: UnixStream,
    pub address: String,
    /// What shows that requests come from this test.
    token: String,
}

impl Aws {
    /// Starts one in `env`, or says in a line why there is none.
    pub fn start(env: &TestEnv) -> Option<Aws> {
        Aws::start_with(env, &[])
    }

    /// Starts one with more variables than this process has.
    pub fn start_with(env: &TestEnv, variables: &[(&str, &OsStr)]) -> Option<Aws> {
        if !python().exists() {
            eprintln!("skipped: there is no stand-in for AWS; `tests/tools` installs it");
            return None;
        }
        let address = env.user_home().join("aws-address");
        let token = format!("{:032x}", rand::random::<u128>());
        let mut env = with(variables);
        env.insert("STANDIN_TOKEN".into(), token.clone());
        let asked = json!({ "env": env, "port_file": address });
        let mut connection = connected();
        writeln!(connection, "{asked}").expect("it reads");
        connection.set_nonblocking(true).expect("a socket");
        eventually(|| {
            let read = connection.read(&mut [0]);
            let ended = !matches!(&read, Err(error) if error.kind() == ErrorKind::WouldBlock);
            assert!(!ended, "the stand-in ended: {}", log().display());
            address.exists()
        });
        let address = std::fs::read_to_string(address).expect("an address");
        Some(Aws { _connection: connection, address, token })
    }

    /// Starts one whose jobs and functions are programs of this machine.
    pub fn serving(env: &TestEnv) -> Option<Aws> {
        let worker = worker();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = worker.parent().map(Path::to_owned).into_iter();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&path)));
        let path = path.expect("folders of a path");
        let variables = [
            ("STANDIN_JOBS", OsStr::new("process")),
            ("VDEPLOY_WORKER", worker.as_os_str()),
            ("PATH", &path),
        ];
        Aws::start_with(env, &variables)
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
        self.say(what, "")
    }

    /// How often each operation was asked for.
    pub fn requests(&self) -> Value {
        serde_json::from_str(&self.ask("requests")).expect("a table")
    }

    /// Everything that is there, as boto3 alone sees it.
    pub fn everything(&self) -> Vec<String> {
        self.ask("everything").lines().map(str::to_owned).collect()
    }

    /// Runs lines of Python that find boto3's clients in `client("service")`; what they print.
    pub fn boto3(&self, lines: &str) -> String {
        self.say("python", lines)
    }

    fn say(&self, what: &str, body: &str) -> String {
        let host = self.address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("the stand-in listens");
        let (size, token) = (body.len(), &self.token);
        write!(
            stream,
            "POST /standin/{what} HTTP/1.0\r\nHost: {host}\r\nX-Standin-Token: {token}\r\n\
             Content-Length: {size}\r\n\r\n{body}"
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.contains(" 200 "), "{body}");
        body.to_owned()
    }
}

/// This process's variables, those that are text, and these.
fn with(variables: &[(&str, &OsStr)]) -> BTreeMap<String, String> {
    let ours = std::env::vars_os();
    let more = variables.iter().map(|(name, value)| (name.into(), value.into()));
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    ours.chain(more).filter_map(text).collect()
}

/// What stand-ins say.
fn log() -> PathBuf {
    repository().join("target/standin/aws.log")
}

/// A connection to what makes stand-ins, which the first test starts.
fn connected() -> UnixStream {
    // A socket's path has room for some hundred characters, and a repository may be deep down.
    let mut hasher = DefaultHasher::new();
    repository().hash(&mut hasher);
    let user = rustix::process::getuid().as_raw();
    let folder = format!("vdeploy-standin-{user}-{:016x}", hasher.finish());
    let folder = std::env::temp_dir().join(folder);
    let _ = DirBuilder::new().mode(0o700).create(&folder);
    let made = folder.metadata().expect("a folder");
    assert!(made.uid() == user && made.mode() & 0o077 == 0, "not ours: {}", folder.display());
    let socket = folder.join("aws");
    UnixStream::connect(&socket).unwrap_or_else(|_| {
        let lock = File::create(folder.join("lock")).expect("a lock");
        lock.lock().expect("one at a time");
        UnixStream::connect(&socket).unwrap_or_else(|_| started(&socket))
    })
}

/// Starts what makes stand-ins, which outlives this test.
fn started(socket: &Path) -> UnixStream {
    let mut maker = Command::new(python());
    maker.arg(repository().join("tests/standin/aws/warm.py")).arg(socket).process_group(0);
    let log = File::options().append(true).create(true).open(log()).expect("a log");
    maker.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut maker = maker.spawn().expect("python starts");
    let mut connection = None;
    eventually(|| {
        let ended = maker.try_wait().expect("it is ours");
        assert!(ended.is_none(), "tests/standin/aws/warm.py ended: {ended:?}");
        connection = UnixStream::connect(socket).ok();
        connection.is_some()
    });
    connection.expect("a connection")
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

/// The worker program that was built with the tests.
pub fn worker() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_vdeploy")).with_file_name("vdeploy-runtime")
}

fn python() -> PathBuf {
    repository().join("target/standin/venv/bin/python")
}
