"""Calls per second of no-op Ray tasks. Starting Ray and its workers isn't timed.

Usage: ray_map.py CALLS WORKERS
"""

import sys
import time

import ray


@ray.remote(num_cpus=1)
def echo(value: dict) -> dict:
    return value


def main() -> None:
    calls, workers = int(sys.argv[1]), int(sys.argv[2])
    ray.init(num_cpus=workers, include_dashboard=False, logging_level="ERROR")
    ray.get([echo.remote({"n": n}) for n in range(20 * workers)])
    start = time.perf_counter()
    results = ray.get([echo.remote({"n": n}) for n in range(calls)])
    took = time.perf_counter() - start
    assert results == [{"n": n} for n in range(calls)]
    print(calls / took)


if __name__ == "__main__":
    main()
