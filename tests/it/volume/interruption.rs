//! Killed, interrupted, out of space, and huge.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{MIB, limited, noise, root, set, tree, with_volume};

/// `ulimit -f` lets the kernel kill the process in the middle of a write: the same as `kill -9`
/// there, but at a place that doesn't depend on speed.
#[test]
fn a_put_that_was_killed_goes_on_where_it_stopped() {
    let env = with_volume();
    let bytes = noise(24 * MIB + 3);
    env.write("clip", &bytes);
    let killed = limited(&env, "ulimit -f 16384", "volume put v clip");
    assert_eq!(killed.code, -1, "{killed:?}");
    let left = tree(&root(&env));
    assert!(!left.contains("clip") && left.contains(".vdeploy-staging/"), "{left:?}");
    assert_eq!(env.vdeploy("volume ls -r v").exits(0).stdout, "", "a part is no file");

    let summary = env.vdeploy("volume put v clip --json").exits(0).json();
    assert!(summary["resumed_bytes"].as_u64().unwrap() >= 4 * MIB, "{summary}");
    assert!(fs::read(root(&env).join("clip")).unwrap() == bytes);
    assert_eq!(tree(&root(&env)), set(&["clip"]));
}

#[test]
fn a_get_that_was_killed_goes_on_where_it_stopped() {
    let env = with_volume();
    let bytes = noise(24 * MIB);
    fs::write(root(&env).join("clip"), &bytes).unwrap();
    let killed = limited(&env, "ulimit -f 16384", "volume get v clip");
    assert_eq!(killed.code, -1, "{killed:?}");
    assert!(!env.project().join("clip").exists());

    let ran = env.vdeploy("volume get v clip").exits(0);
    assert!(ran.stderr.contains("resumed)"), "{}", ran.stderr);
    assert!(fs::read(env.project().join("clip")).unwrap() == bytes);
    assert_eq!(tree(&env.project()), set(&["clip"]));
}

#[test]
fn a_part_of_something_else_is_not_trusted() {
    let env = with_volume();
    env.write("clip", noise(24 * MIB));
    limited(&env, "ulimit -f 16384", "volume put v clip");
    // Another file of that name now, and shorter; and somebody wrote into the part.
    let mut bytes = noise(6 * MIB + 1);
    bytes[10] ^= 1;
    env.write("clip", &bytes);
    let part = tree(&root(&env)).into_iter().find(|path| path.contains("/part-")).unwrap();
    let part = fs::File::options().write(true).open(root(&env).join(part)).unwrap();
    part.write_all_at(b"garbage", 3 * MIB).unwrap();
    drop(part);
    let summary = env.vdeploy("volume put v clip --json").exits(0).json();
    // All but the two blocks that differ, if the part got that far.
    assert!(summary["resumed_bytes"].as_u64().unwrap() <= 4 * MIB + 1, "{summary}");
    assert!(fs::read(root(&env).join("clip")).unwrap() == bytes);
}

#[test]
fn a_disk_that_takes_no_more_is_one_clear_error_and_nothing_half_visible() {
    let env = with_volume();
    env.write("clips/a", noise(MIB));
    env.write("clips/big", noise(8 * MIB));
    // With the signal ignored, the limit is an error of the write.
    let ran = limited(&env, "trap '' XFSZ; ulimit -f 4096", "volume put v clips").exits(1);
    assert!(ran.stderr.contains("big`"), "{}", ran.stderr);
    assert!(!root(&env).join("clips/big").exists());
    env.vdeploy("volume put v clips").exits(0);
    assert_eq!(fs::metadata(root(&env).join("clips/big")).unwrap().len(), 8 * MIB);
}

#[test]
fn ctrl_c_ends_a_put_that_waits_for_its_input() {
    let env = with_volume();
    let mut put = env
        .command(["volume", "put", "v", "-", "clip"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = put.stdin.take().unwrap();
    stdin.write_all(b"half").unwrap();
    // Once it has read, it listens to Ctrl-C too.
    let staged = || tree(&root(&env)).iter().any(|path| path.ends_with("stream"));
    while !staged() {
        std::thread::yield_now();
    }
    let pid = put.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = put.wait().unwrap();
    let mut stderr = String::new();
    put.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((status.code(), status.signal()), (Some(130), None), "{stderr}");
    assert!(tree(&root(&env)).is_empty());
}

#[test]
fn a_sparse_file_of_4_gib_stays_sparse_and_takes_no_memory() {
    let env = with_volume();
    let sparse = fs::File::create(env.project().join("sparse")).unwrap();
    sparse.set_len(4 << 30).unwrap();
    sparse.write_all_at(b"data", 3 << 30).unwrap();
    let mut put =
        env.command(["volume", "put", "v", "sparse"]).stderr(Stdio::null()).spawn().unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", put.id()));
    let mut peak_kib = 0;
    while put.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
        peak_kib = kib.unwrap_or(peak_kib);
    }
    assert!(put.wait().unwrap().success());
    assert!(peak_kib > 0 && peak_kib <= 100 * 1024, "peak memory was {peak_kib} KiB");
    let there = fs::metadata(root(&env).join("sparse")).unwrap();
    assert_eq!(there.len(), 4 << 30);
    assert!(there.blocks() * 512 < MIB, "{} blocks on disk", there.blocks());
    let mut data = [0; 4];
    let file = fs::File::open(root(&env).join("sparse")).unwrap();
    file.read_exact_at(&mut data, 3 << 30).unwrap();
    assert_eq!(&data, b"data");
}
