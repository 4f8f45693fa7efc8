# SPDX-License-Identifier: Apache-2.0
"""Convolutions part by part: by output channels, by groups, by rows with their halo, by samples."""

from __future__ import annotations

from collections.abc import Mapping

from acclimate.kernels.cut import Cut, Range

Part = Mapping[str, Range | int]


def _output_channels(C: int, K: int, groups: int, start: int, stop: int) -> Part:
    """Kernels of whole groups come with the input channels of these groups."""
    if groups == 1:
        return {}
    each = K // groups
    first, last = start // each, stop // each
    return {"C": (first * C // groups, last * C // groups), "groups": last - first}


def _input_channels(C: int, K: int, groups: int, start: int, stop: int) -> Part:
    """The same from the other side."""
    if groups == 1:
        return {}
    each = C // groups
    first, last = start // each, stop // each
    return {"K": (first * K // groups, last * K // groups), "groups": last - first}


def _kernels_of_a_group(K: int, groups: int) -> int:
    return K // groups if groups > 1 else 1


def _channels_of_a_group(C: int, groups: int) -> int:
    return C // groups if groups > 1 else 1


def _one_group(groups: int) -> bool:
    return groups == 1


def _output_rows(
    H: int, R: int, stride_h: int, pad_top: int, dilation_h: int, start: int, stop: int
) -> Part:
    """Rows [start, stop) of the output see these rows of the input; the rest is padding."""
    low = start * stride_h - pad_top
    high = (stop - 1) * stride_h - pad_top + dilation_h * (R - 1) + 1
    first = max(low, 0)
    return {"H": (first, max(min(high, H), first + 1)), "pad_top": first - low}


def _input_rows(
    P: int, R: int, stride_h: int, pad_top: int, dilation_h: int, start: int, stop: int
) -> Part:
    """Rows [start, stop) of the input are seen by these rows of the output."""
    first = max(-(-(start + pad_top - dilation_h * (R - 1)) // stride_h), 0)
    last = min((stop - 1 + pad_top) // stride_h + 1, P)
    return {"P": (first, last), "pad_top": pad_top + start - first * stride_h}


def _begins_inside(H: int, P: int, stride_h: int, pad_top: int) -> bool:
    """No window lies below the input."""
    return (P - 1) * stride_h - pad_top < H


def _covered(H: int, P: int, R: int, stride_h: int, pad_top: int, dilation_h: int) -> bool:
    """No row of the input lies between the windows or below them."""
    height = dilation_h * (R - 1) + 1
    return stride_h <= height and (P - 1) * stride_h - pad_top + height >= H


def _plain(weight_decay: float) -> bool:
    return weight_decay == 0.0


def _plain_rows(H: int, P: int, stride_h: int, pad_top: int, weight_decay: float) -> bool:
    return _plain(weight_decay) and _begins_inside(H, P, stride_h, pad_top)


FORWARD = (
    Cut("K", _output_channels, grain=_kernels_of_a_group),
    Cut("P", _output_rows, _begins_inside),
    Cut("N"),
)
INPUT_GRADIENT = (
    Cut("C", _input_channels, grain=_channels_of_a_group),
    Cut("H", _input_rows, _covered),
    Cut("N"),
)
WEIGHT_GRADIENT = (
    Cut("K", _output_channels, grain=_kernels_of_a_group),
    Cut("C", when=_one_group, once=frozenset({"db"})),
    Cut("P", _output_rows, _begins_inside, adds=True),
    Cut("N", adds=True),
)
# Descending with the gradient of one part after the other ends at the same weights.
STEP = (
    Cut("K", _output_channels, grain=_kernels_of_a_group),
    Cut("C", when=_one_group, once=frozenset({"b"})),
    Cut("P", _output_rows, _plain_rows, adds=True),
    Cut("N", when=_plain, adds=True),
)
