#!/usr/bin/env python3
"""Plan, deploy and plan again 1,000 functions: `name | ours | peer | ratio | goal`, one row per line.

Usage: apply.py [VDEPLOY]    (default: target/release/vdeploy)

The peer is `terraform` with 1,000 `terraform_data` resources, where it is installed; it needs no
network for them. Medians of RUNS.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 5
FUNCTIONS = 1000
# What each takes at most, in seconds.
GOALS = {"plan": 0.07, "deploy": 1.2, "no-op plan": 0.25}


def timed(command: list, cwd: Path, env: dict) -> float:
    """Seconds that `command` takes; it has to succeed."""
    start = time.perf_counter()
    subprocess.run(command, cwd=cwd, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def rounds(one) -> dict:
    """Medians of what `one` measures, each time in a folder of its own."""
    measured = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="vdeploy-bench-") as root:
            measured.append(one(Path(root)))
    return {name: statistics.median(times[name] for times in measured) for name in GOALS}


def ours(vdeploy: Path, root: Path) -> dict:
    functions = "".join(f'[function.f{i}]\nhandler = "echo"\n' for i in range(FUNCTIONS))
    (root / "vdeploy.toml").write_text(f'[app]\nname = "bench"\n{functions}')
    env = {"PATH": os.environ["PATH"], "HOME": str(root), "VDEPLOY_HOME": str(root / "home")}
    return {
        "plan": timed([vdeploy, "plan"], root, env),
        "deploy": timed([vdeploy, "deploy", "-yq"], root, env),
        "no-op plan": timed([vdeploy, "plan"], root, env),
    }


def terraform(root: Path) -> dict:
    resources = "".join(
        f'resource "terraform_data" "f{i}" {{ input = {{ handler = "echo" }} }}\n'
        for i in range(FUNCTIONS)
    )
    (root / "main.tf").write_text(resources)
    env = {"PATH": os.environ["PATH"], "HOME": str(root)}
    timed(["terraform", "init"], root, env)
    return {
        "plan": timed(["terraform", "plan"], root, env),
        "deploy": timed(["terraform", "apply", "-auto-approve"], root, env),
        "no-op plan": timed(["terraform", "plan"], root, env),
    }


def main() -> None:
    default = Path(__file__).resolve().parents[2] / "target/release/vdeploy"
    vdeploy = Path(sys.argv[1] if len(sys.argv) > 1 else default).resolve()
    own = rounds(lambda root: ours(vdeploy, root))
    peer = rounds(terraform) if shutil.which("terraform") else None
    for name, goal in GOALS.items():
        row = f"{name} of {FUNCTIONS} functions | {own[name]:.3f} s"
        if peer:
            row += f" | terraform {peer[name]:.2f} s | {peer[name] / own[name]:.0f} x faster"
        else:
            row += " | terraform isn't installed | -"
        print(f"{row} | ≤ {goal} s, ≥ 10 x faster")


if __name__ == "__main__":
    main()
