# SPDX-License-Identifier: Apache-2.0
"""Kernels on shapes that nobody chose: how near they come to the limit of the machine.

    python benchmarks/random_shapes.py --shapes 200 --json build/random_shapes.json

Draws shapes of every operator with kernels in assembly, takes what `compile` takes without tuning,
and measures it on the simulated cluster beside the portable C, which is given up after
twice as many cycles. `bound` is the share of the
load-issue bound R C / (R C + R + C) of the block that was taken: a core issues one instruction per
cycle, and a block of R rows and C columns loads R + C values for R C multiply-accumulates. That
bound knows no results. `results` is the share of T R C / (T (R C + R + C) + s R C), where T is the
number of terms of a sum and s the instructions for one: 1 to store it, 2 if it begins with a value
that is loaded, 3 to load one, add and store.

Operators that the file of `--json` holds already are not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

from acclimate.cache import write_atomic
from acclimate.kernels import OPS
from acclimate.kernels.pulp.contraction import Block
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.work import Work
from acclimate.program import OpCase, operator_program
from acclimate.simulate.cluster import build_simulator, rtl_of
from acclimate.targets import Target, find_target
from acclimate.tune.measure import measure_all
from acclimate.tune.select import applicable, most_promising
from acclimate.tune.workload import Candidate, Workload, request_of

LEAST_MACS, MOST_MACS = 30_000, 150_000  # fork and join count little; the C takes seconds at most
_MOST_RATIO = 2
_BATCH = 20  # shapes that are compiled together
_OPS = {op.name: op for op in OPS}


@dataclass(frozen=True)
class Row:
    """One shape."""

    workload: str
    kernel: str
    macs: int
    cycles: int
    predicted: float
    portable: int  # or twice `cycles`, if that is less
    of_bound: float | None
    of_bound_with_results: float | None


def _linear(rng: random.Random, batches: Sequence[int] = (1, 2, 4, 8, 16, 32)) -> dict[str, int]:
    """Every batch is as likely as any other: drawn beside C and K, large ones would be rare."""
    n = rng.choice(batches)
    pairs = LEAST_MACS // n, MOST_MACS // n
    while True:
        c, k = rng.randint(8, 640), rng.randint(8, 640)
        if pairs[0] <= c * k <= pairs[1]:
            return {"N": n, "C": c, "K": k}


def _one_sample(rng: random.Random) -> dict[str, int]:
    return _linear(rng, (1,))


def _matmul(rng: random.Random) -> dict[str, int]:
    return {name: rng.randint(1, 4 if name == "B" else 96) for name in ("B", "M", "K", "N")}


def _conv(rng: random.Random, depthwise: bool = False) -> dict[str, int]:
    r, s = rng.choice([(1, 1), (3, 3), (3, 3), (5, 5), (10, 4), (1, 7), (9, 1), (2, 2)])
    if depthwise and r * s == 1:
        r = s = 3
    h, w = rng.randint(max(r, 4), 48), rng.randint(max(s, 4), 48)
    stride, dilation = rng.choice([1, 1, 2, 3]), rng.choice([1, 1, 1, 2])
    if dilation * (max(r, s) - 1) >= min(h, w):
        dilation = 1
    channels, kernels = rng.randint(1, 96), rng.randint(2, 96)
    top, left = rng.choice([(0, 0), (r // 2, s // 2)])
    return {
        "N": 1, "C": channels, "H": h, "W": w, "K": channels if depthwise else kernels,
        "R": r, "S": s,
        "P": (h + 2 * top - dilation * (r - 1) - 1) // stride + 1,
        "Q": (w + 2 * left - dilation * (s - 1) - 1) // stride + 1,
        "stride_h": stride, "stride_w": stride, "pad_top": top, "pad_left": left,
        "dilation_h": dilation, "dilation_w": dilation, "groups": channels if depthwise else 1,
    }  # fmt: skip


def _depthwise(rng: random.Random) -> dict[str, int]:
    return _conv(rng, depthwise=True)


DRAWS: dict[str, tuple[str, Callable[[random.Random], dict[str, int]]]] = {
    **{op: (op, _linear) for op in ("linear_fwd", "linear_bwd_x", "linear_bwd_w", "linear_step")},
    "linear_bwd_step": ("linear_bwd_step", _one_sample),
    **{op: (op, _matmul) for op in ("matmul_nn", "matmul_nt", "matmul_tn")},
    **{op: (op, _conv) for op in ("conv2d_fwd", "conv2d_bwd_x", "conv2d_bwd_w", "conv2d_step")},
    **{
        f"depthwise_{kind}": (f"conv2d_{kind}", _depthwise)
        for kind in ("fwd", "bwd_x", "bwd_w", "step")
    },
}


def draw(name: str, shapes: int) -> list[Workload]:
    """The shapes of an operator; the same for the same arguments."""
    rng = random.Random(name)
    op, make = DRAWS[name]
    found: list[Workload] = []
    while len(found) < shapes:
        case = make(rng)
        if min(case.get("P", 1), case.get("Q", 1)) < 1:
            continue
        (call,) = operator_program("x", {"run": [OpCase(_OPS[op], case)]}).entries["run"].calls
        if LEAST_MACS <= call.macs <= MOST_MACS:
            found.append(Workload.of(call))
    return found


def measured(workloads: Sequence[Workload], target: Target) -> list[Row]:
    """Measures some shapes."""
    taken = [_taken(workload, target) for workload in workloads]
    cycles = measure_all([(w, c) for w, (c, _, _) in zip(workloads, taken, strict=True)], target)
    portable = measure_all(
        [(w, Candidate(symbol)) for w, (_, _, symbol) in zip(workloads, taken, strict=True)],
        target,
        [_MOST_RATIO * spent for spent in cycles],
    )
    return [
        _row(workload, candidate, work, spent, slow, target)
        for workload, (candidate, work, _), spent, slow in zip(
            workloads, taken, cycles, portable, strict=True
        )
    ]


def _taken(workload: Workload, target: Target) -> tuple[Candidate, Work | None, str]:
    """What `compile` takes without a record, and the symbol of the portable C."""
    (call,) = workload.program().entries["run"].calls
    kernels = applicable(call, target.features)
    for kernel in kernels:
        if kernel.generator is None:
            return Candidate(kernel.symbol), None, kernels[-1].symbol
        written = most_promising(kernel, request_of(call, Core.of(target)))
        if written is not None:
            return Candidate(kernel.symbol, written[0]), written[1], kernels[-1].symbol
    raise AssertionError(f"no kernel for {workload}")


def _row(
    workload: Workload,
    candidate: Candidate,
    work: Work | None,
    cycles: int,
    portable: int,
    target: Target,
) -> Row:
    (call,) = workload.program().entries["run"].calls
    bound = with_results = None
    micros = work.micros if work else ()
    blocks = [m for m in micros if isinstance(m, Block) and m.columns]
    if blocks:
        largest = max(blocks, key=lambda block: len(block.rows) * len(block.columns))
        r, c = len(largest.rows), len(largest.columns)
        rate = call.macs / cycles / target.cores
        sums = sum(prod(view.shape) for view in call.outputs[:1] if view is not None)
        terms = call.macs / sums
        each = {"set": 1, "add": 2, "step": 3}[largest.result.kind]
        bound = rate * (r * c + r + c) / (r * c)
        with_results = rate * (terms * (r * c + r + c) + each * r * c) / (terms * r * c)
    predicted = work.cycles if work else 0.0
    return Row(
        str(workload), candidate.kernel, call.macs, cycles, predicted, portable, bound, with_results
    )


def summary(name: str, rows: list[Row]) -> str:
    """One line of the table."""
    rate = statistics.median(r.macs / r.cycles for r in rows)
    of_bound = _median(r.of_bound for r in rows)
    results = _median(r.of_bound_with_results for r in rows)
    errors = [abs(r.predicted / r.cycles - 1.0) for r in rows if r.predicted]
    error = _median(errors)
    gain = min(r.portable / r.cycles for r in rows)
    median_gain = statistics.median(r.portable / r.cycles for r in rows)
    first = f"{name:16} {len(rows):6} {rate:9.2f}"
    return f"{first} {of_bound} {results:>7} {error} {median_gain:8.2f} {gain:6.2f}"


def _median(shares: Iterable[float | None]) -> str:
    found = [share for share in shares if share is not None]
    return f"{statistics.median(found):6.1%}" if found else "     -"


def _known(path: Path | None) -> dict[str, list[Row]]:
    """What an earlier run measured."""
    if path is None or not path.exists():
        return {}
    document = json.loads(path.read_bytes())
    return {name: [Row(**row) for row in found] for name, found in document.items()}


def _keep(path: Path | None, rows: dict[str, list[Row]]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {name: [asdict(r) for r in found] for name, found in rows.items()}
        write_atomic(path, (json.dumps(document, indent=1) + "\n").encode())


def main() -> int:
    """Measures and prints; 1 if a kernel is slower than the portable C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=int, default=200)
    parser.add_argument("--only", choices=sorted(DRAWS), action="append")
    parser.add_argument("--target", default="pulp-cluster")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    target = find_target(given.target)
    build_simulator(rtl_of(target))
    print("operator         shapes MAC/cycle  bound results error  vs C    least", flush=True)
    rows = _known(given.json)
    with ProcessPoolExecutor(given.jobs) as pool:
        for name in given.only or DRAWS:
            if len(rows.get(name, ())) < given.shapes:
                shapes = draw(name, given.shapes)
                batches = [shapes[n : n + _BATCH] for n in range(0, len(shapes), _BATCH)]
                done = pool.map(measured, batches, [target] * len(batches))
                rows[name] = [one for some in done for one in some]
                _keep(given.json, rows)
            print(summary(name, rows[name]), flush=True)
    slower = [r for found in rows.values() for r in found if r.cycles > r.portable]
    for r in slower:
        print(f"slower than C: {r.workload}: {r.cycles:,} cycles, C {r.portable:,}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
