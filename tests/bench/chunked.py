"""`chunked` against plain ffmpeg with its own choice of threads, on the same cores."""

import json
import statistics
import subprocess
from pathlib import Path
from typing import Iterator

from table import Row
from transcode import quiet
from world import World, program, seconds, world

RUNS = 3
CLIP_SECONDS = 40

MANIFEST = """
[app]
name = "bench"
[function.chunked]
handler = "chunked"
cpu = 1
timeout = "30m"
"""


def make_clip(root: Path) -> None:
    source = f"size=1920x1080:rate=30:duration={CLIP_SECONDS}"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2={source}",
         "-f", "lavfi", "-i", f"sine=frequency=440:duration={CLIP_SECONDS}", "-vf", "noise=alls=4:allf=t",
         "-c:v", "libx264", "-preset", "veryfast", "-g", "60", "-pix_fmt", "yuv420p", "-c:a", "aac",
         root / "clip.mp4"],
        check=True)


def call(place: World) -> dict:
    args = {"input": "clip.mp4", "output": "many.mp4", "goal": "fastest",
            "with": {"quality": "720p", "preset": "fast", "hardware": "off"}}
    return json.loads(place.run("call", "chunked", "--quiet", "--force", "--args", json.dumps(args)))


def plain(root: Path) -> list[str]:
    return ["ffmpeg", "-y", "-i", str(root / "clip.mp4"), "-vf", "scale=1280:720", "-c:v", "libx264",
            "-preset", "fast", "-crf", "23", "-pix_fmt", "yuv420p", "-c:a", "copy",
            "-movflags", "+faststart", str(root / "one.mp4")]


def rows(vdeploy: Path) -> Iterator[Row]:
    with world(vdeploy) as place:
        make_clip(place.root)
        place.write("vdeploy.toml", MANIFEST)
        place.run("deploy", "-y")
        chunks = len(call(place)["chunks"])
        ours, peer = [], []
        for _ in range(RUNS):
            ours.append(seconds(lambda: call(place)))
            peer.append(seconds(lambda: quiet(plain(place.root))))
        mine, theirs = statistics.median(ours), statistics.median(peer)
        yield Row(
            f"chunked, {CLIP_SECONDS} s 1080p to 720p fast, {chunks} chunks (peer: ffmpeg, its own threads)",
            f"{mine:.2f} s",
            f"{theirs:.2f} s",
            f"{mine / theirs:.3f} x",
            "<= 1.05 x",
            mine <= 1.05 * theirs,
        )


if __name__ == "__main__":
    for found in rows(program()):
        print(found)
