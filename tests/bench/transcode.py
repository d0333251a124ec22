"""`transcode` against the bare ffmpeg command with the same arguments, and the worker's memory."""

import json
import os
import statistics
import subprocess
import sys
import threading
from pathlib import Path
from typing import Iterator

from table import Row
from world import World, program, seconds, world

RUNS = 5
CLIP_SECONDS = 20
THREADS = 2
TIMES = 10

MANIFEST = f"""
[app]
name = "bench"
[function.transcode]
handler = "transcode"
timeout = "10m"
"""

# What a command line says; everything is pinned.
CALL = ["call", "transcode", "--quiet", "--force", "--args", "input=clip.mp4", "output=small.mp4",
        "quality=720p", "preset=veryfast", f"threads={THREADS}", "hardware=off"]


def make_clip(root: Path) -> None:
    source = f"size=1920x1080:rate=30:duration={CLIP_SECONDS}"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2={source}",
         "-f", "lavfi", "-i", f"sine=frequency=440:duration={CLIP_SECONDS}",
         "-c:v", "libx264", "-preset", "veryfast", "-threads", str(THREADS),
         "-pix_fmt", "yuv420p", "-c:a", "aac", root / "clip.mp4"],
        check=True)


def arguments(place: World) -> list[str]:
    """The arguments that a call really gives to ffmpeg: of the one that reads the clip."""
    log = place.root / "argv"
    spy = place.write("ffmpeg-spy", f'#!/bin/sh\nprintf "%s\\0" "$@" "" >>"{log}"\nexec ffmpeg "$@"\n')
    spy.chmod(0o755)
    place.run(*CALL, VDEPLOY_FFMPEG=str(spy))
    runs = log.read_text().split("\0\0")
    return next(run.split("\0") for run in runs if "clip.mp4" in run)


def bare(args: list[str], root: Path) -> list[str]:
    """The same command, writing elsewhere."""
    return ["ffmpeg", *args[:-1], f"file:{root / 'bare.mp4'}"]


class PeakMemory:
    """Watches the workers of one build until told to stop, and keeps their highest VmHWM."""

    def __init__(self, worker: Path):
        self.worker = str(worker)
        self.mib = 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def __enter__(self) -> "PeakMemory":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def watch(self) -> None:
        while not self.ended.wait(0.02):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    self.look(process)
                except OSError:
                    pass  # It ended meanwhile, or is another user's.

    def look(self, process: Path) -> None:
        if os.readlink(process / "exe") != self.worker:
            return
        for line in (process / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                self.mib = max(self.mib, int(line.split()[1]) / 1024)


def rows(vdeploy: Path) -> Iterator[Row]:
    with world(vdeploy) as place:
        make_clip(place.root)
        place.write("vdeploy.toml", MANIFEST)
        place.run("deploy", "-y")
        command = bare(arguments(place), place.root)
        # Not timed: what a machine proves only once, and a memory reading that costs time.
        with PeakMemory(vdeploy.with_name("vdeploy-runtime")) as memory:
            place.run(*CALL)
        ours, peer, around = [], [], []
        for _ in range(RUNS):
            answers = []
            ours.append(seconds(lambda: answers.append(place.run(*CALL))))
            peer.append(seconds(lambda: quiet(command)))
            around.append(ours[-1] - json.loads(answers[0])["seconds"])
        yield compared(statistics.median(ours), statistics.median(peer))
        # Steadier than the difference of two long runs: the call less the ffmpeg run within it.
        spare = 60 + round(0.02 * statistics.median(peer) * 1000)
        took = statistics.median(around) * 1000
        yield Row.alone("transcode: all of a call but its ffmpeg run", took, spare, "ms")
        if memory.mib == 0:
            sys.exit("no worker was seen while it transcoded")
        yield Row.alone("transcode: peak memory of the worker", memory.mib, 100, "MiB")
        yield by_length(place)


def by_length(place: World) -> Row:
    """The worker's memory for a file, and for one that is so many times as long."""
    subprocess.run(
        ["ffmpeg", "-v", "error", "-stream_loop", str(TIMES - 1), "-i", place.root / "clip.mp4",
         "-c", "copy", place.root / "long.mp4"],
        check=True)
    peaks = []
    for clip in ("clip.mp4", "long.mp4"):
        with PeakMemory(place.vdeploy.with_name("vdeploy-runtime")) as memory:
            place.run("call", "transcode", "--quiet", "--force", "--args", f"input={clip}",
                      "output=tiny.mp4", "height=90", "preset=ultrafast", "hardware=off")
        peaks.append(memory.mib)
    short, long = peaks
    return Row(f"transcode: peak memory of the worker, a file {TIMES} times as long (peer: the file)",
               f"{long:.1f} MiB", f"{short:.1f} MiB", f"{long / short:.2f} x", "<= 1.10 x",
               long <= 1.10 * short)


def quiet(command: list[str]) -> None:
    nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, check=True, **nothing)


def compared(ours: float, peer: float) -> Row:
    return Row(
        f"transcode, {CLIP_SECONDS} s 1080p to 720p veryfast, {THREADS} threads (peer: bare ffmpeg)",
        f"{ours:.3f} s",
        f"{peer:.3f} s",
        f"{ours / peer:.3f} x ({(ours - peer) * 1000:+.0f} ms)",
        "<= 1.02 x + 60 ms",
        ours <= 1.02 * peer + 0.06,
    )


if __name__ == "__main__":
    for found in rows(program()):
        print(found)
