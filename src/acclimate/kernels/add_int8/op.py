# SPDX-License-Identifier: Apache-2.0
"""The sum of two activations of eight-bit integers: of residual blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from acclimate.kernels.conv2d_int8.meaning import LOWEST, lowest_of, to_planes
from acclimate.kernels.cut import Cut
from acclimate.kernels.op import Array, Kernel, Op, Signature

__all__ = ["OPS", "AddInt8", "find_add"]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class AddInt8:
    """What both are multiplied by, and where pixel (0, 0) of x, z and y lies among zeros.

    Args:
        P: rows that are added.
        Q: columns that are added.
        x_factor: of x, below 2^15.
        z_factor: of z, below 2^15.
        shift: of the sum, to the right.
        x_top: row of x.
        x_left: column of x.
        z_top: row of z.
        z_left: column of z.
        top: row of y.
        left: column of y.
    """

    P: int
    Q: int
    x_factor: int
    z_factor: int
    shift: int
    x_top: int = 0
    x_left: int = 0
    z_top: int = 0
    z_left: int = 0
    top: int = 0
    left: int = 0


def _add(a: AddInt8, x: Array, z: Array, U: int, V: int, lowest: int) -> Array:
    """y[N,U,V,C] = clip((x x_factor + z z_factor + half) >> shift)."""
    inner = [
        pixels[:, top : top + a.P, left : left + a.Q].astype(np.int64)
        for pixels, top, left in ((x, a.x_top, a.x_left), (z, a.z_top, a.z_left))
    ]
    sums = inner[0] * a.x_factor + inner[1] * a.z_factor + (1 << a.shift >> 1)
    y = np.zeros((len(x), U, V, x.shape[3]), np.int64)
    values = np.clip(sums >> a.shift, lowest, lowest + 255)
    y[:, a.top : a.top + a.P, a.left : a.left + a.Q] = values
    return y


def _one() -> int:
    return 1


def _depth(C: int) -> int:
    return C


def _plane(U: int, V: int) -> int:
    return U * V


_CASES = (
    {"N": 1, "C": 4, "H": 3, "W": 5, "I": 3, "J": 5, "U": 3, "V": 5, "P": 3, "Q": 5,
     "x_factor": 300, "z_factor": 200, "shift": 9},
    {"N": 2, "C": 5, "H": 6, "W": 4, "I": 4, "J": 6, "U": 5, "V": 7, "P": 3, "Q": 2,
     "x_factor": 20000, "z_factor": 3000, "shift": 14, "x_top": 2, "x_left": 1, "z_top": 1,
     "z_left": 3, "top": 1, "left": 2},
    {"N": 1, "C": 3, "H": 1, "W": 1, "I": 1, "J": 1, "U": 1, "V": 1, "P": 1, "Q": 1,
     "x_factor": 1, "z_factor": 3, "shift": 0},
)  # fmt: skip


def _meaning(lowest: int, planes: bool) -> Callable[..., Array]:
    def evaluate(a: AddInt8, x: Array, z: Array, *, U: int, V: int) -> Array:
        pixels = _add(a, x, z, U, V, lowest)
        return to_planes(pixels) if planes else pixels

    return evaluate


def _op(x: str, z: str, y: str, planes: bool) -> Op:
    shape = "N,C,U,V" if planes else "N,U,V,C"
    steps = {
        "y_pixel": _one if planes else _depth,
        "y_channel": _plane if planes else _one,
        "x_lo": lowest_of(x),
        "z_lo": lowest_of(z),
        "y_lo": lowest_of(y),
    }
    return Op(
        name=f"add_{x}_{z}_{y}{'_planes' if planes else ''}",
        doc=f"eight bits of x + z, as {'planes' if planes else 'pixels'}",
        signature=Signature.parse(f"x[N,H,W,C]:{x}, z[N,I,J,C]:{z} -> y[{shape}]:{y}"),
        meaning=_meaning(LOWEST[y], planes),
        folder=_FOLDER,
        attrs=AddInt8,
        sizes=(
            *("N", "C", "H", "W", "I", "J", "U", "V", "P", "Q", "x_factor", "z_factor", "shift"),
            *("x_top", "x_left", "z_top", "z_left", "top", "left", *steps),
        ),
        derived=steps,
        kernels=(Kernel("ac_add_fwd_int8", "add_int8.c"),),
        cases=_CASES,
        cuts=(Cut("N"),),
    )


OPS = tuple(
    _op(x, z, y, planes) for x, z, y in product(LOWEST, repeat=3) for planes in (False, True)
)
_BY_NAME = {op.name: op for op in OPS}


def find_add(x: str, z: str, y: str, planes: bool) -> Op:
    """The sum for these types, into planes or pixels."""
    return _BY_NAME[f"add_{x}_{z}_{y}{'_planes' if planes else ''}"]
