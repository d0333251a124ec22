//! What a function can't do from inside its container.

use super::docked;

/// Each line is a try that must fail, and what it would reach.
const TRIES: &str = r#"
cat > /dev/null
tried() { if sh -c "$2" >/dev/null 2>&1; then echo "$1: yes" ; else echo "$1: no"; fi; }
tried network "cat /sys/class/net/eth0/address"
tried host-files "cat $HOST_HOME/queue.db"
tried docker-socket "ls /var/run/docker.sock /run/docker.sock $HOST_SOCKET"
tried other-volume "ls $HOST_HOME/environments/main/volumes/private"
tried write-root "touch /usr/x || touch /etc/x || touch /x"
tried mount "mount -t tmpfs none /mnt"
tried chown "touch /tmp/c && chown 1 /tmp/c"
tried devices "mknod /tmp/n c 1 3"
tried setuid "grep -q '^NoNewPrivs:.*0' /proc/self/status"
tried capabilities "grep -q '^CapEff:.*[1-9a-f]' /proc/self/status"
tried own-volume "touch /data/mine"
tried scratch "touch $VDEPLOY_SCRATCH/x || mkdir -p $VDEPLOY_SCRATCH"
"#;

#[test]
fn a_function_reaches_its_own_volume_and_nothing_else() {
    let Some(docked) = docked() else { return };
    docked.env.write("try.sh", TRIES);
    let home = docked.env.vdeploy_home();
    docked.env.write(
        "run.sh",
        "out=$(sh try.sh); printf '%s' \"$out\" | awk -F': ' 'BEGIN{printf \"{\"} \
         {printf \"%s\\\"%s\\\":\\\"%s\\\"\", s, $1, $2; s=\",\"} END{print \"}\"}'\n",
    );
    docked.manifest(&format!(
        "[image.box]\nbase = \"vdeploy-standin:ffmpeg\"\n[volume.own]\n[volume.private]\n\
         [function.tries]\nimage = \"box\"\nisolation = \"docker\"\nsource = [\"try.sh\"]\n\
         command = [\"sh\", \"run.sh\"]\nvolumes = {{ \"/data\" = \"own\" }}\n\
         env = {{ HOST_HOME = \"{}\", HOST_SOCKET = \"{}\" }}\n",
        home.display(),
        docked.daemon.socket().display(),
    ));
    docked.vdeploy("deploy -y").exits(0);
    let call = docked.vdeploy("call tries --json").exits(0);
    let said = call.json();
    let result = said.get("result").unwrap_or(&said).clone();
    // The container's own room is below the local target's folder, alone.
    let refused = [
        "network",
        "host-files",
        "docker-socket",
        "other-volume",
        "write-root",
        "mount",
        "chown",
        "devices",
        "setuid",
        "capabilities",
    ];
    for what in refused {
        assert_eq!(result[what], "no", "{what}: {result}");
    }
    for what in ["own-volume", "scratch"] {
        assert_eq!(result[what], "yes", "{what}: {result}");
    }
    assert!(home.join("environments/main/volumes/own/mine").exists());
}

#[test]
fn the_network_is_there_for_who_asks_for_it() {
    let Some(docked) = docked() else { return };
    docked.manifest(
        "[image.box]\nbase = \"vdeploy-standin:ffmpeg\"\n\
         [function.online]\nimage = \"box\"\nisolation = \"docker\"\nnetwork = true\n\
         command = [\"sh\", \"-c\", \"cat >/dev/null; cat /sys/class/net/eth0/address >&2 && echo 1\"]\n",
    );
    docked.vdeploy("deploy -y").exits(0);
    docked.vdeploy("call online").exits(0);
}

#[test]
fn a_path_of_the_host_is_not_passed_on_to_another_call() {
    let Some(docked) = docked() else { return };
    docked.manifest(
        "[image.box]\nbase = \"vdeploy-standin:ffmpeg\"\n\
         [function.probe]\nhandler = \"probe\"\nimage = \"box\"\nisolation = \"docker\"\n",
    );
    docked.vdeploy("deploy -y").exits(0);
    let missing = docked.vdeploy("call probe --args input=/etc/no-such-file").exits(5);
    assert!(missing.stderr.contains("`/etc/no-such-file` isn't there"), "{}", missing.stderr);
}

#[test]
fn files_on_volumes_belong_to_whoever_runs_the_call() {
    let Some(docked) = docked() else { return };
    docked.manifest(
        "[image.box]\nbase = \"vdeploy-standin:ffmpeg\"\n[volume.own]\n\
         [function.write]\nimage = \"box\"\nisolation = \"docker\"\n\
         command = [\"sh\", \"-c\", \"cat >/dev/null; id -u > /data/id; echo null\"]\n\
         volumes = { \"/data\" = \"own\" }\n",
    );
    docked.vdeploy("deploy -y").exits(0);
    docked.vdeploy("call write").exits(0);
    let file = docked.env.vdeploy_home().join("environments/main/volumes/own/id");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&file).unwrap());
    assert_eq!(owner, rustix::process::getuid().as_raw());
    assert_eq!(std::fs::read_to_string(file).unwrap().trim(), owner.to_string());
}
