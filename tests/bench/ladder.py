"""`ladder` and `hls` against one ffmpeg run per rung, and against the best one run by hand."""

import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from table import Row
from transcode import quiet
from world import World, program, seconds, world

RUNS = 3
THREADS = 2
RATE = 30

MANIFEST = """
[app]
name = "bench"
[function.ladder]
handler = "ladder"
timeout = "10m"
[function.hls]
handler = "hls"
timeout = "10m"
"""


@dataclass(frozen=True)
class Case:
    """A clip, and what is made of it."""

    name: str
    size: str
    seconds: int
    preset: str
    # Of the time that one run per rung takes.
    goal: float


# A call costs about 0.2 s besides its ffmpeg run, however long the video is.
CASES = (
    Case("15 s of 1080p, fast", "1920x1080", 15, "fast", 0.85),
    Case("8 s of 4K, veryfast", "3840x2160", 8, "veryfast", 0.70),
)
SIZES = ((1280, 720), (854, 480), (640, 360))


def make_clip(root: Path, case: Case) -> Path:
    """Moving shapes under the noise of a camera, so that encoders have something to do."""
    clip = root / f"{case.size}.mp4"
    source = f"testsrc2=size={case.size}:rate={RATE}:duration={case.seconds},noise=alls=6:allf=t"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source,
         "-f", "lavfi", "-i", f"sine=frequency=440:duration={case.seconds}",
         "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac", clip],
        check=True)
    return clip


def call(function: str, clip: Path, case: Case) -> list[str]:
    """The call; small pictures, which nobody else makes, are left out."""
    rungs = ",".join(f'{{"width":{width},"height":{height}}}' for width, height in SIZES)
    extra = ["thumbnails=false"] if function == "hls" else []
    return ["call", function, "--quiet", "--force", "--args", f"input={clip.name}", "output=ours",
            f"rungs=[{rungs}]", f"preset={case.preset}", f"threads={THREADS}", "hardware=off", *extra]


def coding(case: Case) -> list[str]:
    """What is done to each picture, in both kinds of peer."""
    return ["-c:v", "libx264", "-preset", case.preset, "-crf", "23", "-g", str(2 * RATE),
            "-keyint_min", str(2 * RATE), "-sc_threshold", "0", "-threads", str(THREADS)]


def start(clip: Path) -> list[str]:
    return ["ffmpeg", "-y", "-threads", str(THREADS), "-i", str(clip)]


def segments(root: Path, name: str) -> list[str]:
    return ["-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4",
            "-hls_fmp4_init_filename", f"{name}-init.mp4",
            "-hls_segment_filename", str(root / f"{name}-%05d.m4s")]


def one_per_rung(function: str, clip: Path, case: Case) -> list[list[str]]:
    commands = []
    for width, height in SIZES:
        scale = ["-map", "0:v", "-map", "0:a", "-vf", f"scale={width}:{height}"]
        if function == "ladder":
            output = ["-c:a", "copy", str(clip.with_name(f"per-{height}.mp4"))]
        else:
            output = ["-c:a", "aac", "-b:a", "128k", *segments(clip.parent, f"per-{height}"),
                      str(clip.with_name(f"per-{height}.m3u8"))]
        commands.append([*start(clip), *scale, *coding(case), *output])
    return commands


def one_by_hand(function: str, clip: Path, case: Case) -> list[str]:
    count = len(SIZES)
    graph = f"[0:v]split={count}" + "".join(f"[s{index}]" for index in range(count))
    graph += "".join(f";[s{i}]scale={w}:{h}[v{i}]" for i, (w, h) in enumerate(SIZES))
    command = [*start(clip), "-filter_complex", graph]
    if function == "ladder":
        for index, (_, height) in enumerate(SIZES):
            command += ["-map", f"[v{index}]", "-map", "0:a", *coding(case), "-c:a", "copy",
                        str(clip.with_name(f"hand-{height}.mp4"))]
        return command
    for index in range(count):
        command += ["-map", f"[v{index}]"]
    streams = " ".join(f"v:{index},agroup:sound" for index in range(count))
    return command + [
        "-map", "0:a", *coding(case), "-c:a", "aac", "-b:a", "128k", "-f", "hls", "-hls_time", "6",
        "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4", "-master_pl_name", "hand.m3u8",
        "-var_stream_map", f"{streams} a:0,agroup:sound",
        "-hls_segment_filename", str(clip.with_name("hand-%v-%05d.m4s")),
        str(clip.with_name("hand-%v.m3u8"))]


def rows(vdeploy: Path) -> Iterator[Row]:
    with world(vdeploy) as place:
        place.write("vdeploy.toml", MANIFEST)
        place.run("deploy", "-y")
        for case in CASES:
            clip = make_clip(place.root, case)
            for function in ("ladder", "hls"):
                yield from compared(place, function, clip, case)


def compared(place: World, function: str, clip: Path, case: Case) -> Iterator[Row]:
    line = call(function, clip, case)
    runs = {
        "ours": lambda: place.run(*line),
        "hand": lambda: quiet(one_by_hand(function, clip, case)),
        "each": lambda: [quiet(command) for command in one_per_rung(function, clip, case)],
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(RUNS):
        # What comes first differs: a run may pay for what the one before left to the disk.
        for name in [*runs][turn % len(runs):] + [*runs][:turn % len(runs)]:
            times[name].append(seconds(runs[name]))
    ours, hand, each = (times[name] for name in ("ours", "hand", "each"))
    took = statistics.median(ours)
    what = f"{function}, 3 rungs, {case.name}, {THREADS} threads"
    for peer, taken, goal in (("one ffmpeg per rung", each, case.goal), ("one by hand", hand, 1.03)):
        other = statistics.median(taken)
        yield Row(f"{what} (peer: {peer})", f"{took:.3f} s", f"{other:.3f} s",
                  f"{took / other:.3f} x", f"<= {goal:.2f} x", took <= goal * other)


if __name__ == "__main__":
    for found in rows(program()):
        print(found)
