"""A place to measure in: a VDEPLOY_HOME and a project folder of its own."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

REPOSITORY = Path(__file__).resolve().parents[2]

# Workers of a function, ours and the peer's.
WORKERS = 2


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

    def run(self, *args: str, **more: str) -> str:
        """Runs `vdeploy` with variables `more`; it has to succeed. What it printed comes back."""
        done = subprocess.run(
            [self.vdeploy, *args],
            env=self.env | more,
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            sys.exit(f"`vdeploy {' '.join(args)}` failed with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def write(self, name: str, content: str) -> Path:
        path = self.root / name
        path.write_text(content)
        return path

    def forget(self) -> None:
        """Starts over with nothing deployed."""
        shutil.rmtree(self.root / "home", ignore_errors=True)


@contextmanager
def world(vdeploy: Path) -> Iterator[World]:
    """A world beside the build rather than in /tmp, which may be memory."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=vdeploy.parent) as root:
        yield World(vdeploy, Path(root))


def program() -> Path:
    """The `vdeploy` that is measured: the first argument, or the release build."""
    default = REPOSITORY / "target/release/vdeploy"
    vdeploy = Path(sys.argv[1] if len(sys.argv) > 1 else default).resolve()
    for built in (vdeploy, vdeploy.with_name("vdeploy-runtime")):
        if not built.exists():
            sys.exit(f"no {built}: build it with `cargo build --release --workspace --bins`")
    return vdeploy


def seconds(work: Callable[[], object]) -> float:
    """How long `work` took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(work: Callable[[], object], runs: int, before: Callable[[], object] = lambda: None) -> float:
    """The median time of `work`; `before` isn't timed."""
    times = []
    for _ in range(runs):
        before()
        times.append(seconds(work))
    return statistics.median(times)
