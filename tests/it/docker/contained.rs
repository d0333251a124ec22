//! Calls in containers: the same results as in processes, warm workers, and every way to end.

use std::process::Stdio;

use super::docked;
use crate::env::{eventually, interrupt, ran};

const IMAGE: &str = "[image.box]\nbase = \"vdeploy-standin:ffmpeg\"\n";

#[test]
fn a_clip_is_transcoded_to_the_same_frames_as_by_a_process() {
    let Some(docked) = docked() else { return };
    docked.manifest(&format!(
        "{IMAGE}[volume.footage]\n\
         [function.inside]\nhandler = \"transcode\"\nimage = \"box\"\nisolation = \"docker\"\n\
         volumes = {{ \"/videos\" = \"footage\" }}\n\
         [function.outside]\nhandler = \"transcode\"\nisolation = \"process\"\n"
    ));
    docked.clip("in.mp4");
    docked.vdeploy("deploy -y").exits(0);
    let coding = "threads=1 preset=ultrafast hardware=off";
    let inside =
        docked.vdeploy(&format!("call inside --args input=in.mp4 output=a.mp4 {coding}")).exits(0);
    docked.vdeploy(&format!("call outside --args input=in.mp4 output=b.mp4 {coding}")).exits(0);
    assert!(inside.stdout.contains("a.mp4"), "{}", inside.stdout);
    let same_ffmpeg = docked.daemon.docker("run --rm vdeploy-standin:ffmpeg ffmpeg -version");
    let host = std::process::Command::new("ffmpeg").arg("-version").output().unwrap();
    if same_ffmpeg.lines().next() == String::from_utf8_lossy(&host.stdout).lines().next() {
        assert_eq!(docked.frames("a.mp4"), docked.frames("b.mp4"));
    }
    let again = docked.vdeploy(&format!("call inside --args input=in.mp4 output=a.mp4 {coding}"));
    assert!(again.exits(5).stderr.contains("a.mp4"), "an output is kept");
    docked.vdeploy("volume put footage in.mp4 raw/in.mp4").exits(0);
    docked
        .vdeploy(&format!(
            "call inside --args input=vol://footage/raw/in.mp4 output=vol://footage/out.mp4 {coding}"
        ))
        .exits(0);
    docked.vdeploy("volume get footage out.mp4 c.mp4").exits(0);
    assert_eq!(docked.frames("a.mp4"), docked.frames("c.mp4"));
    assert_eq!(docked.containers(), Vec::<String>::new());
}

#[test]
fn a_program_runs_with_its_code_its_secrets_and_a_warm_worker() {
    let Some(docked) = docked() else { return };
    docked.env.write(
        "handlers/who.py",
        "import json, os, socket, sys\n\
         args = json.load(sys.stdin)\n\
         print('reading', args, file=sys.stderr)\n\
         print(json.dumps({'host': socket.gethostname(), 'key': len(os.environ['API_KEY']),\n\
         'vdeploy': os.environ['HOME'], 'n': args['n']}))\n",
    );
    docked.manifest(
        "[image.py]\nkind = \"python\"\n[secret.api]\nkeys = [\"API_KEY\"]\n\
         [function.who]\ncommand = [\"python3\", \"handlers/who.py\"]\nimage = \"py\"\n\
         isolation = \"docker\"\nsecrets = [\"api\"]\n",
    );
    docked.vdeploy("secret create api API_KEY=hunter2hunter2").exits(0);
    docked.vdeploy("deploy -y").exits(0);
    docked.env.write("inputs.jsonl", "{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3}\n");
    let map = docked.vdeploy("map who --inputs inputs.jsonl --max-parallel 1 --json");
    let map = match map.code {
        2 => docked.vdeploy("map who --inputs inputs.jsonl --json").exits(0),
        _ => map.exits(0),
    };
    assert!(map.stdout.contains("\"key\":14"), "{}", map.stdout);
    let image = docked.reference("py");
    let inspected = docked.daemon.docker(&format!("image inspect {image}"));
    assert!(!inspected.contains("hunter2"), "a secret is in the image");
    assert_eq!(docked.containers(), Vec::<String>::new());
}

