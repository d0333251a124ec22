"""Images and containers, beside `docker` by hand."""

import os
import subprocess
from pathlib import Path
from statistics import median as middle
from typing import Iterator

from table import Row
from world import REPOSITORY, World, median, program, seconds, world

RUNS = 7
WARM = 100
IMAGES = 10

APT = "RUN apt-get update && apt-get install -y"
# The same packages as kind `cpu`, as they are usually installed.
NAIVE = f"FROM debian:bookworm-slim\n{APT} --no-install-recommends ca-certificates ffmpeg\n"
RECOMMENDED = f"FROM debian:bookworm-slim\n{APT} ca-certificates ffmpeg\n"


def manifest(images: int, isolation: str) -> str:
    text = f'[app]\nname = "bench"\n[target.local]\nisolation = "{isolation}"\n'
    for n in range(images):
        text += f'[image.i{n}]\nbase = "vdeploy-standin:ffmpeg"\nenv = {{ N = "{n}" }}\n'
        text += f'[function.{"echo" if n == 0 else f"f{n}"}]\nhandler = "echo"\nimage = "i{n}"\n'
    return text


def daemon() -> str | None:
    """The `DOCKER_HOST` of the tests' daemon, if there can be one here."""
    up = subprocess.run([REPOSITORY / "tests/standin/docker", "up"], stdout=subprocess.PIPE, text=True)
    return up.stdout.strip().split("=", 1)[1] if up.returncode == 0 else None


def rows(vdeploy: Path) -> Iterator[Row]:
    host = daemon()
    if host is None:
        return
    with world(vdeploy) as place:
        place.env["DOCKER_HOST"] = host
        try:
            yield from measured(place)
        finally:
            place.run("destroy", "-y")


def measured(place: World) -> Iterator[Row]:
    place.write("vdeploy.toml", manifest(IMAGES, "docker"))
    place.run("deploy", "-y")
    plan, deploy = [], []
    for _ in range(RUNS):
        plan.append(seconds(lambda: place.run("plan")))
        deploy.append(seconds(lambda: place.run("deploy", "-y")))
    beyond = (middle(deploy) - middle(plan)) * 1000
    yield Row.alone(f"unchanged deploy with {IMAGES} images, beyond a plan", beyond, 100, "ms")

    reference = place.run("image", "build", "i0").strip()
    call = lambda: place.run("call", "echo", "--args", '{"n": 1}')
    bare = lambda: docker(place, "run", "--rm", "--network", "none", reference, "true")
    ours, peer = median(call, RUNS), median(bare, RUNS)
    yield against("call of a no-op in a container, cold", ours, peer, 1.2, "docker run --rm", "s")

    contained = warm(place)
    place.write("vdeploy.toml", manifest(1, "process"))
    place.run("deploy", "-y")
    extra = contained - warm(place)
    yield Row.alone("call of a no-op in a container, warm, beyond a process", extra, 5, "ms")
    yield from sizes(place)


def sizes(place: World) -> Iterator[Row]:
    place.write("vdeploy.toml", manifest(1, "process") + '[image.cpu]\nkind = "cpu"\n')
    reference = place.run("image", "build", "cpu").strip()
    worker = place.vdeploy.with_name("vdeploy-runtime").stat().st_size / 2**20
    ours = size(place, reference)
    for name, dockerfile, goal in (
        ("image `cpu` against the same packages, naively", NAIVE, 0.9),
        ("image `cpu` against ffmpeg with all it recommends", RECOMMENDED, 0.6),
    ):
        subprocess.run(["docker", "build", "--quiet", "--tag", "vdeploy-bench:peer", "-"],
                       env=place.env, input=dockerfile, text=True, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Both contain the worker program: a peer has to run it too.
        peer = size(place, "vdeploy-bench:peer") + worker
        yield against(name, ours, peer, goal, "docker build", "MiB")
        docker(place, "rmi", "vdeploy-bench:peer")


def against(name: str, ours: float, peer: float, goal: float, what: str, unit: str) -> Row:
    shown = {"s": "{:.3f} s", "MiB": "{:.0f} MiB"}[unit]
    ratio = ours / peer
    return Row(name, shown.format(ours), f"{shown.format(peer)} {what}", f"{ratio:.2f} x",
               f"<= {goal} x", ratio <= goal)


def size(place: World, image: str) -> float:
    return int(docker(place, "image", "inspect", "--format", "{{.Size}}", image)) / 2**20


def docker(place: World, *args: str) -> str:
    done = subprocess.run(["docker", *args], env=place.env, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def warm(place: World) -> float:
    client = [place.vdeploy.with_name("bench-warm-call"), str(WARM)]
    said = subprocess.run(client, env=place.env | {"PATH": os.environ["PATH"]}, cwd=place.root,
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    return float(said)


if __name__ == "__main__":
    for found in rows(program()):
        print(found)
