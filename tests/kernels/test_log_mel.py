# SPDX-License-Identifier: Apache-2.0
"""The logarithm and the tables of the log-mel kernel by themselves."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import harness
import numpy as np
import pytest

from acclimate.kernels.log_mel.tables import make_tables

_SOURCE = """
#include "log_mel_frame.h"
void logarithms(float *y, const float *x, int32_t count);
void logarithms(float *y, const float *x, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        y[i] = ac_ln_f32(x[i]);
}
"""


@pytest.fixture(scope="module")
def logarithms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logarithm")
    (folder / "logarithm.c").write_text(_SOURCE)
    command = [sys.executable, "-m", "ziglang", "cc", "-std=c99", "-O2", "-shared", "-fPIC"]
    include = f"-I{harness.KERNELS / 'log_mel'}"
    subprocess.run([*command, include, "logarithm.c", "-o", "logarithm.so"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "logarithm.so"))

    def run(x: np.ndarray) -> np.ndarray:
        y = np.empty_like(x)
        library.logarithms(
            ctypes.c_void_p(y.ctypes.data), ctypes.c_void_p(x.ctypes.data), ctypes.c_int32(len(x))
        )
        return y

    return run


@pytest.mark.parametrize("exponent", [-126, -20, -2, -1, 0, 1, 7, 127])
def test_logarithm_of_every_mantissa_is_within_its_bound(logarithms, exponent):
    x = np.ldexp(1.0 + np.arange(2**23) / 2**23, exponent).astype(np.float32)
    exact = np.log(x.astype(np.float64))
    off = np.abs(logarithms(x) - exact)
    bound = np.maximum(BOUND_ULP * np.spacing(np.abs(exact).astype(np.float32)), 2.0**-25)
    assert (off <= bound).all(), (off / bound).max()


def test_logarithm_keeps_infinity_and_nan(logarithms):
    y = logarithms(np.array([np.inf, np.nan, 1.0], np.float32))
    assert y[0] == np.inf and np.isnan(y[1]) and y[2] == 0.0


BOUND_ULP = 1.25  # log_mel_frame.h


def test_tables_hold_each_weight_of_each_band_once():
    rng = np.random.default_rng(0)
    filters = rng.uniform(0.1, 1.0, (65, 5)) * (rng.random((65, 5)) < 0.2)
    filters[0, 0], filters[:, 3], filters[50:] = 0.5, 0.0, 0.0  # from bin 0; without any; none last
    tables = make_tables(128, filters)
    found, at = np.zeros_like(filters), 0
    for band, (first, count) in enumerate(tables.span):
        found[first : first + count, band] = tables.weights[at : at + count]
        at += count
    np.testing.assert_array_equal(found, filters.astype(np.float32))
    assert at == len(tables.weights) and len(tables.split) == np.flatnonzero(filters.any(1))[-1] + 1


def test_order_reverses_digits_to_the_base_4():
    order = make_tables(1024, np.eye(513, 2, -1)).order
    assert [int(order[s]) for s in (1, 4, 16, 27)] == [16, 4, 1, 57]  # 27 = 123 -> 321 = 57


def test_tables_refuse_the_bin_of_half_the_sample_rate():
    with pytest.raises(ValueError, match="bin 16"):
        make_tables(32, np.ones((17, 2)))
