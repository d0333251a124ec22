"""`volume put` against what a shell would do.

The disk's own noise cancels only partly, so look at the ratio of several runs before believing a
small difference.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterator

from table import Row
from world import World, median, program, seconds, world

RUNS = 5
GIB = 1 << 30
MIB = 1 << 20


def volume(place: World, *args: str) -> None:
    place.run("volume", *args, "--quiet")


def fresh(place: World) -> None:
    volume(place, "delete", "v", "-y", "--allow-missing")
    volume(place, "create", "v")


def synced(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """The median time of `work`, with nothing left to write when it starts."""

    def prepare() -> None:
        before()
        os.sync()

    return median(work, RUNS, prepare)


def shell(script: str, cwd: Path) -> None:
    subprocess.run(["sh", "-ec", script], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def write_noise(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for at in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size - at)))


def large_file(place: World) -> Row:
    clip, copy = place.root / "clip", place.root / "copy"
    write_noise(clip, GIB)
    ours = synced(lambda: volume(place, "put", "v", "clip"), lambda: fresh(place))
    peer = synced(
        lambda: shell("cp clip copy && sync copy && sha256sum copy", place.root),
        lambda: copy.unlink(missing_ok=True),
    )
    copy.unlink(missing_ok=True)
    clip.unlink()
    return Row("volume put, 1 GiB (peer: cp, sync, sha256sum)", f"{ours:.2f} s", f"{peer:.2f} s",
               f"{ours / peer:.2f} x", "<= 1.00 x", ours <= peer)


def unchanged_tree(place: World) -> Row:
    for number in range(1000):
        write_noise(place.root / "tree" / f"{number % 20:02}" / f"{number}.bin", 256 * 1024)
    first = synced(lambda: volume(place, "put", "v", "tree"), lambda: fresh(place))
    again = synced(lambda: volume(place, "put", "v", "tree"))
    shutil.rmtree(place.root / "tree")
    return Row("volume put, unchanged tree of 1,000 files (peer: the first put)",
               f"{again * 1000:.0f} ms", f"{first * 1000:.0f} ms", f"{first / again:.0f} x faster",
               ">= 20 x faster", first >= 20 * again)


def sparse_memory(place: World) -> Row:
    with open(place.root / "sparse", "wb") as file:
        file.truncate(4 * GIB)
    fresh(place)
    command = [str(place.vdeploy), "volume", "put", "v", str(place.root / "sparse"), "--quiet"]
    usage = []

    def put() -> None:
        _, status, used = os.wait4(os.posix_spawn(place.vdeploy, command, place.env), 0)
        if status != 0:
            sys.exit("`vdeploy volume put` of a sparse file failed")
        usage.append(used)

    took = seconds(put)
    name = f"volume put, sparse 4 GiB ({took:.2f} s): peak memory"
    return Row.alone(name, usage[0].ru_maxrss / 1024, 100, "MiB")


def rows(vdeploy: Path) -> Iterator[Row]:
    with world(vdeploy) as place:
        yield large_file(place)
        yield unchanged_tree(place)
        yield sparse_memory(place)


if __name__ == "__main__":
    for found in rows(program()):
        print(found)
