# SPDX-License-Identifier: Apache-2.0
"""A copy between two memories of a device, which its DMA makes while the cores compute.

There is no kernel: the generated C calls `ac_copy_in` and `ac_copy_out` of port.h. The plan says
where somebody waits for a copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from acclimate.kernels.op import Array, Op, Shape, Signature


@dataclass(frozen=True)
class Copy:
    """Rows that lie apart in the outer memory and side by side in the inner one, or the reverse.

    Args:
        shape: of both views: (elements,), or (rows, elements of a row).
        inward: into the faster memory.
    """

    shape: Shape
    inward: bool

    @property
    def label(self) -> str:
        """What it is, for comments in the C code."""
        return "fetch" if self.inward else "store"


def _same(attrs: Copy, x: Array) -> Array:
    return x


COPY = Op(
    name="copy",
    doc="y = x in another memory",
    signature=Signature((), ()),
    meaning=_same,
    folder=Path(__file__).parent,
    attrs=Copy,
    generated=True,
)
OPS = (COPY,)
