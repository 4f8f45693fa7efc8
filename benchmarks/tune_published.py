# SPDX-License-Identifier: Apache-2.0
"""Tunes the published workloads and writes the records that are shipped with the package.

    python benchmarks/tune_published.py                    # all machines
    python benchmarks/tune_published.py --machine gap9 --only dscnn_s --only deep_autoencoder

Everything lies in L1, which is made large enough; on pulp-cluster the tiles of the Deep AutoEncoder
from L2 are tuned as well. What was measured before is taken from the user's cache, so a run that
was stopped goes on where it was; --again measures anew.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import acclimate as ac
from acclimate.models import REGISTRY
from acclimate.program import Program, operator_program
from acclimate.report.bench import example_of
from acclimate.report.bench_cluster import LAYERS, PASSES, STEPS, compile_step, layer_calls
from acclimate.targets import Target, find_target
from acclimate.tune.cache import Record, shipped, write_shipped
from acclimate.tune.tuner import Tuned, tune
from acclimate.tune.workload import machine_name

TUNED = Path(ac.__file__).parent / "tune" / "tuned"
# Target and cores of each file. To kernels, vega is the machine that gap9 is. The single core is
# what eight are compared with: not tuned itself, it would flatter them.
MACHINES = {
    "pulp-cluster": ("pulp-cluster", None),
    "pulp-cluster-1": ("pulp-cluster", 1),
    "gap9": ("gap9", None),
}
STREAMED = {"pulp-cluster": ("deep_autoencoder",)}  # networks whose tiles are tuned, by file
L1_BYTES = 16 * 1024 * 1024


def programs(target: Target, streamed: Sequence[str]) -> dict[str, Program]:
    """The networks and layers of `acclimate bench cluster`, some from L2 in tiles as well."""
    found = {f"{name}, streamed": compile_step(name, target).program for name in streamed}
    roomy = target.with_memory("l1", L1_BYTES)
    for name in STEPS:
        case = REGISTRY[name]
        model, x, y = example_of(case)
        firmware = ac.compile(model, example=(x, y), loss=case.loss, target=roomy, name=name)
        found[name] = firmware.program
    for layer in LAYERS:
        entries = {kind: layer_calls(layer, kind) for kind in PASSES}
        found[layer] = operator_program(layer, entries)
    return found


def tell(done: int, total: int, what: str) -> None:
    """A line that is written over."""
    if sys.stderr.isatty():
        print(f"\r  {done}/{total} {what:<90.90}", end="", file=sys.stderr, flush=True)


def report(name: str, found: list[Tuned], seconds: float) -> None:
    """One line per network."""
    before = sum(row.record.untuned * row.times for row in found)
    after = sum(row.record.cycles * row.times for row in found)
    errors = [
        abs(row.predicted / row.record.cycles - 1.0) for row in found if row.predicted is not None
    ]
    error = sum(errors) / len(errors) if errors else 0.0
    print(
        f"{name:20} {len(found):4} workloads, {before:12,} -> {after:12,} cycles"
        f" ({1 - after / before:6.1%}), model error {error:5.1%}, {seconds:6.0f} s",
        flush=True,
    )


def main() -> None:
    """Tunes and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machine", choices=sorted(MACHINES), action="append")
    beside = "a network or layer, beside the records there are; all by default"
    parser.add_argument("--only", action="append", help=beside)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    for name_of_file in given.machine or MACHINES:
        target_name, cores = MACHINES[name_of_file]
        target = find_target(target_name)
        target = target if cores is None else target.with_cores(cores)
        records: dict[str, Record] = dict(shipped(machine_name(target))) if given.only else {}
        print(machine_name(target))
        for name, program in programs(target, STREAMED.get(name_of_file, ())).items():
            if given.only and name.removesuffix(", streamed") not in given.only:
                continue
            start = time.perf_counter()
            found = tune(
                program,
                target,
                candidates=given.candidates,
                again=given.again,
                jobs=given.jobs,
                progress=tell,
            )
            records |= {str(row.workload): row.record for row in found}
            report(name, found, time.perf_counter() - start)
        TUNED.mkdir(exist_ok=True)
        write_shipped(TUNED / f"{name_of_file}.json", machine_name(target), records.items())


if __name__ == "__main__":
    main()
