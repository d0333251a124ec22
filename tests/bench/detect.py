"""Detection on a 720p clip against a Python pipeline: the same library of ONNX Runtime, the same threads, OpenCV to
decode and letterbox, NumPy and OpenCV to read boxes. The peer is the Python of `tests/python`.

tract's figure stands beside it, and the largest process over a ten-minute video against that over one minute.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Iterator

from table import Row
from world import REPOSITORY, World, world

RUNS = 3
THREADS = 2
MODEL = REPOSITORY / "examples/detect/model/shapes.onnx"
PYTHON = REPOSITORY / "target/venv/bin/python"

MANIFEST = """
[app]
name = "bench"
[function.detect]
handler = "detect"
timeout = "30m"
"""

# As pipelines are written: read, letterbox, run, suppress, one after the other.
PEER = """
import sys, time, json, cv2, numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[3])
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
taken = session.get_inputs()[0]
height, width = taken.shape[2:]
session.run(None, {taken.name: np.zeros((1, 3, height, width), np.float32)})
start, count, found = time.perf_counter(), 0, 0
video = cv2.VideoCapture(sys.argv[2])
while True:
    ok, frame = video.read()
    if not ok:
        break
    h, w = frame.shape[:2]
    gain = min(height / h, width / w)
    nw, nh = round(w * gain), round(h * gain)
    left, top = round((width - nw) / 2 - 0.1), round((height - nh) / 2 - 0.1)
    small = cv2.resize(frame, (nw, nh), interpolation=cv2.INTER_LINEAR)
    small = cv2.copyMakeBorder(small, top, height - nh - top, left, width - nw - left,
                               cv2.BORDER_CONSTANT, value=(114, 114, 114))
    tensor = np.ascontiguousarray(small[..., ::-1].transpose(2, 0, 1))[None].astype(np.float32) / 255
    rows = session.run(None, {taken.name: tensor})[0][0].T
    classes, scores = rows[:, 4:].argmax(1), rows[:, 4:].max(1)
    keep = scores > 0.25
    rows, classes, scores = rows[keep], classes[keep], scores[keep]
    boxes = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]], 1)
    kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), classes.tolist(), 0.25, 0.7) if len(boxes) else []
    found += len(kept)
    count += 1
