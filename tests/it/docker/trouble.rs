//! What is said when the engine, or what it builds, lets a build down.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use super::docked;
use crate::env::{TestEnv, ran};

const BOX: &str = "[image.box]\nbase = \"vdeploy-standin:ffmpeg\"\n";
/// A user that is nobody's.
const NOBODY: u32 = 65534;

#[test]
fn without_an_engine_the_plan_says_how_to_get_one() {
    let env = TestEnv::new();
    env.write(
        "vdeploy.toml",
        format!("[app]\nname = \"demo\"\n{BOX}[function.echo]\nhandler = \"echo\"\nimage = \"box\"\nisolation = \"docker\"\n"),
    );
    let mut command = env.command(["deploy", "-y"]);
    command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let failed = ran(command.output().unwrap()).exits(1);
    assert!(failed.stderr.contains("no container engine listens at `/nowhere/docker.sock`"));
    assert!(failed.stderr.contains("hint: install and start Docker"), "{}", failed.stderr);
}

#[test]
fn a_socket_that_is_not_for_this_user_says_how_to_be_let_in() {
    let env = TestEnv::new();
    let socket = env.project().join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o600)).unwrap();
    let root = env.project().parent().unwrap().to_owned();
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o777)).unwrap();
    std::fs::set_permissions(env.vdeploy_home(), PermissionsExt::from_mode(0o777)).unwrap();
    let as_nobody = |args: &[&str]| {
        let mut command = env.command(args);
        command.env("DOCKER_HOST", format!("unix://{}", socket.display())).uid(NOBODY);
        command.output()
    };
    // Only root may be somebody else, and may start programs that others can't see.
    if as_nobody(&["--version"]).is_ok_and(|ran| ran.status.success()) {
        let failed = ran(as_nobody(&["image", "ls"]).unwrap()).exits(1);
        let expected =
            format!("this user may not use the container engine at `{}`", socket.display());
        assert!(failed.stderr.contains(&expected), "{}", failed.stderr);
        assert!(failed.stderr.contains("hint: join the group `docker`"), "{}", failed.stderr);
    } else {
        eprintln!("not tested here: programs can't be run as another user");
    }
}

/// Passes connections on to `real` until they are cut.
#[derive(Clone, Default)]
struct Relay {
    open: Arc<Mutex<Vec<UnixStream>>>,
}

impl Relay {
    fn start(at: &Path, real: &Path) -> Self {
        let (relay, real) = (Relay::default(), real.to_owned());
        let (listener, open) = (UnixListener::bind(at).unwrap(), relay.open.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), UnixStream::connect(&real).unwrap());
                open.lock()
                    .unwrap()
                    .extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                pass(client.try_clone().unwrap(), server.try_clone().unwrap());
                pass(server, client);
            }
        });
        relay
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().iter() {
            // One that has ended needs no cutting.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

#[test]
fn a_daemon_that_dies_in_the_middle_of_a_build_is_said() {
    let Some(docked) = docked() else { return };
    docked.manifest(&format!("{BOX}run = [\"echo begun; sleep 600\"]\n"));
    for buildkit in ["0", "1"] {
        let socket = docked.env.project().join(format!("docker-{buildkit}.sock"));
        let relay = Relay::start(&socket, docked.daemon.socket());
        let mut command = docked.command(["-v", "image", "build"]);
        command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        command.env("DOCKER_BUILDKIT", buildkit);
        let mut building = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(building.stderr.take().unwrap()).lines();
        assert!(lines.by_ref().any(|line| line.unwrap().ends_with("begun")));
        relay.cut();
        let rest: Vec<_> = lines.map_while(Result::ok).collect();
        assert_eq!(building.wait().unwrap().code(), Some(1));
        let rest = rest.join("\n");
        assert!(rest.contains("broke off the build"), "{rest}");
        assert!(rest.contains("hint: see whether it runs"), "{rest}");
    }
    assert_eq!(docked.vdeploy("image ls --json").exits(0).json(), serde_json::json!([]));
}

#[test]
fn a_disk_that_is_full_says_where_to_make_room() {
    let Some(docked) = docked() else { return };
    // A build's shared memory is a small disk of its own.
    docked.manifest(&format!("{BOX}run = [\"cat /dev/zero > /dev/shm/full\"]\n"));
    let failed = docked.vdeploy("image build").exits(1);
    assert!(failed.stderr.contains("No space left on device"), "{}", failed.stderr);
    assert!(failed.stderr.contains("hint: make room"), "{}", failed.stderr);
}

#[test]
fn a_base_for_another_processor_is_told_by_its_first_command() {
    let Some(docked) = docked() else { return };
    // 183 is the number of ARM's 64-bit processors in a program's header.
    let foreign = "FROM vdeploy-standin:ffmpeg\n\
                   RUN cp /bin/dash /d && printf '\\267' | dd of=/d bs=1 seek=18 conv=notrunc && mv /d /bin/dash\n";
    let name = "vdeploy-standin:foreign";
    let mut build = Command::new("docker");
    build.args(["build", "--quiet", "--tag", name, "-"]).env("DOCKER_HOST", docked.daemon.host());
    build.env("DOCKER_BUILDKIT", "0").stdout(Stdio::null()).stderr(Stdio::null());
    let mut building = build.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = building.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, foreign.as_bytes()).unwrap();
    drop(stdin);
    assert!(building.wait().unwrap().success());
    docked.manifest(&format!("[image.box]\nbase = \"{name}\"\nrun = [\"true\"]\n"));
    let failed = docked.vdeploy("image build").exits(1);
    assert!(failed.stderr.contains("exec format error"), "{}", failed.stderr);
    assert!(failed.stderr.contains("another kind of processor"), "{}", failed.stderr);
}
