# SPDX-License-Identifier: Apache-2.0
"""How fast the simulated cluster is: cycles per second, first build, cached start.

    python benchmarks/simulator.py

The first build goes into an empty temporary cache, with the compiler's own cache empty too.
"""

from __future__ import annotations

import os
import tempfile
import time

import acclimate as ac
from acclimate.models import REGISTRY
from acclimate.report.bench import example_of
from acclimate.simulate.cluster import build_simulator, rtl_of
from acclimate.targets import find_target


def quiet(done: int, total: int, what: str) -> None:
    """No progress bar."""


def first_build() -> float:
    """Seconds of a build from nothing."""
    before = os.environ.get("ACCLIMATE_CACHE")
    with tempfile.TemporaryDirectory() as empty:
        os.environ["ACCLIMATE_CACHE"] = empty
        start = time.perf_counter()
        build_simulator(rtl_of(find_target("pulp-cluster")), quiet)
        spent = time.perf_counter() - start
    if before is None:
        del os.environ["ACCLIMATE_CACHE"]
    else:
        os.environ["ACCLIMATE_CACHE"] = before
    return spent


def main() -> None:
    """Prints the figures with their conditions."""
    target = find_target("pulp-cluster").with_memory("l1", 2 * 1024 * 1024)
    case = REGISTRY["deep_autoencoder"]
    model, x, y = example_of(case)
    firmware = ac.compile(model, example=(x, y), loss=case.loss, target=target)
    firmware.run("cluster")  # builds what is missing
    start = time.perf_counter()
    device = firmware.run("cluster")
    print(f"cached start of the deep autoencoder: {time.perf_counter() - start:.2f} s")
    for cores in (8, 1):
        device = ac.retarget(firmware, target, cores=cores).run("cluster")
        start = time.process_time()
        device.train(x, y)
        rate = device.cycles / (time.process_time() - start)  # type: ignore[attr-defined]
        print(
            f"training step, {cores} busy cores: {rate / 1e3:.0f} k cluster cycles per CPU second"
        )
    print(f"first build on {os.cpu_count()} processors: {first_build():.0f} s")


if __name__ == "__main__":
    main()
