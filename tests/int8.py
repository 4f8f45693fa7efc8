# SPDX-License-Identifier: Apache-2.0
"""Random operands and drawn cases for operators of eight-bit integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from acclimate.kernels.conv2d_int8.op import OPS as CONVOLUTIONS
from acclimate.kernels.op import DTYPES, Array, Op, resolve
from acclimate.program import OpCase

Numbers = dict[str, Any]


def operands(op: Op, values: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Array]:
    """Inputs that use all of their range; weights are zero where whole words are filled up."""
    found: dict[str, Array] = {}
    for operand in op.signature.inputs:
        shape = tuple(resolve(dim, values) for dim in operand.dims)
        if operand.name == "scale":
            pairs = [rng.integers(-20000, 20000, shape[0]), rng.integers(6, 11, shape[0])]
            found["scale"] = np.stack(pairs, axis=1).astype(np.int32)
        elif operand.dtype == "f32":
            found[operand.name] = (2.0 * rng.standard_normal(shape)).astype(np.float32)
        else:
            limits = np.iinfo(DTYPES[operand.dtype])
            drawn = rng.integers(limits.min, limits.max + 1, shape)
            found[operand.name] = drawn.astype(DTYPES[operand.dtype])
    if "w" in found:
        depth = 1 if op.name.startswith("depthwise") else values["C"]
        found["w"][..., values["S"] * depth :] = 0
    return found


def drawn_convolution(rng: np.random.Generator, most: int = 12) -> OpCase:
    """A convolution of any type, layout and geometry, with random operands."""
    op = CONVOLUTIONS[rng.integers(len(CONVOLUTIONS))]
    depthwise = op.name.startswith("depthwise")

    def one(*choices: int) -> int:
        return int(rng.choice(choices))

    case: Numbers = {name: int(rng.integers(1, 5)) for name in ("R", "S")}
    case |= {"N": one(1, 1, 2), "C": one(1, 3, 4, 8, 20), "P": int(rng.integers(1, most))}
    case |= {"Q": int(rng.integers(1, most)), "stride_h": one(1, 1, 2), "stride_w": one(1, 1, 3)}
    case |= {"dilation_h": one(1, 1, 2), "dilation_w": one(1, 1, 1, 2)}
    case |= {name: one(0, 0, 1, 2) for name in ("first_h", "first_w", "top", "left")}
    if not depthwise:
        case["K"] = one(1, 3, 8, 13)
    depth = 1 if depthwise else case["C"]
    words = -(-case["S"] * depth // 4) * 4
    # Rows of x are long enough for whole words, or, in some, for the windows alone.
    wide = max(-(-words // depth), (case["S"] - 1) * case["dilation_w"] + 1)
    if rng.random() < 0.2:
        wide = (case["S"] - 1) * case["dilation_w"] + 1
    high = (case["R"] - 1) * case["dilation_h"] + 1
    case["H"] = case["first_h"] + (case["P"] - 1) * case["stride_h"] + high + one(0, 1)
    case["W"] = case["first_w"] + (case["Q"] - 1) * case["stride_w"] + wide + one(0, 1)
    case["U"] = case["top"] + case["P"] + one(0, 0, 1)
    case["V"] = case["left"] + case["Q"] + one(0, 0, 3)
    values, _ = op.case_values(case)
    return OpCase(op, case, data=operands(op, values, rng))
