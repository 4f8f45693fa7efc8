# SPDX-License-Identifier: Apache-2.0
"""Convolution of eight-bit integers, dense and depthwise, forward: of frozen layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from acclimate.kernels.conv2d_int8 import meaning, pulp
from acclimate.kernels.conv2d_int8.meaning import LOWEST, ConvInt8, lowest_of
from acclimate.kernels.cut import Cut
from acclimate.kernels.op import Array, Kernel, Op, Signature

__all__ = ["OPS", "ConvInt8", "find_conv"]

_FOLDER = Path(__file__).parent
_PULP = frozenset({"xpulp"})
_GEOMETRY = (
    "S", "P", "Q", "stride_h", "stride_w", "dilation_h", "dilation_w", "first_h", "first_w", "top",
    "left",
)  # fmt: skip
_STEPS = ("y_pixel", "y_channel", "x_lo", "y_lo")
_WORD = 4


def _case(
    x: tuple[int, int, int, int],
    w: tuple[int, int, int],
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    first: tuple[int, int] = (0, 0),
    around: tuple[int, int, int, int] = (0, 0, 0, 0),
    depthwise: bool = False,
) -> dict[str, int]:
    """One case: x is N, H, W, C; w is K, R, S; around y are top, bottom, left, right."""
    (N, H, W, C), (K, R, S) = x, w
    P = (H - first[0] - dilation[0] * (R - 1) - 1) // stride[0] + 1
    Q = (W - first[1] - dilation[1] * (S - 1) - 1) // stride[1] + 1
    depth = 1 if depthwise else C
    if dilation[1] == 1:  # whole words of the kernel's rows stay inside of the rows of x
        words = -(-S * depth // _WORD)
        Q = (W - first[1] - -(-words * _WORD // depth)) // stride[1] + 1
    numbers = {"N": N, "H": H, "W": W, "C": C, "K": K, "R": R, "S": S, "P": P, "Q": Q}
    numbers |= {"U": P + around[0] + around[1], "V": Q + around[2] + around[3]}
    geometry = (*stride, *dilation, *first, around[0], around[2])
    return numbers | dict(zip(_GEOMETRY[3:], geometry, strict=True))


_CONV_CASES = (
    _case((1, 1, 1, 4), (4, 1, 1)),
    _case((1, 58, 12, 1), (8, 10, 4), (2, 2), around=(1, 1, 1, 2)),  # first layer of DS-CNN
    _case((1, 25, 5, 16), (8, 1, 1), around=(1, 1, 1, 2)),
    _case((2, 7, 6, 8), (5, 3, 3)),
    _case((1, 9, 8, 3), (4, 3, 3), (2, 2)),  # three channels: a row of nine bytes
    _case((1, 9, 11, 4), (6, 3, 2), (1, 2), (2, 3), (1, 1), (0, 1, 2, 0)),
    _case((2, 1, 1, 20), (7, 1, 1)),  # fully connected
)
_DEPTHWISE_CASES = (
    _case((1, 1, 4, 1), (1, 1, 1), depthwise=True),
    _case((1, 27, 8, 8), (8, 3, 3), depthwise=True),
    _case((2, 9, 12, 5), (5, 3, 3), (2, 2), around=(1, 1, 1, 2), depthwise=True),
    _case((1, 12, 9, 3), (3, 5, 5), (1, 1), (2, 1), (1, 1), depthwise=True),
    _case((1, 8, 12, 3), (3, 2, 3), (1, 2), (1, 2), depthwise=True),  # columns apart
)


def _row_bytes(S: int, C: int) -> Mapping[str, int]:
    return {"T": -(-S * C // _WORD) * _WORD}


def _tap_bytes(S: int) -> Mapping[str, int]:
    return {"T": -(-S // _WORD) * _WORD}


def _planes(function: Callable[..., Array], *args: Any, **sizes: int) -> Array:
    return meaning.to_planes(function(*args, **sizes))


def _meaning(function: Callable[..., Array], lowest: int, planes: bool) -> Callable[..., Array]:
    """The NumPy meaning for one type and layout of y."""
    inner = partial(_planes, function) if planes else function

    def evaluate(a: ConvInt8, x: Array, w: Array, scale: Array, *, U: int, V: int) -> Array:
        return inner(a, x, w, scale, U=U, V=V, lowest=lowest)

    return evaluate


def _op(depthwise: bool, x: str, y: str, planes: bool) -> Op:
    """The operator for one type of x, and one type and layout of y."""
    channels = "C" if depthwise else "K"
    shape = f"N,{channels},U,V" if planes else f"N,U,V,{channels}"
    source = "N,C,H,W" if depthwise else "N,H,W,C"
    stem = "depthwise" if depthwise else "conv2d"
    function = meaning.depthwise if depthwise else meaning.conv2d
    generator = pulp.Int8Generator(depthwise, planes, x, y)
    name = f"ac_{stem}_fwd_int8"
    dims = ("N", "H", "W", "C", *(() if depthwise else ("K",)), "R", "T", "U", "V")
    return Op(
        name=f"{stem}_{x}_{y}{'_planes' if planes else ''}",
        doc=f"eight bits of {'depthwise ' if depthwise else ''}conv(x, w) + b, as "
        f"{'planes' if planes else 'pixels'}",
        signature=Signature.parse(
            f"x[{source}]:{x}, w[{channels},R,T]:s8, scale[{channels},2]:s32 -> y[{shape}]:{y}"
        ),
        meaning=_meaning(function, LOWEST[y], planes),
        folder=_FOLDER,
        attrs=ConvInt8,
        infer=_tap_bytes if depthwise else _row_bytes,
        macs=_depthwise_macs if depthwise else _conv_macs,
        sizes=(*dims, *_GEOMETRY, *_STEPS),
        derived={
            "y_pixel": _one if planes else _depth if depthwise else _kernels,
            "y_channel": _plane if planes else _one,
            "x_lo": lowest_of(x),
            "y_lo": lowest_of(y),
        },
        kernels=(
            Kernel(f"{name}_pulp", "", _PULP, generator=generator),
            Kernel(name, f"{stem}_int8.c"),
        ),
        cases=_DEPTHWISE_CASES if depthwise else _CONV_CASES,
        cuts=(Cut(channels, grain=_words), Cut("N")),
    )


def _conv_macs(N: int, P: int, Q: int, K: int, R: int, S: int, C: int) -> int:
    return N * P * Q * K * R * S * C


def _depthwise_macs(N: int, P: int, Q: int, R: int, S: int, C: int) -> int:
    return N * P * Q * R * S * C


def _words() -> int:
    return _WORD


def _one() -> int:
    return 1


def _depth(C: int) -> int:
    return C


def _kernels(K: int) -> int:
    return K


def _plane(U: int, V: int) -> int:
    return U * V


OPS = tuple(
    _op(depthwise, x, y, planes)
    for depthwise in (False, True)
    for x in LOWEST
    for y in LOWEST
    for planes in (False, True)
)
_BY_NAME = {op.name: op for op in OPS}


def find_conv(x: str, y: str, planes: bool, depthwise: bool = False) -> Op:
    """The convolution for these types, into planes or pixels."""
    stem = "depthwise" if depthwise else "conv2d"
    return _BY_NAME[f"{stem}_{x}_{y}{'_planes' if planes else ''}"]
