"""A Python with the packages of a peer: the one that a variable names, this one, or one made for the
purpose beside the build."""

import os
import subprocess
import sys

from world import REPOSITORY

OWN = REPOSITORY / "target/bench-venv"


def python(variable: str, packages: dict[str, str]) -> str | None:
    """Its path; none, and a line that says why, where packages are missing and can't be installed.
    `packages` are modules, and what pip calls them."""
    named = os.environ.get(variable)
    if named:
        return named if has(named, packages) else without(packages, f"`{named}` hasn't all of them")
    own = str(OWN / "bin/python")
    for candidate in (sys.executable, own):
        if has(candidate, packages):
            return candidate
    print(f"installing {', '.join(packages.values())} into {OWN}", file=sys.stderr, flush=True)
    for step in ([sys.executable, "-m", "venv", str(OWN)],
                 [own, "-m", "pip", "install", "--quiet", *packages.values()]):
        done = run(step)
        if done is None or done.returncode != 0:
            said = done.stderr.strip() if done else "not found"
            return without(packages, f"`{' '.join(step)}` failed: {(said.splitlines() or [''])[-1]}")
    return own


def has(candidate: str, packages: dict[str, str]) -> bool:
    done = run([candidate, "-c", f"import {', '.join(packages)}"])
    return done is not None and done.returncode == 0


def run(command: list[str]) -> subprocess.CompletedProcess | None:
    try:
        return subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return None


def without(packages: dict[str, str], why: str) -> None:
    print(f"not measuring {', '.join(packages.values())}: {why}", file=sys.stderr, flush=True)
