# SPDX-License-Identifier: Apache-2.0
"""How activations of eight bits lie in memory: as pixels or planes, with zeros around them.

Whoever computes an activation writes the zeros that its readers want around it, so that nobody has
a border to think of. Convolutions read pixels [N,H,W,C], depthwise ones planes [N,C,H,W].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acclimate.kernels.linear.op import LINEAR_FWD
from acclimate.program import Call
from acclimate.quantize.prefix import Layer

_WORD = 4


@dataclass(frozen=True)
class Geometry:
    """A convolution as a layer of integers sees it; a fully connected layer is one of one pixel."""

    K: int
    C: int
    H: int
    W: int
    R: int
    S: int
    P: int
    Q: int
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int]

    @staticmethod
    def of(call: Call) -> Geometry:
        """From a call in floats."""
        v: Mapping[str, Any] = call.values()
        if call.op is LINEAR_FWD:
            return Geometry(v["K"], v["C"], 1, 1, 1, 1, 1, 1, (1, 1), (0, 0), (1, 1))
        return Geometry(
            **{name: int(v[name]) for name in ("K", "C", "H", "W", "R", "S", "P", "Q")},
            stride=(v["stride_h"], v["stride_w"]),
            pad=(v["pad_top"], v["pad_left"]),
            dilation=(v["dilation_h"], v["dilation_w"]),
        )

    def row_bytes(self, depthwise: bool) -> int:
        """Of a row of a kernel, in whole words."""
        return -(-self.S * (1 if depthwise else self.C) // _WORD) * _WORD

    def reach(self, depthwise: bool) -> tuple[int, int]:
        """Rows and columns of x from its first cell to the end of the last window.

        Where the columns of a window lie side by side, whole words are read of them.
        """
        (sh, sw), (dh, dw) = self.stride, self.dilation
        wide = (self.S - 1) * dw + 1
        if dw == 1:
            wide = -(-self.row_bytes(depthwise) // (1 if depthwise else self.C))
        down = (self.P - 1) * sh - self.pad[0] + (self.R - 1) * dh + 1
        return down, (self.Q - 1) * sw - self.pad[1] + wide


@dataclass(frozen=True)
class Layout:
    """Memory of an activation.

    Args:
        N: samples.
        C: channels.
        U: rows with the zeros around them.
        V: columns with the zeros around them.
        top: row of pixel (0, 0).
        left: column of pixel (0, 0).
        planes: rather than pixels.
    """

    N: int
    C: int
    U: int
    V: int
    top: int
    left: int
    planes: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the buffer."""
        plane = (self.U, self.V)
        return (self.N, self.C, *plane) if self.planes else (self.N, *plane, self.C)


def layout_of(shape: tuple[int, ...], readers: Sequence[Layer]) -> Layout:
    """Memory of an activation [N,C,H,W], or [N,C], that these layers read."""
    N, C, H, W = (*shape, 1, 1)[:4]
    top = left = 0
    rows, columns = H, W
    for layer in readers:
        if layer.kind in ("mean", "add"):
            continue
        g = Geometry.of(layer.call)
        top, left = max(top, g.pad[0]), max(left, g.pad[1])
        reach = g.reach(layer.planes)
        rows, columns = max(rows, reach[0]), max(columns, reach[1])
    # The mean of planes is a sum over bytes that lie side by side.
    planes = all(layer.kind not in ("conv2d", "add") for layer in readers)
    return Layout(N, C, top + rows, left + columns, top, left, planes)
