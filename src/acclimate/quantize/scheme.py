# SPDX-License-Identifier: Apache-2.0
"""What is asked of quantisation, and how numbers of a layer become integers of eight bits.

A float v is an integer q with v = scale * q. Activations that a ReLU leaves are u8, others are s8;
zero is always the integer 0. Weights are s8 with a scale for each output channel, which is the one
for which going from sums to the next activations is a shift:

    scale_x scale_w[k] = scale_y / 2^shift[k]
    y = clip((sum + bias[k]) >> shift[k]),  bias[k] = b[k] / (scale_x scale_w[k]) + 2^(shift[k] - 1)

So no multiplication follows a sum, on no device, and nothing but the weights themselves is rounded
for it: a scale that is up to twice as coarse as the finest one takes at most one of their bits.

Source: symmetric weights per channel and affine activations, Jacob et al. 2018, arXiv:1712.05877;
scales whose quotient is a power of two, Jain et al. 2020, arXiv:1903.08066.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from acclimate.errors import BadExample
from acclimate.kernels.op import Array
from acclimate.program import Buffer

_MOST_WEIGHT = 127
_MOST_SHIFT = 24
_MOST_SUM = 2**31 - 1
_MOST_BIAS = 2**30
HIGHEST = {"u8": 255, "s8": 127}


@dataclass(frozen=True, eq=False)
class Int8:
    """Frozen layers in front of what learns compute with integers of eight bits.

    Args:
        calibration: inputs x[M,...] as the model takes them, or a tuple of them where it takes
            several: what the ranges of activations are measured on.
    """

    calibration: Any

    def inputs(self, wanted: Sequence[Buffer]) -> list[dict[str, Array]]:
        """The calibration inputs batch by batch, by the names of the inputs of a program.

        Raises:
            BadExample: their number or shapes are not those of the model, or they are not finite.
        """
        given = self.calibration if isinstance(self.calibration, tuple) else (self.calibration,)
        if len(given) != len(wanted):
            raise BadExample(
                f"the model takes {len(wanted)} inputs, the calibration has {len(given)}",
                hint="ac.Int8(calibration=(x0, x1))",
            )
        parts = [_batches(array, buffer) for array, buffer in zip(given, wanted, strict=True)]
        names = [buffer.name for buffer in wanted]
        return [dict(zip(names, batch, strict=True)) for batch in zip(*parts, strict=True)]


def _batches(given: Any, buffer: Buffer) -> list[Array]:
    """Batches of the size of the program's; what is left over is not used."""
    array = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    size, shape = buffer.shape[0], buffer.shape[1:]
    if array.shape[1:] != shape or len(array) < size:
        raise BadExample(
            f"calibration inputs are [{size} or more, {', '.join(map(str, shape))}]",
            found=f"{list(array.shape)}",
            hint="pass a few hundred inputs as the model takes them",
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise BadExample("calibration inputs are not finite", hint="x[np.isfinite(x)]")
    return [array[at : at + size] for at in range(0, len(array) - size + 1, size)]


@dataclass(frozen=True, eq=False)
class Weights:
    """The integers of a layer.

    Args:
        w: s8[K,...], a channel of y first.
        scale: s32[K,2]: bias and shift.
    """

    w: Array
    scale: Array


def least_scale(w: Array, scale_x: float) -> float:
    """The finest scale of y that a shift of zero bits can make of sums with weights w."""
    return float(np.abs(w).max(initial=0.0)) * scale_x / _MOST_WEIGHT


def quantize_weights(w: Array, b: Array | None, scale_x: float, scale_y: float) -> Weights:
    """Integers of w[K,...] and b[K], given the scales of x and y."""
    pairs = [
        _channel(row, 0.0 if b is None else float(b[k]), scale_x, scale_y)
        for k, row in enumerate(w.astype(float))
    ]
    return Weights(np.stack([row for row, _ in pairs]), np.array([p for _, p in pairs], np.int32))


def _channel(w: Array, b: float, scale_x: float, scale_y: float) -> tuple[Array, tuple[int, int]]:
    """Weights, bias and shift of one channel: the shift that loses least of the weights."""
    unit = scale_y / scale_x  # scale of the weights at a shift of zero
    largest = float(np.abs(w).max(initial=0.0))
    finest = int(np.floor(np.log2(_MOST_WEIGHT * unit / largest))) if largest else 0
    tried = []
    for shift in (finest, finest + 1):  # the second one clips the largest weights
        shift = min(max(shift, 0), _MOST_SHIFT)
        while shift and not _fits(w, b, unit, scale_y, shift):
            shift -= 1
        q = np.clip(np.rint(w * 2.0**shift / unit), -_MOST_WEIGHT, _MOST_WEIGHT)
        lost = float(((q * unit / 2.0**shift - w) ** 2).sum())
        tried.append((lost, shift, q.astype(np.int8)))
    _, shift, q = min(tried, key=lambda item: item[:2])
    return q, (_bias(b, scale_y, shift), shift)


def _bias(b: float, scale_y: float, shift: int) -> int:
    """The bias in units of the sums, with half of what the shift drops.

    One that is larger than all sums has the same results as the largest that leaves room for them.
    """
    exact = round(b * 2.0**shift / scale_y) + (1 << shift >> 1)
    return max(-_MOST_BIAS, min(exact, _MOST_BIAS))


def _fits(w: Array, b: float, unit: float, scale_y: float, shift: int) -> bool:
    """No sum overflows, whatever the activations are, and no bias is cut."""
    most = np.minimum(np.abs(w) * 2.0**shift / unit + 1, _MOST_WEIGHT).sum() * HIGHEST["u8"]
    bias = abs(_bias(b, scale_y, shift))
    return bool(bias < _MOST_BIAS and most + bias < _MOST_SUM)