print(json.dumps({"fps": count / (time.perf_counter() - start), "frames": count, "found": found}))
"""

# What no pipeline that gets frames through a pipe can be faster than: the library alone on tensors that are ready,
# as one session of all threads or as one session of one thread each, whichever is faster; and ffmpeg alone, decoding
# into a pipe that somebody empties. Both keep all cores busy, so their times add up.
BOUND = """
import json, subprocess, sys, threading, time, numpy as np, onnxruntime
model, clip, threads, frames = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def session(threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
def turns(session, count):
    taken = session.get_inputs()[0]
    tensor = np.random.default_rng(0).random(taken.shape, np.float32)
    for _ in range(count):
        session.run(None, {taken.name: tensor})
def alone(sessions):
    lanes = [threading.Thread(target=turns, args=(one, frames // len(sessions))) for one in sessions]
    start = time.perf_counter()
    [lane.start() for lane in lanes], [lane.join() for lane in lanes]
    return frames / (time.perf_counter() - start)
def decoding():
    start = time.perf_counter()
    ffmpeg = subprocess.Popen(["ffmpeg", "-v", "error", "-threads", str(threads), "-i", clip, "-an", "-pix_fmt", "yuv420p",
                               "-f", "rawvideo", "-"], stdout=subprocess.PIPE, pipesize=1 << 20)
    while ffmpeg.stdout.read1(1 << 20):
        pass
    ffmpeg.wait()
    return frames / (time.perf_counter() - start)
computed = max(alone([session(threads)]), alone([session(1) for _ in range(threads)]))
print(json.dumps({"computed": computed, "decoded": decoding()}))
"""


def library() -> Path | None:
    """The library of the peer's ONNX Runtime."""
    found = sorted((REPOSITORY / "target/venv").glob("lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so*"))
    return found[-1] if found else None


def make_clips(root: Path) -> None:
    subprocess.run([REPOSITORY / "examples/detect/match", root / "match.mp4"], check=True)
    subprocess.run(["ffmpeg", "-v", "error", "-i", root / "match.mp4", "-vf", "scale=1280:720", "-c:v", "libx264",
                    "-preset", "veryfast", "-an", root / "hd.mp4"], check=True)
    for name, times in (("hd30.mp4", 4), ("minute.mp4", 9), ("ten.mp4", 99)):
        source = "hd.mp4" if name.startswith("hd") else "match.mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-stream_loop", str(times), "-i", root / source, "-c", "copy",
                        root / name], check=True)


def rows(vdeploy: Path) -> Iterator[Row]:
    found = library()
    if found is None or not PYTHON.exists():
        print("skipped: `tests/python` makes no Python with onnxruntime here", file=sys.stderr)
        return
    with world(vdeploy) as place:
        make_clips(place.root)
        place.write("vdeploy.toml", MANIFEST)
        place.run("deploy", "-y")
        ours, peers, bounds = [], [], []
        for _ in range(RUNS):
            ours.append(call(place, "hd30.mp4", str(found)))
            peers.append(peer(place.root / "hd30.mp4"))
            bounds.append(bound(place.root / "hd30.mp4", peers[0]["frames"]))
        mine, theirs = (statistics.median(run["fps"] for run in runs) for runs in (ours, peers))
        if ours[0]["found"] != peers[0]["found"]:
            print(f"detect: {ours[0]['found']} boxes here, {peers[0]['found']} there", file=sys.stderr)
        name = f"detect, frames per second of a 720p clip, {THREADS} threads (peer: Python, same library)"
        yield Row(name, f"{mine:.0f}", f"{theirs:.0f}", f"{mine / theirs:.2f} x", ">= 1.30 x", mine >= 1.3 * theirs)
        computed, decoded = (statistics.median(run[key] for run in bounds) for key in ("computed", "decoded"))
        most = 1 / (1 / computed + 1 / decoded)
        yield Row(f"what bounds it: the library alone {computed:.0f}, ffmpeg into a pipe alone {decoded:.0f}, both",
                  f"{most:.0f}", f"{theirs:.0f}", f"{most / theirs:.2f} x", "-", None)
        tract = call(place, "hd30.mp4", "tract")["fps"]
        yield Row("the same by tract", f"{tract:.0f}", f"{theirs:.0f}", f"{tract / theirs:.2f} x", "-", None)
        minute, ten = (memory(place, name, str(found)) for name in ("minute.mp4", "ten.mp4"))
        yield Row("detect, largest process: a minute and ten minutes of video", f"{ten:.0f} MiB",
                  f"{minute:.0f} MiB", f"{ten / minute:.2f} x", "<= 1.10 x", ten <= 1.1 * minute)


def call(place: World, clip: str, runtime: str) -> dict:
    args = {"input": clip, "model": str(MODEL), "threads": THREADS, "output": "found.jsonl", "hardware": "off"}
    result = json.loads(place.run("call", "detect", "--quiet", "--force", "--args", json.dumps(args),
                                  VDEPLOY_ONNXRUNTIME=runtime))
    return {"fps": result["timing"]["frames_per_second"], "found": result["detections"]}


def memory(place: World, clip: str, runtime: str) -> float:
    """MiB of the largest process of a call, by a process of its own that waits for all of them."""
    script = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)")
    args = {"input": clip, "model": str(MODEL), "threads": THREADS, "output": "found.jsonl", "hardware": "off",
            "track": True}
    done = subprocess.run([sys.executable, "-c", script, place.vdeploy, "call", "detect", "--quiet", "--force",
                           "--args", json.dumps(args)], env=place.env | {"VDEPLOY_ONNXRUNTIME": runtime},
                          cwd=place.root, check=True, capture_output=True, text=True)
    return float(done.stdout)


def peer(clip: Path) -> dict:
    done = subprocess.run([PYTHON, "-c", PEER, MODEL, clip, str(THREADS)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def bound(clip: Path, frames: int) -> dict:
    done = subprocess.run([PYTHON, "-c", BOUND, MODEL, clip, str(THREADS), str(frames)], check=True,
                          capture_output=True, text=True)
    return json.loads(done.stdout)
