# SPDX-License-Identifier: Apache-2.0
"""Convolution: forward, input gradient, weight gradient, weight gradient + SGD."""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from pathlib import Path

from acclimate.kernels.conv2d import cuts, pulp, pulp_depthwise, pulp_weights
from acclimate.kernels.conv2d.meaning import (
    Conv2d,
    ConvStep,
    forward,
    input_gradient,
    step,
    weight_gradient,
)
from acclimate.kernels.op import Kernel, Op, Signature
from acclimate.kernels.pulp.work import Generator

__all__ = ["CONV2D_BWD_W", "CONV2D_BWD_X", "CONV2D_FWD", "CONV2D_STEP", "OPS", "Conv2d", "ConvStep"]

_FOLDER = Path(__file__).parent
_SHAPES = ("N", "C", "H", "W", "K", "R", "S", "P", "Q")
_GEOMETRY = ("stride_h", "stride_w", "pad_top", "pad_left", "dilation_h", "dilation_w", "groups")
_SIZES = (*_SHAPES, *_GEOMETRY)
_SIMD = frozenset({"simd"})
_FPU = frozenset({"fpu"})  # one float at a time
_PULP = frozenset({"fpu", "xpulp"})
AC_TAPS = 256  # conv2d_panel.h
AC_BLOCK = 32  # conv2d_panel.h
AC_COLUMNS = 16  # ac_tile.h


def _dense(R: int, S: int) -> bool:
    return R * S <= AC_TAPS


def _pointwise(
    H: int,
    W: int,
    R: int,
    S: int,
    P: int,
    Q: int,
    stride_h: int,
    stride_w: int,
    pad_top: int,
    pad_left: int,
    groups: int,
) -> bool:
    same = (P, Q, pad_top, pad_left) == (H, W, 0, 0)
    return same and R == S == stride_h == stride_w == groups == 1


def _depthwise(C: int, K: int, R: int, S: int, groups: int) -> bool:
    return _one_channel(C, K, groups) and R * S <= AC_TAPS


def _one_channel(C: int, K: int, groups: int) -> bool:
    return groups == C == K


def _any_shape() -> bool:
    return True


