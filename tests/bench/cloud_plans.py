"""A plan of an app with a thousand functions deployed to a stand-in for AWS, with a look at all of
them, and the requests that it takes."""

import json
import subprocess
import time
import urllib.request
from pathlib import Path
from statistics import median
from typing import Iterator

from table import Row
from world import REPOSITORY, program, seconds, world

RUNS = 3
FUNCTIONS = 1000


def manifest() -> str:
    sections = (
        f'[function.f{n:04}]\nhandler = "echo"\nimage = "own"\nengine = "batch"\n' for n in range(FUNCTIONS)
    )
    return '[app]\nname = "bench"\n[image.own]\nuri = "registry.example/own:1"\n' + "".join(sections)


def rows(vdeploy: Path) -> Iterator[Row]:
    python = REPOSITORY / "target/standin/venv/bin/python"
    if not python.exists():
        print("skipped: there is no stand-in for AWS; `tests/tools` installs it")
        return
    with world(vdeploy) as place:
        address = place.root / "address"
        server = REPOSITORY / "tests/standin/aws/server.py"
        standin = subprocess.Popen([python, server, address], stdin=subprocess.PIPE)
        try:
            while not address.exists():
                time.sleep(0.05)
            yield from measured(place, address.read_text())
        finally:
            standin.kill()


def measured(place, address: str) -> Iterator[Row]:
    aws = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
        "VDEPLOY_TARGET": "aws",
    }
    place.write("vdeploy.toml", manifest())
    place.run("deploy", "-y", **aws)
    before = described(address)
    times = [seconds(lambda: place.run("plan", "--detailed-exitcode", **aws)) for _ in range(RUNS)]
    calls = (described(address) - before) / RUNS
    name = f"plan on AWS, {FUNCTIONS:,} functions"
    # The stand-in answers some 250 requests a second; AWS answers more.
    yield Row.alone(f"{name}, with refresh", median(times), 15.0, "s")
    yield Row.alone(f"{name}, describe calls", calls, FUNCTIONS / 100, "")


def described(address: str) -> int:
    with urllib.request.urlopen(f"{address}/standin/requests") as answer:
        return json.load(answer).get("batch:describejobdefinitions", 0)


if __name__ == "__main__":
    for found in rows(program()):
        print(found)
