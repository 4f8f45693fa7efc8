# SPDX-License-Identifier: Apache-2.0
"""Batched matrix products: plain, right operand transposed, left operand transposed."""

from __future__ import annotations

from pathlib import Path

from acclimate.kernels.cut import Cut
from acclimate.kernels.matmul import pulp
from acclimate.kernels.op import Kernel, Op, Signature

_FOLDER = Path(__file__).parent
_SIZES = ("B", "M", "K", "N")
_SIMD = frozenset({"simd"})
_PULP = frozenset({"fpu", "xpulp"})
AC_COLUMNS = 16  # ac_tile.h
_CASES = (
    {"B": 1, "M": 1, "K": 1, "N": 1},
    {"B": 2, "M": 7, "K": 5, "N": 3},
    {"B": 3, "M": 17, "K": 33, "N": 40},
    {"B": 1, "M": 1, "K": 64, "N": 70},
)
_CUTS = (Cut("B"), Cut("M"), Cut("N"))


def _scratch(K: int) -> int:
    return K * AC_COLUMNS


def _macs(B: int, M: int, K: int, N: int) -> int:
    return B * M * K * N


MATMUL_NN = Op(
    name="matmul_nn",
    doc="y = a b for every matrix of the batch",
    signature=Signature.parse("a[B,M,K], b[B,K,N] -> y[B,M,N]"),
    meaning=lambda attrs, a, b: a @ b,
    folder=_FOLDER,
    macs=_macs,
    sizes=_SIZES,
    kernels=(
        Kernel("ac_matmul_nn_f32_tile", "matmul_tile.c", _SIMD, scratch=_scratch),
        Kernel("ac_matmul_nn_f32_pulp", "", _PULP, generator=pulp.NN),
        Kernel("ac_matmul_nn_f32", "matmul_nn.c"),
    ),
    cases=_CASES,
    cuts=_CUTS,
)
MATMUL_NT = Op(
    name="matmul_nt",
    doc="y = a b^T for every matrix of the batch",
    signature=Signature.parse("a[B,M,K], b[B,N,K] -> y[B,M,N]"),
    meaning=lambda attrs, a, b: a @ b.swapaxes(1, 2),
    folder=_FOLDER,
    macs=_macs,
    sizes=_SIZES,
    kernels=(
        Kernel("ac_matmul_nt_f32_tile", "matmul_tile.c", _SIMD, scratch=_scratch),
        Kernel("ac_matmul_nt_f32_pulp", "", _PULP, generator=pulp.NT),
        Kernel("ac_matmul_nt_f32", "matmul_nt.c"),
    ),
    cases=_CASES,
    cuts=_CUTS,
)
MATMUL_TN = Op(
    name="matmul_tn",
    doc="y = a^T b for every matrix of the batch",
    signature=Signature.parse("a[B,K,M], b[B,K,N] -> y[B,M,N]"),
    meaning=lambda attrs, a, b: a.swapaxes(1, 2) @ b,
    folder=_FOLDER,
    macs=_macs,
    sizes=_SIZES,
    kernels=(
        Kernel("ac_matmul_tn_f32_tile", "matmul_tile.c", _SIMD, scratch=_scratch),
        Kernel("ac_matmul_tn_f32_pulp", "", _PULP, generator=pulp.TN),
        Kernel("ac_matmul_tn_f32", "matmul_tn.c"),
    ),
    cases=_CASES,
    cuts=_CUTS,
)
OPS = (MATMUL_NN, MATMUL_NT, MATMUL_TN)
