# SPDX-License-Identifier: Apache-2.0
"""Matrix products, convolutions and fully connected layers in assembly, on drawn shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from drawn import MACHINES, Drawn, check, machine

from acclimate.kernels.conv2d.op import CONV2D_BWD_W, CONV2D_BWD_X, CONV2D_FWD, CONV2D_STEP
from acclimate.kernels.linear.op import OPS as LINEAR
from acclimate.kernels.matmul.op import OPS as MATMUL
from acclimate.kernels.op import Op
from acclimate.program import OpCase

CONVOLUTIONS = (CONV2D_FWD, CONV2D_BWD_X, CONV2D_BWD_W, CONV2D_STEP)
DRAWN = 16  # cases per family and machine
SEED = 7
Numbers = dict[str, Any]


def number(rng: np.random.Generator, *choices: int) -> int:
    return int(rng.choice(choices))


def layer(rng: np.random.Generator) -> Numbers:
    return {
        "N": number(rng, 1, 1, 1, 2, 3, 6),
        "C": number(rng, 1, 3, 8, 17, 40, 130),
        "K": number(rng, 1, 2, 5, 16, 33, 70),
    }


def product(rng: np.random.Generator) -> Numbers:
    return {name: number(rng, 1, 2, 3, 7, 12, 33) for name in ("B", "M", "K", "N")} | {
        "B": number(rng, 1, 1, 2, 3)
    }


def convolution(rng: np.random.Generator) -> Numbers:
    """Sizes and attributes with at least one output, in one or several groups."""
    while True:
        r, s = number(rng, 1, 1, 2, 3, 3, 5, 7), number(rng, 1, 1, 2, 3, 3, 4)
        h, w = int(rng.integers(1, 15)), int(rng.integers(1, 13))
        stride = number(rng, 1, 1, 2, 3), number(rng, 1, 1, 2, 4)
        dilation = number(rng, 1, 1, 1, 2), number(rng, 1, 1, 3)
        top, bottom = (int(n) for n in rng.integers(0, r * dilation[0] + 1, 2))
        left, right = (int(n) for n in rng.integers(0, s * dilation[1] + 1, 2))
        p = (h + top + bottom - dilation[0] * (r - 1) - 1) // stride[0] + 1
        q = (w + left + right - dilation[1] * (s - 1) - 1) // stride[1] + 1
        if p >= 1 and q >= 1:
            break
    groups = number(rng, 1, 1, 1, 2, 3)
    return {
        "N": number(rng, 1, 1, 2), "groups": groups,
        "C": groups * number(rng, 1, 2, 5, 11), "K": groups * number(rng, 2, 3, 6, 13),
        "H": h, "W": w, "R": r, "S": s, "P": p, "Q": q,
        "stride_h": stride[0], "stride_w": stride[1], "pad_top": top, "pad_left": left,
        "dilation_h": dilation[0], "dilation_w": dilation[1],
    }  # fmt: skip


FAMILIES: dict[str, tuple[Sequence[Op], Callable[[np.random.Generator], Numbers]]] = {
    "linear": (LINEAR, layer),
    "matmul": (MATMUL, product),
    "conv2d": (CONVOLUTIONS, convolution),
}


def drawn_cases(family: str, seed: int) -> Iterator[Drawn]:
    rng = np.random.default_rng(seed)
    ops, draw = FAMILIES[family]
    for count in range(DRAWN):
        op = ops[count % len(ops)]
        case = draw(rng)
        optional = {o.name for o in (*op.signature.inputs, *op.signature.outputs) if o.optional}
        without = frozenset(optional if rng.random() < 0.4 else ())
        if "lo" in op.sizes:
            case["lo"] = float(rng.choice([-np.inf, 0.0, -0.25]))
            case["hi"] = float(rng.choice([np.inf, 6.0, 0.5]))
        if "weight_decay" in op.sizes:
            case["weight_decay"] = float(rng.choice([0.0, 0.1]))
        if op.name == "linear_bwd_step":
            case["N"] = 1
        accumulate = op.accumulates and bool(rng.random() < 0.5)
        choice = float(rng.random() ** 3) if rng.random() < 0.5 else 0.0
        yield Drawn(OpCase(op, case, without, accumulate), choice)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("cores", "float_registers", "fpu_latency"), MACHINES)
def test_generated_kernels_compute_what_numpy_does(
    family: str, cores: int, float_registers: bool, fpu_latency: int
) -> None:
    seed = SEED + 100 * cores + 10 * fpu_latency + len(family)
    program = check([*drawn_cases(family, seed)], machine(cores, float_registers, fpu_latency))
    assert all(call.work is not None for call in program.calls())
