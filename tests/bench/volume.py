#!/usr/bin/env python3
"""`volume put` against what a shell would do: `name | ours | peer | ratio | goal`, one row per line.

Usage: volume.py [VDEPLOY]    (default: target/release/vdeploy)

Ratios are ours over the peer's within one run, medians of RUNS; the disk's own noise cancels only
partly, so look at the ratio of several runs before believing a small difference.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 5
GIB = 1 << 30
MIB = 1 << 20


class World:
    """A VDEPLOY_HOME and a folder for clips on one filesystem."""

    def __init__(self, vdeploy: Path, root: Path):
        self.vdeploy = vdeploy
        self.root = root
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "VDEPLOY_HOME": str(root / "home"),
            "LANG": "C.UTF-8",
        }

    def volume(self, *args: str) -> None:
        """Runs `vdeploy volume`, which has to succeed."""
        command = [self.vdeploy, "volume", *args, "--quiet"]
        subprocess.run(command, env=self.env, cwd=self.root, check=True)

    def fresh_volume(self) -> None:
        self.volume("delete", "v", "-y", "--allow-missing")
        self.volume("create", "v")


def seconds(work, before=lambda: None) -> float:
    """The median time of `work`; `before` and a sync are not timed."""
    times = []
    for _ in range(RUNS):
        before()
        os.sync()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def shell(script: str, cwd: Path) -> None:
    subprocess.run(["sh", "-ec", script], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def write_noise(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for at in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size - at)))


def row(name: str, ours: str, peer: str, ratio: str, goal: str) -> None:
    print(f"{name} | {ours} | {peer} | {ratio} | {goal}", flush=True)


def bench_large_file(world: World) -> None:
    clip = world.root / "clip"
    write_noise(clip, GIB)
    copy = world.root / "copy"
    ours = seconds(lambda: world.volume("put", "v", "clip"), world.fresh_volume)
    peer = seconds(
        lambda: shell("cp clip copy && sync copy && sha256sum copy", world.root),
        lambda: copy.unlink(missing_ok=True),
    )
    row(
        "volume put, 1 GiB (peer: cp, sync, sha256sum)",
        f"{ours:.2f} s",
        f"{peer:.2f} s",
        f"{ours / peer:.2f} x",
        "<= 1.00 x",
    )
    copy.unlink(missing_ok=True)
    clip.unlink()


def bench_unchanged_tree(world: World) -> None:
    for number in range(1000):
        write_noise(world.root / "tree" / f"{number % 20:02}" / f"{number}.bin", 256 * 1024)
    first = seconds(lambda: world.volume("put", "v", "tree"), world.fresh_volume)
    again = seconds(lambda: world.volume("put", "v", "tree"))
    row(
        "volume put, unchanged tree of 1,000 files (peer: the first put)",
        f"{again * 1000:.0f} ms",
        f"{first * 1000:.0f} ms",
        f"{first / again:.0f} x faster",
        ">= 20 x faster",
    )
    shutil.rmtree(world.root / "tree")


def bench_sparse_memory(world: World) -> None:
    with open(world.root / "sparse", "wb") as file:
        file.truncate(4 * GIB)
    world.fresh_volume()
    pid = os.posix_spawn(
        world.vdeploy,
        [str(world.vdeploy), "volume", "put", "v", str(world.root / "sparse"), "--quiet"],
        world.env,
    )
    start = time.perf_counter()
    _, status, usage = os.wait4(pid, 0)
    took = time.perf_counter() - start
    assert status == 0, "volume put failed"
    row(
        f"volume put, sparse 4 GiB ({took:.2f} s): peak memory",
        f"{usage.ru_maxrss / 1024:.0f} MiB",
        "-",
        "-",
        "<= 100 MiB",
    )


def main() -> None:
    repository = Path(__file__).resolve().parents[2]
    default = repository / "target/release/vdeploy"
    vdeploy = Path(sys.argv[1] if len(sys.argv) > 1 else default).resolve()
    if not vdeploy.exists():
        sys.exit(f"no {vdeploy}: build it with `cargo build --release --workspace --bins`")
    # Beside the build rather than in /tmp, which may be memory.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=vdeploy.parent) as root:
        world = World(vdeploy, Path(root))
        bench_large_file(world)
        bench_unchanged_tree(world)
        bench_sparse_memory(world)


if __name__ == "__main__":
    main()
