"""Calls that do nothing: one from a cold command line, and five thousand of them."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import peers
from table import Row
from world import WORKERS, World, median, program, seconds, world

RUNS = 20
WARM = 200
MAPPED = 5000
PROGRAMS = 1000
# Alternating runs, since both are short.
PAIRS = 5
FEW, MANY = 1000, 100_000

MANIFEST = f"""
[app]
name = "bench"
[function.echo]
handler = "echo"
max_containers = {WORKERS}
[function.cat]
command = ["cat"]
max_containers = {WORKERS}
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
        yield warm(place)
        yield mapped(place)
        yield programs(place)
        yield memory(place)


def warm(place: World) -> Row:
    """A call by a program that stays, through the client library, its worker started before."""
    client = [place.vdeploy.with_name("bench-warm-call"), str(WARM)]
    said = subprocess.run(client, env=place.env, cwd=place.root, stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    return Row.alone("call of a no-op, warm (Rust client)", float(said), 3, "ms")


def inputs(place: World, count: int) -> None:
    place.write("inputs.jsonl", "".join(f'{{"n": {n}}}\n' for n in range(count)))


def programs(place: World) -> Row:
    """The whole map of a program, beside shell loops that start it as often, as many at a time."""
    inputs(place, PROGRAMS)
    each = PROGRAMS // WORKERS
    loop = f"n=0; while [ $n -lt {each} ]; do echo $n | cat; n=$((n + 1)); done"
    shell = ["sh", "-c", f"({loop}) & " * WORKERS + "wait"]
    def mapped() -> float:
        return seconds(lambda: place.run("map", "cat", "--inputs", "inputs.jsonl"))

    def looped() -> float:
        return seconds(lambda: subprocess.run(shell, stdout=subprocess.DEVNULL, check=True))

    pairs = [(mapped(), looped()) for _ in range(PAIRS)]
    ours, peer = (statistics.median(times) for times in zip(*pairs))
    return Row(f"map of {PROGRAMS:,} programs, `cat` (peer: {WORKERS} shell loops)", f"{ours:.2f} s",
               f"{peer:.2f} s", f"{ours / peer:.2f} x", "<= 1.3 x", ours <= 1.3 * peer)


def memory(place: World) -> Row:
    """The largest resident size of a map's command, which runs the queue too."""
    few, many = peak(place, FEW), peak(place, MANY)
    return Row(f"memory of a map of {MANY:,} no-ops (peer: of {FEW:,})", f"{many:.1f} MiB",
               f"{few:.1f} MiB", f"{many / few:.2f} x", "<= 1.5 x", many <= 1.5 * few)


def peak(place: World, count: int) -> float:
    inputs(place, count)
    command = [place.vdeploy, "map", "echo", "--inputs", "inputs.jsonl", "--quiet"]
    child = subprocess.Popen(command, env=place.env, cwd=place.root, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL)
    # Of this very process: a figure for all children would be the largest of any before it.
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"a map of {count} ended with {child.returncode}")
    return used.ru_maxrss / 1024


def mapped(place: World) -> Row:
    """The whole command, its start included; every call is durable."""
    inputs(place, MAPPED)
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
    """Calls per second of Ray."""
    python = peers.python("RAY_PYTHON", {"ray": "ray"})
    if python is None:
        return None
    script = Path(__file__).with_name("ray_map.py")
    done = subprocess.run([python, script, str(MAPPED), str(WORKERS)], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=True)
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    for found in rows(program()):
        print(found)