#[test]
fn a_call_that_uses_too_much_memory_is_told_so() {
    let Some(docked) = docked() else { return };
    docked.manifest(&format!(
        "{IMAGE}[function.fat]\nimage = \"box\"\nisolation = \"docker\"\nmemory = \"64MiB\"\n\
         command = [\"sh\", \"-c\", \"cat > /dev/null; head -c 300m /dev/zero | tail -c 290m\"]\n"
    ));
    docked.vdeploy("deploy -y").exits(0);
    let failed = docked.vdeploy("call fat").exits(5);
    assert!(failed.stderr.contains("memory"), "{}", failed.stderr);
}

#[test]
fn a_timeout_and_ctrl_c_end_the_call_and_its_container() {
    let Some(docked) = docked() else { return };
    docked.manifest(&format!(
        "{IMAGE}[function.slow]\nimage = \"box\"\nisolation = \"docker\"\ntimeout = \"1s\"\n\
         command = [\"sleep\", \"600\"]\n\
         [function.slower]\nimage = \"box\"\nisolation = \"docker\"\n\
         command = [\"sh\", \"-c\", \"echo asleep >&2; exec sleep 600\"]\n"
    ));
    docked.vdeploy("deploy -y").exits(0);
    let late = docked.vdeploy("call slow").exits(5);
    assert!(late.stderr.contains("timeout"), "{}", late.stderr);
    let mut call = docked.command(["call", "slower"]);
    let call = call.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually(|| !docked.containers().is_empty());
    interrupt(&call);
    assert_eq!(ran(call.wait_with_output().unwrap()).code, 130);
    assert_eq!(docked.containers(), Vec::<String>::new());
}

#[test]
fn a_container_that_somebody_kills_is_a_lost_worker() {
    let Some(docked) = docked() else { return };
    docked.manifest(&format!(
        "{IMAGE}[function.slow]\nimage = \"box\"\nisolation = \"docker\"\n\
         command = [\"sleep\", \"600\"]\n"
    ));
    docked.vdeploy("deploy -y").exits(0);
    let mut call = docked.command(["call", "slow"]);
    let call = call.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let running = || {
        let names = docked.containers();
        let up = |name: &String| {
            let state = docked.daemon.try_docker(&format!("top {name}"));
            String::from_utf8_lossy(&state.stdout).contains("sleep")
        };
        names.into_iter().find(up)
    };
    eventually(|| running().is_some());
    docked.daemon.docker(&format!("kill {}", running().unwrap()));
    let lost = ran(call.wait_with_output().unwrap()).exits(5);
    assert!(lost.stderr.contains("was killed by signal 9"), "{}", lost.stderr);
}

#[test]
fn an_image_that_is_gone_fails_the_call_with_the_way_back() {
    let Some(docked) = docked() else { return };
    docked.manifest(&format!(
        "{IMAGE}[function.echo]\nhandler = \"echo\"\nimage = \"box\"\nisolation = \"docker\"\n"
    ));
    docked.vdeploy("deploy -y").exits(0);
    docked.daemon.docker(&format!("rmi {}", docked.reference("box")));
    let failed = docked.vdeploy("call echo").exits(5);
    assert!(failed.stderr.contains("isn't there any more"), "{}", failed.stderr);
}

#[test]
fn what_a_killed_executor_leaves_is_removed_by_the_next() {
    let Some(docked) = docked() else { return };
    docked.manifest(&format!(
        "{IMAGE}[function.slow]\nimage = \"box\"\nisolation = \"docker\"\n\
         command = [\"sleep\", \"600\"]\n[function.echo]\nhandler = \"echo\"\n"
    ));
    docked.vdeploy("deploy -y").exits(0);
    let mut call = docked.command(["call", "slow"]);
    let mut call = call.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually(|| !docked.containers().is_empty());
    call.kill().unwrap();
    call.wait().unwrap();
    docked.vdeploy("call echo").exits(0);
    assert_eq!(docked.containers(), Vec::<String>::new());
}
