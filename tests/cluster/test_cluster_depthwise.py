# SPDX-License-Identifier: Apache-2.0
"""Depthwise kernels in assembly on the RTL, on drawn shapes, against NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from drawn import MACHINES, Drawn, check, machine

from acclimate.kernels.conv2d.op import CONV2D_BWD_W, CONV2D_BWD_X, CONV2D_FWD, CONV2D_STEP
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.partition import bounds
from acclimate.program import OpCase, operator_program
from acclimate.tune.select import applicable, request_of

SEED = 3
DRAWN = 24  # cases per machine
OPS = (CONV2D_FWD, CONV2D_BWD_X, CONV2D_BWD_W, CONV2D_STEP)


def geometry(rng: np.random.Generator) -> dict[str, Any]:
    """Sizes and attributes of a depthwise convolution with at least one output."""

    def number(*choices: int) -> int:
        return int(rng.choice(choices))

    while True:
        r, s = number(1, 2, 3, 3, 3, 4, 5, 7, 9), number(1, 2, 3, 3, 3, 4, 5)
        h, w = int(rng.integers(1, 22)), int(rng.integers(1, 19))
        stride = number(1, 1, 1, 2, 3), number(1, 1, 1, 2, 4)
        dilation = number(1, 1, 1, 2, 3), number(1, 1, 2)
        top, bottom = (int(n) for n in rng.integers(0, r * dilation[0] + 1, 2))
        left, right = (int(n) for n in rng.integers(0, s * dilation[1] + 1, 2))
        p = (h + top + bottom - dilation[0] * (r - 1) - 1) // stride[0] + 1
        q = (w + left + right - dilation[1] * (s - 1) - 1) // stride[1] + 1
        if p >= 1 and q >= 1:
            break
    channels = number(1, 2, 3, 5, 8, 9)
    return {
        "N": number(1, 1, 2, 3), "C": channels, "K": channels, "groups": channels,
        "H": h, "W": w, "R": r, "S": s, "P": p, "Q": q,
        "stride_h": stride[0], "stride_w": stride[1], "pad_top": top, "pad_left": left,
        "dilation_h": dilation[0], "dilation_w": dilation[1],
    }  # fmt: skip


def drawn_cases(seed: int) -> Iterator[Drawn]:
    rng = np.random.default_rng(seed)
    for number in range(DRAWN):
        op = OPS[number % len(OPS)]
        case = geometry(rng)
        optional = {o.name for o in (*op.signature.inputs, *op.signature.outputs) if o.optional}
        if op in OPS[:2]:
            case["lo"] = float(rng.choice([-np.inf, 0.0, -0.25]))
            case["hi"] = float(rng.choice([np.inf, 6.0, 0.5]))
        if op is CONV2D_STEP:
            case["weight_decay"] = float(rng.choice([0.0, 0.1]))
        without = frozenset(optional if rng.random() < 0.4 else ())
        accumulate = op is CONV2D_BWD_W and bool(rng.random() < 0.5)
        # Mostly the first choices: those are taken when nothing is measured.
        choice = float(rng.random() ** 3) if rng.random() < 0.5 else 0.0
        yield Drawn(OpCase(op, case, without, accumulate), choice)


@pytest.mark.parametrize(("cores", "float_registers", "fpu_latency"), MACHINES)
def test_depthwise_kernels_compute_what_numpy_does(
    cores: int, float_registers: bool, fpu_latency: int
) -> None:
    target = machine(cores, float_registers, fpu_latency)
    program = check([*drawn_cases(SEED + 100 * cores + fpu_latency)], target)
    for call in program.calls():
        assert call.kernel is not None and call.kernel.symbol.endswith("_pulp_depthwise")


@pytest.mark.parametrize("cores", [1, 3, 8])
def test_cores_write_every_output_once(cores: int) -> None:
    """`Work.touched` says who writes what; cores that share channels have the ranges of all."""
    core = Core(cores)
    for one in drawn_cases(SEED):
        program = operator_program("dw", {"run": [one.case]})
        (call,) = program.entries["run"].calls
        request = request_of(call, core)
        kernel = applicable(call, frozenset({"fpu", "xpulp"}))[0]
        assert kernel.generator is not None
        choice = next(iter(kernel.generator.choices(request)))
        work = kernel.generator.write(request, choice)
        if not work.touched:  # sums of several cores, with a barrier between
            assert work.scratch
            continue
        for operand, view in zip(call.op.signature.outputs, call.outputs, strict=True):
            if view is not None:
                written = np.concatenate(work.touched[operand.name])
                assert np.array_equal(np.sort(written), np.arange(view.size)), (operand, choice)
        channels = int(call.values()["C"])
        if channels % cores == 0:
            weights = work.touched["w" if "w" in work.touched else "dw"]
            size = sum(map(len, weights)) // channels
            for found, (first, end) in zip(weights, pairwise(bounds(channels, cores)), strict=True):
                assert np.array_equal(found, np.arange(first * size, end * size))
