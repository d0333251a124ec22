"""Random access of 64 frames against PyAV and OpenCV, which seek and decode in one process.

All write one array of frames to a file. The peers are run by the Python named in FRAMES_PYTHON, or by one
that `peers` finds or makes; without one the row says so.
"""

import random
import statistics
import subprocess
from pathlib import Path
from typing import Iterator

import peers
from table import Row
from world import World, seconds, world

RUNS = 3
CLIP_SECONDS = 60
FRAMES = 64

MANIFEST = """
[app]
name = "bench"
[function.frames]
handler = "frames"
timeout = "10m"
"""

PYAV = """
import sys, av, numpy
wanted = [int(number) for number in sys.argv[3:]]
found = []
with av.open(sys.argv[1]) as file:
    stream = file.streams.video[0]
    stream.thread_type = "AUTO"
    for number in wanted:
        pts = round(number / stream.average_rate / stream.time_base)
        file.seek(pts, stream=stream)
        found.append(next(f for f in file.decode(stream) if f.pts >= pts).to_ndarray(format="rgb24"))
numpy.save(sys.argv[2], numpy.stack(found))
"""

OPENCV = """
import sys, cv2, numpy
found = []
file = cv2.VideoCapture(sys.argv[1])
for number in sys.argv[3:]:
    file.set(cv2.CAP_PROP_POS_FRAMES, int(number))
    found.append(file.read()[1])
numpy.save(sys.argv[2], numpy.stack(found))
"""


def make_clip(root: Path) -> None:
    """Keyframes every two seconds, as players and editors want them."""
    source = f"testsrc2=size=1280x720:rate=30:duration={CLIP_SECONDS}"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset",
         "veryfast", "-g", "60", "-pix_fmt", "yuv420p", root / "clip.mp4"],
        check=True)


def rows(vdeploy: Path) -> Iterator[Row]:
    packages = {"av": "av", "cv2": "opencv-python-headless", "numpy": "numpy"}
    python = peers.python("FRAMES_PYTHON", packages)
    with world(vdeploy) as place:
        make_clip(place.root)
        place.write("vdeploy.toml", MANIFEST)
        place.run("deploy", "-y")
        random.seed(1)
        wanted = [str(n) for n in random.sample(range(CLIP_SECONDS * 30), FRAMES)]
        ours, others = [], {"PyAV": [], "OpenCV": []}
        for _ in range(RUNS):
            ours.append(seconds(lambda: call(place, wanted)))
            for name, script in (("PyAV", PYAV), ("OpenCV", OPENCV)):
                if python:
                    others[name].append(seconds(lambda: peer(python, script, place.root, wanted)))
        for name, took in others.items():
            yield compared(name, statistics.median(ours), took)


def call(place: World, wanted: list[str]) -> None:
    place.run("call", "frames", "--quiet", "--force", "--args", "input=clip.mp4", "output=ours.npy",
              f"indices=[{','.join(wanted)}]")


def peer(python: str, script: str, root: Path, wanted: list[str]) -> None:
    command = [python, "-c", script, root / "clip.mp4", root / "peer.npy", *wanted]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def compared(name: str, ours: float, took: list[float]) -> Row:
    row = f"frames, {FRAMES} of a {CLIP_SECONDS} s 720p clip at random, as one array (peer: {name})"
    if not took:
        return Row(row, f"{ours:.3f} s", "-", f"no {name} here", "<= 1.00 x", None)
    peer = statistics.median(took)
    return Row(row, f"{ours:.3f} s", f"{peer:.3f} s", f"{ours / peer:.3f} x", "<= 1.00 x", ours <= peer)
