# SPDX-License-Identifier: Apache-2.0
"""Every kernel against the NumPy meaning of its operator, and every meaning against PyTorch."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

import fuzz
import harness
import numpy as np
import pytest
import torch_reference
from hypothesis import given, settings

CASES = [pytest.param(op, n, id=f"{op.name}-{n}") for op, n in harness.case_ids()]
FUZZ = settings(deadline=None, max_examples=60, derandomize=True, database=None)


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    return ctypes.CDLL(str(harness.build(tmp_path_factory.mktemp("fast"), harness.FAST)))


@pytest.mark.parametrize("optional", [True, False], ids=["all", "required"])
@pytest.mark.parametrize(("op", "number"), CASES)
def test_kernels_equal_meaning(library, op, number, optional):
    harness.check(library, harness.example(op, op.cases[number], number, optional))


@pytest.mark.parametrize(("op", "number"), CASES)
def test_meaning_equals_torch(op, number):
    torch_reference.check(harness.example(op, op.cases[number], number))


@pytest.mark.parametrize("op", harness.OPS, ids=lambda op: op.name)
def test_meaning_keeps_float32(op):
    ex = harness.example(op, op.cases[-1], 0)
    for array, operand in zip(
        op.evaluate(ex.attrs, ex.inputs, ex.values), op.signature.outputs, strict=True
    ):
        assert array is None or array.dtype == harness.DTYPES[operand.dtype]


def test_maximum_keeps_the_first_of_equals_and_nan(library):
    op = harness.max_pool2d.MAX_POOL2D_FWD
    ex = harness.example(op, op.cases[2], 0)
    x = ex.inputs[0]
    x[0, 0], x[0, 1], x[0, 2, 3, 3] = 1.0, -np.inf, np.nan
    harness.check(library, ex)
    torch_reference.check(ex)


def test_every_kernel_has_a_case():
    for op in harness.OPS:
        used = {k for case in op.cases for k in harness.variants(op, op.case_values(case)[0])}
        assert used == set(harness.in_c(op))


@pytest.mark.parametrize("name", ["AC_COLUMNS", "AC_TAPS", "AC_BLOCK"])
def test_scratch_is_sized_with_the_constants_of_the_headers(name):
    text = "".join(path.read_text() for path in harness.KERNELS.rglob("*.h"))
    (value,) = re.findall(rf"enum {{ {name} = (\d+)", text)
    modules = [harness.conv2d, harness.linear, harness.matmul]
    found = {getattr(module, name) for module in modules if hasattr(module, name)}
    assert found == {int(value)}


def test_kernels_stay_in_bounds_and_defined(tmp_path):
    library = harness.build(tmp_path, harness.SANITIZED)
    command = [sys.executable, str(Path(__file__).parent / "fenced.py"), str(library)]
    places = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=places)
    assert run.returncode == 0, run.stderr[-2000:]


@FUZZ
@given(fuzz.linear())
def test_linear_fuzzed(library, examples):
    _check_all(library, examples)


@settings(FUZZ, max_examples=200)
@given(fuzz.conv2d())
def test_conv2d_fuzzed(library, examples):
    _check_all(library, examples)


@FUZZ
@given(fuzz.matmul())
def test_matmul_fuzzed(library, examples):
    _check_all(library, examples)


@FUZZ
@given(fuzz.max_pool2d())
def test_max_pool2d_fuzzed(library, examples):
    _check_all(library, examples)


@FUZZ
@given(fuzz.avg_pool2d())
def test_avg_pool2d_fuzzed(library, examples):
    _check_all(library, examples)


@FUZZ
@given(fuzz.log_mel())
def test_log_mel_fuzzed(library, examples):
    _check_all(library, examples)


def test_a_sample_that_is_no_number_makes_its_frames_no_numbers(library):
    op = harness.log_mel.LOG_MEL_FWD
    ex = harness.example(op, op.cases[0], 0)
    x = ex.inputs[0]
    x[0, 700] = np.nan  # in frames 1 and 2 of windows of 640 every 320
    (y,) = harness.call(library, op.kernels[0], ex)
    np.testing.assert_array_equal(np.isnan(y).all(2)[0], [f in (1, 2) for f in range(y.shape[1])])
    assert not np.isnan(y[0, 3:]).any()
    x[0, 700] = np.inf
    (y,) = harness.call(library, op.kernels[0], ex)
    assert not np.isfinite(y[0, 1:3]).any() and np.isfinite(y[0, 3:]).all()


def _check_all(library, examples):
    for ex in examples:
        torch_reference.check(ex)
        harness.check(library, ex)
