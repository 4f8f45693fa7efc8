# SPDX-License-Identifier: Apache-2.0
"""Kernels of eight-bit integers in C, bit for bit; their meaning against PyTorch."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import harness
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from acclimate.kernels.add_int8.op import OPS as SUMS
from acclimate.kernels.conv2d_int8.op import OPS as CONVOLUTIONS
from acclimate.kernels.op import Array, Op
from acclimate.kernels.quantize.op import OPS as BRIDGES
from acclimate.kernels.quantize.op import find_bridge
from acclimate.program import OpCase
from int8 import drawn_convolution, operands

OPS = (*CONVOLUTIONS, *BRIDGES, *SUMS)
CASES = [pytest.param(op, n, id=f"{op.name}-{n}") for op in OPS for n in range(len(op.cases))]
DRAWN = 150


@pytest.fixture(scope="module", params=[harness.FAST, harness.SANITIZED], ids=["fast", "sanitized"])
def library(request, tmp_path_factory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("int8")
    return ctypes.CDLL(str(harness.build(folder, request.param, OPS)))


def example(op: Op, case: dict, data: dict[str, Array]) -> harness.Example:
    values, attrs = op.case_values(case)
    inputs = tuple(data[operand.name] for operand in op.signature.inputs)
    values |= {name: harness.pick(function, values) for name, function in op.derived.items()}
    return harness.Example(op, values, attrs, inputs)


def check(library: ctypes.CDLL, ex: harness.Example) -> None:
    """All ways of sharing the work give the bits of the meaning."""
    (wanted,) = ex.op.evaluate(ex.attrs, ex.inputs, ex.values)
    for kernel in harness.in_c(ex.op):
        for cores in ((0,), (0, 1, 2), (2, 1, 0)):
            (found,) = harness.call(library, kernel, ex, cores)
            np.testing.assert_array_equal(found, wanted, err_msg=f"{ex} on cores {cores}")


@pytest.mark.parametrize(("op", "number"), CASES)
def test_kernels_equal_meaning(library, op: Op, number: int) -> None:
    values, _ = op.case_values(op.cases[number])
    data = operands(op, values, np.random.default_rng(number))
    check(library, example(op, op.cases[number], data))


def test_drawn_convolutions(library) -> None:
    rng = np.random.default_rng(5)
    for _ in range(DRAWN):
        one = drawn_convolution(rng)
        check(library, example(one.op, one.case, dict(one.data)))


def drawn() -> Iterator[OpCase]:
    rng = np.random.default_rng(6)
    for _ in range(DRAWN):
        yield drawn_convolution(rng)


def test_convolutions_are_those_of_torch() -> None:
    for one in drawn():
        ex = example(one.op, one.case, dict(one.data))
        (found,) = ex.op.evaluate(ex.attrs, ex.inputs, ex.values)
        x, w, scale = (torch.from_numpy(a.astype(np.float64)) for a in ex.inputs)
        v, planes = ex.values, ex.op.name.endswith("planes")
        depthwise = ex.op.name.startswith("depthwise")
        depth = 1 if depthwise else v["C"]
        x = x if depthwise else x.permute(0, 3, 1, 2)
        w = w[..., : v["S"] * depth].reshape(len(w), v["R"], v["S"], depth).permute(0, 3, 1, 2)
        sums = F.conv2d(
            x[:, :, v["first_h"] :, v["first_w"] :], w,
            stride=(v["stride_h"], v["stride_w"]), dilation=(v["dilation_h"], v["dilation_w"]),
            groups=v["C"] if depthwise else 1,
        )[:, :, : v["P"], : v["Q"]]  # fmt: skip
        bias, shift = scale[:, 0, None, None], scale[:, 1, None, None]
        lowest = v["y_lo"]
        y = torch.floor((sums + bias) / 2**shift).clamp(lowest, lowest + 255)
        found = found if planes else found.transpose(0, 3, 1, 2)
        inside = found[:, :, v["top"] : v["top"] + v["P"], v["left"] : v["left"] + v["Q"]]
        np.testing.assert_array_equal(inside, y.numpy())
        assert np.abs(found.astype(int)).sum() == np.abs(y.numpy()).sum(), "zeros lie around it"


def test_sums_are_those_of_numpy() -> None:
    for op in SUMS:
        ex = example(
            op, op.cases[1], operands(op, op.case_values(op.cases[1])[0], np.random.default_rng(2))
        )
        (found,) = ex.op.evaluate(ex.attrs, ex.inputs, ex.values)
        found = found.transpose(0, 2, 3, 1) if op.name.endswith("planes") else found
        x, z = ex.inputs
        real = x[:, 2:5, 1:3] * 20000.0 + z[:, 1:4, 3:5] * 3000.0
        y = np.clip(np.floor(real / 2**14 + 0.5), ex.values["y_lo"], ex.values["y_lo"] + 255)
        np.testing.assert_array_equal(found[:, 1:4, 2:4], y)
        assert np.abs(found).sum() == np.abs(y).sum(), "zeros lie around it"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0.49, 0), (0.5, 1), (-0.5, 0), (-0.51, -1), (126.6, 127), (127.6, 127), (-128.6, -128),
     (np.nan, -128), (np.inf, 127), (-np.inf, -128), (3e38, 127)],
)  # fmt: skip
def test_floats_become_the_nearest_integer(library, value: float, wanted: int) -> None:
    op = find_bridge("quantize", "s8")
    case = {"N": 1, "C": 1, "H": 1, "W": 1, "U": 1, "V": 1, "factor": 1.0}
    ex = example(op, case, {"x": np.full((1, 1, 1, 1), value, np.float32)})
    check(library, ex)
    assert ex.op.evaluate(ex.attrs, ex.inputs, ex.values)[0].item() == wanted