def _input_panels(R: int, S: int, P: int, Q: int, stride_h: int, dilation_h: int) -> int:
    """Words of one channel in `ac_input_panels`."""
    phases = min(stride_h // gcd(stride_h, dilation_h), R)
    return S * phases * (P + (R - 1) * dilation_h // stride_h) * Q


def _gradient_panels(
    R: int, S: int, H: int, W: int, stride_h: int, stride_w: int, dilation_h: int
) -> int:
    """Most words of one channel in the panels of `ac_gradient_phase`."""
    return S * (-(-H // stride_h) + (R - 1) * dilation_h // stride_h) * -(-W // stride_w)


def _fwd_dense(
    C: int, R: int, S: int, P: int, Q: int, stride_h: int, dilation_h: int, groups: int
) -> int:
    return C // groups * _input_panels(R, S, P, Q, stride_h, dilation_h) + AC_COLUMNS


def _bwd_x_dense(
    H: int,
    W: int,
    K: int,
    R: int,
    S: int,
    stride_h: int,
    stride_w: int,
    dilation_h: int,
    groups: int,
) -> int:
    words = _gradient_panels(R, S, H, W, stride_h, stride_w, dilation_h)
    return K // groups * words + AC_COLUMNS


def _bwd_w_pointwise(H: int, W: int) -> int:
    return H * W * AC_COLUMNS


def _bwd_w_dense(
    C: int, R: int, S: int, P: int, Q: int, stride_h: int, dilation_h: int, groups: int
) -> int:
    words = _input_panels(R, S, P, Q, stride_h, dilation_h)
    return C // groups * words + P * Q * AC_COLUMNS


def _fwd_depthwise(R: int, S: int, P: int, Q: int, stride_h: int, dilation_h: int) -> int:
    return _input_panels(R, S, P, Q, stride_h, dilation_h) + AC_BLOCK


def _bwd_x_depthwise(
    R: int, S: int, H: int, W: int, stride_h: int, stride_w: int, dilation_h: int
) -> int:
    words = _gradient_panels(R, S, H, W, stride_h, stride_w, dilation_h)
    return words + AC_BLOCK + -(-H // stride_h) * -(-W // stride_w)


def _kernels(
    name: str,
    stem: str,
    pointwise: Callable[..., int],
    depthwise: Callable[..., int],
    dense: Callable[..., int],
    generator: Generator,
    depthwise_generator: Generator,
) -> tuple[Kernel, ...]:
    """All variants of one operator, fastest first, given the words of their scratch."""

    def variant(kind: str, when: Callable[..., bool], scratch: Callable[..., int]) -> Kernel:
        return Kernel(f"ac_conv2d_{name}_f32_{kind}", f"{stem}_{kind}.c", _SIMD, when, scratch)

    def block(kind: str, when: Callable[..., bool]) -> Kernel:
        both = kind == "depthwise_block" and "bwd_w" not in stem  # forward and back are one file
        source = "conv2d_depthwise_block.c" if both else f"{stem}_{kind}.c"
        return Kernel(f"ac_conv2d_{name}_f32_{kind}", source, _FPU, when)

    return (
        variant("pointwise", _pointwise, pointwise),
        variant("depthwise", _depthwise, depthwise),
        variant("dense", _dense, dense),
        Kernel(
            f"ac_conv2d_{name}_f32_pulp_depthwise",
            "",
            _PULP,
            _one_channel,
            generator=depthwise_generator,
        ),
        Kernel(f"ac_conv2d_{name}_f32_pulp", "", _PULP, generator=generator),
        block("pointwise_block", _pointwise),
        block("depthwise_block", _one_channel),
        block("block", _any_shape),
        Kernel(f"ac_conv2d_{name}_f32", f"{stem}.c"),
    )


def _macs(N: int, C: int, K: int, R: int, S: int, P: int, Q: int, groups: int) -> int:
    return N * K * (C // groups) * R * S * P * Q


def _case(
    x: tuple[int, int, int, int],
    w: tuple[int, int, int],
    stride: tuple[int, int] = (1, 1),
    pad: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    **more: float,
) -> dict[str, float]:
    """One case: x is N, C, H, W; w is K, R, S; pad is top, bottom, left, right."""
    (N, C, H, W), (K, R, S) = x, w
    return {
        **dict(zip(_SHAPES, (N, C, H, W, K, R, S), strict=False)),
        "P": (H + pad[0] + pad[1] - dilation[0] * (R - 1) - 1) // stride[0] + 1,
        "Q": (W + pad[2] + pad[3] - dilation[1] * (S - 1) - 1) // stride[1] + 1,
        **dict(zip(_GEOMETRY, (*stride, pad[0], pad[2], *dilation, groups), strict=True)),
        **more,
    }


_CASES = (
    _case((1, 1, 1, 1), (1, 1, 1)),
    _case((1, 3, 32, 32), (16, 3, 3), (2, 2), (1, 1, 1, 1)),  # last row unused
    _case((2, 5, 9, 8), (7, 3, 3), (1, 1), (1, 1, 1, 1)),
    _case((1, 1, 49, 10), (8, 10, 4), (2, 2), (4, 5, 1, 1)),  # first layer of DS-CNN
    _case((1, 6, 7, 6), (4, 2, 2), (1, 1), (0, 1, 0, 1)),
    _case((1, 3, 11, 9), (5, 5, 4), (3, 2), (2, 1, 3, 0)),
    _case((1, 2, 3, 2), (3, 7, 5), (1, 1), (3, 3, 2, 2)),  # kernel larger than the input
    _case((1, 2, 6, 1), (3, 3, 7), (1, 1), (1, 1, 3, 3)),  # taps that see nothing but padding
    _case((1, 2, 9, 11), (3, 2, 1), (3, 4)),  # stride larger than the kernel
    _case((2, 4, 12, 10), (6, 3, 3), (2, 1), (2, 2, 4, 4), (2, 3)),
    _case((1, 1, 1, 60), (4, 1, 9), (1, 4), (0, 0, 4, 4), (1, 2)),  # one-dimensional
    _case((1, 19, 5, 5), (21, 1, 1)),
    _case((2, 16, 25, 5), (24, 1, 1)),
    _case((1, 8, 9, 7), (5, 1, 1), (2, 2)),
    _case((1, 3, 4, 5), (2, 1, 1), (1, 1), (1, -1, 1, -1)),  # a shift
    _case((1, 8, 25, 5), (8, 3, 3), (1, 1), (1, 1, 1, 1), groups=8),
    _case((2, 5, 12, 12), (5, 3, 3), (2, 2), (0, 1, 0, 1), groups=5),
    _case((1, 4, 7, 9), (8, 3, 3), (1, 1), (1, 1, 1, 1), groups=4),  # depthwise, multiplier 2
    _case((1, 6, 8, 8), (9, 3, 2), (1, 2), (1, 1, 1, 0), groups=3),
    _case((1, 3, 10, 6), (3, 5, 5), (1, 1), (4, 4, 4, 4), (2, 2), groups=3),
)
_CLAMPED = (
    _case((1, 3, 6, 6), (5, 3, 3), pad=(1, 1, 1, 1), lo=0.0),
    _case((1, 3, 6, 6), (3, 3, 3), pad=(1, 1, 1, 1), groups=3, lo=0.0, hi=6.0),
    _case((1, 18, 6, 5), (17, 1, 1), lo=-0.5, hi=0.5),
)
CONV2D_FWD = Op(
    name="conv2d_fwd",
    doc="y = clamp(conv(x, w) + b)",
    signature=Signature.parse("x[N,C,H,W], w[K,C/groups,R,S], b[K]? -> y[N,K,P,Q]"),
    meaning=forward,
    folder=_FOLDER,
    attrs=Conv2d,
    macs=_macs,
    sizes=(*_SIZES, "lo", "hi"),
    kernels=_kernels(
        "fwd",
        "conv2d_fwd",
        lambda C: C * AC_COLUMNS,
        _fwd_depthwise,
        _fwd_dense,
        pulp.FORWARD,
        pulp_depthwise.FORWARD,
    ),
    cases=(*_CASES, *_CLAMPED),
    cuts=cuts.FORWARD,
)
CONV2D_BWD_X = Op(
    name="conv2d_bwd_x",
    doc="dx = clamp(transposed conv(dy, w) + b): the input gradient, or a transposed convolution",
    signature=Signature.parse("dy[N,K,P,Q], w[K,C/groups,R,S], b[C]? -> dx[N,C,H,W]"),
    meaning=input_gradient,
    folder=_FOLDER,
    attrs=Conv2d,
    macs=_macs,
    sizes=(*_SIZES, "lo", "hi"),
    kernels=_kernels(
        "bwd_x",
        "conv2d_bwd_x",
        lambda K: K * AC_COLUMNS,
        _bwd_x_depthwise,
        _bwd_x_dense,
        pulp.INPUT_GRADIENT,
        pulp_depthwise.INPUT_GRADIENT,
    ),
    cases=(*_CASES, *_CLAMPED),
    cuts=cuts.INPUT_GRADIENT,
)
CONV2D_BWD_W = Op(
    name="conv2d_bwd_w",
    doc="dw = dy * x summed over samples and pixels, db = sum of dy",
    signature=Signature.parse("dy[N,K,P,Q], x[N,C,H,W] -> dw[K,C/groups,R,S], db[K]?"),
    meaning=weight_gradient,
    folder=_FOLDER,
    attrs=Conv2d,
    macs=_macs,
    sizes=_SIZES,
    accumulates=True,
    kernels=_kernels(
        "bwd_w",
        "conv2d_bwd_w",
        _bwd_w_pointwise,
        _input_panels,
        _bwd_w_dense,
        pulp_weights.WEIGHT_GRADIENT,
        pulp_depthwise.WEIGHT_GRADIENT,
    ),
    cases=_CASES,
    cuts=cuts.WEIGHT_GRADIENT,
)
CONV2D_STEP = Op(
    name="conv2d_step",
    doc="w <- w - lr (dw + decay w), b likewise: weight gradient and SGD, no gradient buffer",
    signature=Signature.parse(
        "w[K,C/groups,R,S], b[K]?, dy[N,K,P,Q], x[N,C,H,W], lr[] -> w[K,C/groups,R,S], b[K]?"
    ),
    meaning=step,
    folder=_FOLDER,
    attrs=ConvStep,
    macs=_macs,
    sizes=(*_SIZES, "weight_decay"),
    kernels=_kernels(
        "step",
        "conv2d_bwd_w",
        _bwd_w_pointwise,
        _input_panels,
        _bwd_w_dense,
        pulp_weights.WEIGHT_GRADIENT,
        pulp_depthwise.WEIGHT_GRADIENT,
    ),
    cases=(*_CASES, _case((2, 3, 6, 6), (5, 3, 3), pad=(1, 1, 1, 1), weight_decay=0.1)),
    cuts=cuts.STEP,
)
OPS = (CONV2D_FWD, CONV2D_BWD_X, CONV2D_BWD_W, CONV2D_STEP)
