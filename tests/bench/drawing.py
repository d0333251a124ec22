"""`overlay` against OpenCV decode, draw, pipe to ffmpeg; and blur without encoding against OpenCV decode
and GaussianBlur. The peer is run by the Python named in OPENCV_PYTHON, or by one that `peers` finds or
makes."""

import json
import statistics
import subprocess
from pathlib import Path
from typing import Iterator

import peers
from table import Row
from world import World, program, seconds, world

RUNS = 3
CLIP_SECONDS = 10
THREADS = 2
PRESET, CRF, SIGMA = "veryfast", 23, 5

MANIFEST = """
[app]
name = "bench"
[function.overlay]
handler = "overlay"
timeout = "10m"
[function.effects]
handler = "effects"
timeout = "10m"
"""

OVERLAY = {
    "input": "clip.mp4", "output": "marked.mp4", "preset": PRESET, "crf": CRF, "threads": THREADS,
    "hardware": "off",
    "texts": [{"text": "Hello, world", "size": 90}],
    "images": [{"image": "logo.png", "margin": 40}],
    "highlights": [{"thickness": 6, "keyframes": [
        {"at": 0, "x": 100, "y": 200, "width": 300, "height": 200},
        {"at": CLIP_SECONDS, "x": 100 + 120 * CLIP_SECONDS, "y": 200 + 30 * CLIP_SECONDS,
         "width": 300, "height": 200}]}],
}
BLUR = {"input": "clip.mp4", "output": "blurred.mp4", "preset": "ultrafast", "hardware": "off",
        "threads": THREADS, "chain": [{"effect": "blur", "sigma": SIGMA}]}


def make_clip(root: Path) -> None:
    source = f"testsrc2=size=1920x1080:rate=30:duration={CLIP_SECONDS}"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "veryfast",
         "-threads", str(THREADS), "-pix_fmt", "yuv420p", root / "clip.mp4"],
        check=True)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=240x120,format=rgba,"
         "colorchannelmixer=aa=0.7", "-frames:v", "1", root / "logo.png"],
        check=True)


def call(place: World, function: str, args: dict, **more: str) -> None:
    place.run("call", function, "--quiet", "--force", "--args", json.dumps(args), **more)


def without_encoding(place: World) -> list[str]:
    """The ffmpeg run of an `effects` call, its graph and decoder as they are, its frames thrown away."""
    log = place.root / "argv"
    spy = place.write("ffmpeg-spy", f'#!/bin/sh\nprintf "%s\\0" "$@" "" >>"{log}"\nexec ffmpeg "$@"\n')
    spy.chmod(0o755)
    call(place, "effects", BLUR, VDEPLOY_FFMPEG=str(spy))
    runs = [run.split("\0") for run in log.read_text().split("\0\0")]
    words = next(run for run in runs if "-filter_complex" in run)
    mapped = words.index("-map") + 2
    return ["ffmpeg", *words[:mapped], "-fps_mode", "passthrough", "-f", "null", "-"]


def quiet(command: list[str]) -> None:
    nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, check=True, **nothing)


def rows(vdeploy: Path) -> Iterator[Row]:
    python = peers.python("OPENCV_PYTHON", {"cv2": "opencv-python-headless"})
    has_peer = python is not None
    peer = [str(python), str(Path(__file__).with_name("opencv_draw.py"))]
    with world(vdeploy) as place:
        make_clip(place.root)
        place.write("vdeploy.toml", MANIFEST)
        place.run("deploy", "-y")
        clip, logo = str(place.root / "clip.mp4"), str(place.root / "logo.png")
        marked = str(place.root / "peer.mp4")
        drawn = [*peer, "overlay", clip, marked, logo, PRESET, str(CRF), str(THREADS)]
        call(place, "overlay", OVERLAY)
        yield compared("overlay, text + image + moving box", has_peer, 1.25,
                       lambda: call(place, "overlay", OVERLAY), lambda: quiet(drawn))
        ours = without_encoding(place)
        yield compared("blur without encoding: the graph of `effects`", has_peer, 1.5,
                       lambda: quiet(ours), lambda: quiet([*peer, "blur", clip, str(SIGMA)]))


def compared(name: str, has_peer: bool, goal: float, work, other) -> Row:
    """Medians of alternating runs."""
    ours, peer = [], []
    for _ in range(RUNS):
        ours.append(seconds(work))
        if has_peer:
            peer.append(seconds(other))
    ours = statistics.median(ours)
    name = f"{name}, {CLIP_SECONDS} s 1080p (peer: OpenCV)"
    if not has_peer:
        return Row(name, f"{ours:.3f} s", "-", "no OpenCV here", f">= {goal} x faster", None)
    peer = statistics.median(peer)
    ratio = peer / ours
    return Row(name, f"{ours:.3f} s", f"{peer:.3f} s", f"{ratio:.2f} x faster", f">= {goal} x faster",
               ratio >= goal)


if __name__ == "__main__":
    for found in rows(program()):
        print(found)
