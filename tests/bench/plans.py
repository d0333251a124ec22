"""Plan, deploy and no-op plan of an app with a thousand functions."""

import json
from pathlib import Path
from statistics import median
from typing import Iterator

from table import Row
from world import program, seconds, world

RUNS = 5
FUNCTIONS = 1000


def manifest() -> str:
    sections = (f'[function.f{n:04}]\nhandler = "echo"\n' for n in range(FUNCTIONS))
    return '[app]\nname = "bench"\n' + "".join(sections)


def rows(vdeploy: Path) -> Iterator[Row]:
    plan, deploy, again = [], [], []
    with world(vdeploy) as place:
        place.write("vdeploy.toml", manifest())
        for _ in range(RUNS):
            place.forget()
            plan.append(seconds(lambda: place.run("plan")))
            deploy.append(seconds(lambda: place.run("deploy", "-y")))
            again.append(seconds(lambda: place.run("plan", "--detailed-exitcode")))
        made = json.loads(place.run("app", "show", "bench", "--json"))["resources"]
        assert sum(entry["status"] == "ready" for entry in made) == FUNCTIONS
    name = f"{FUNCTIONS:,} functions"
    yield Row.alone(f"plan, {name}", median(plan), 0.07, "s")
    yield Row.alone(f"deploy, {name}", median(deploy), 1.2, "s")
    yield Row.alone(f"no-op plan, {name}", median(again), 0.25, "s")


if __name__ == "__main__":
    for found in rows(program()):
        print(found)
