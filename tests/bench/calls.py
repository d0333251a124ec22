"""Calls that do nothing: one from a cold command line, and five thousand of them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Iterator

from table import Row
from world import WORKERS, World, median, program, seconds, world

RUNS = 20
MAPPED = 5000

MANIFEST = f"""
[app]
name = "bench"
[function.echo]
handler = "echo"
max_containers = {WORKERS}
[function.cat]
command = ["cat"]
"""


def rows(vdeploy: Path) -> Iterator[Row]:
    with world(vdeploy) as place:
        place.write("vdeploy.toml", MANIFEST)
        place.run("deploy", "-y")
        for function, what in (("echo", "built in"), ("cat", "a program, `cat`")):
            call = ["call", function, "--args", '{"n": 1}']
            if json.loads(place.run(*call)) != {"n": 1}:
                sys.exit(f"`{function}` doesn't return its arguments")
            # Every call starts the command, its queue and a worker.
            took = median(lambda: place.run(*call), RUNS) * 1000
            yield Row.alone(f"call of a no-op, cold ({what})", took, 40, "ms")
        yield mapped(place)


def mapped(place: World) -> Row:
    """The whole command, its start included; every call is durable."""
    place.write("inputs.jsonl", "".join(f'{{"n": {n}}}\n' for n in range(MAPPED)))
    results = []
    took = seconds(lambda: results.append(place.run("map", "echo", "--inputs", "inputs.jsonl")))
    done = sum(json.loads(line)["status"] == "succeeded" for line in results[0].splitlines())
    if done != MAPPED:
        sys.exit(f"{done} of {MAPPED} calls succeeded")
    ours, peer = MAPPED / took, ray_rate()
    name = f"map of {MAPPED:,} no-ops, {WORKERS} workers (peer: Ray tasks, warm)"
    if peer is None:
        return Row(name, f"{ours:.0f} /s", "no Ray", "-", ">= 3.0 x", None)
    figure = f"{ours / peer:.2f} x"
    return Row(name, f"{ours:.0f} /s", f"{peer:.0f} /s", figure, ">= 3.0 x", ours >= 3 * peer)


def ray_rate() -> float | None:
    """Calls per second of Ray, by the Python named in RAY_PYTHON; none where that has no Ray."""
    python = os.environ.get("RAY_PYTHON", sys.executable)
    script = Path(__file__).with_name("ray_map.py")
    if subprocess.run([python, "-c", "import ray"], capture_output=True).returncode != 0:
        return None
    done = subprocess.run([python, script, str(MAPPED), str(WORKERS)], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=True)
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    for found in rows(program()):
        print(found)
