"""A Python that has Ray: the one named in RAY_PYTHON, this one, or one installed for the purpose."""

import os
import subprocess
import sys
from pathlib import Path

from world import REPOSITORY

OWN = REPOSITORY / "target/bench-venv"


def python() -> str | None:
    """Its path; none, and a line that says why, where Ray is missing and can't be installed."""
    named = os.environ.get("RAY_PYTHON")
    if named:
        return named if has_ray(named) else without(f"`{named}` has no Ray")
    own = str(OWN / "bin/python")
    for candidate in (sys.executable, own):
        if has_ray(candidate):
            return candidate
    print(f"installing Ray into {OWN}", file=sys.stderr, flush=True)
    for step in ([sys.executable, "-m", "venv", str(OWN)],
                 [own, "-m", "pip", "install", "--quiet", "ray"]):
        done = run(step)
        if done is None or done.returncode != 0:
            said = done.stderr.strip() if done else "not found"
            return without(f"`{' '.join(step)}` failed: {(said.splitlines() or [''])[-1]}")
    return own


def has_ray(candidate: str) -> bool:
    done = run([candidate, "-c", "import ray"])
    return done is not None and done.returncode == 0


def run(command: list[str]) -> subprocess.CompletedProcess | None:
    try:
        return subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return None


def without(why: str) -> None:
    print(f"not measuring Ray: {why}", file=sys.stderr, flush=True)
