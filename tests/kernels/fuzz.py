# SPDX-License-Identifier: Apache-2.0
"""Random sizes: strides over the kernel, kernels over the input, groups, ragged ends."""

from __future__ import annotations

from typing import Any

import harness
from hypothesis import assume
from hypothesis import strategies as st


def _up_to(high: int, low: int = 1) -> st.SearchStrategy[int]:
    return st.integers(low, high)


def _examples(ops: Any, values: dict[str, Any], seed: int, optional: bool) -> list[harness.Example]:
    """The operators that share the sizes, each with the attributes that it has."""
    return [harness.example(op, values, seed, optional) for op in ops]


@st.composite
def linear(draw: st.DrawFn) -> list[harness.Example]:
    values = {name: draw(_up_to(high)) for name, high in (("N", 20), ("C", 150), ("K", 150))}
    return _examples(harness.linear.OPS, values, draw(_up_to(99)), draw(st.booleans()))


@st.composite
def matmul(draw: st.DrawFn) -> list[harness.Example]:
    values = {
        name: draw(_up_to(high)) for name, high in (("B", 3), ("M", 70), ("K", 70), ("N", 70))
    }
    return _examples(harness.matmul.OPS, values, draw(_up_to(99)), True)


def _extent(
    draw: st.DrawFn, size: int, taps: int, most_stride: int, most_dilation: int
) -> tuple[int, ...]:
    """Stride, leading pad, dilation, and a number of outputs within the padded range."""
    stride, dilation = draw(_up_to(most_stride)), draw(_up_to(most_dilation))
    before, after = draw(_up_to(taps + 1, 0)), draw(_up_to(taps + 1, 0))
    room = size + before + after - dilation * (taps - 1) - 1
    assume(room >= 0)
    most = room // stride + 1
    return stride, before, dilation, draw(st.sampled_from([most, max(1, most - 1)]))


@st.composite
def conv2d(draw: st.DrawFn) -> list[harness.Example]:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, "depthwise", "depthwise", "multiplier"]))
    if isinstance(groups, str):
        channels = draw(_up_to(20))
        values = {
            "C": channels,
            "groups": channels,
            "K": channels * (1 if groups == "depthwise" else 2),
        }
    else:
        values = {"groups": groups, "C": groups * draw(_up_to(20)), "K": groups * draw(_up_to(20))}
    same = draw(st.booleans())  # the usual layer: odd window, as large as its input
    values |= {"N": draw(_up_to(3)), "H": draw(_up_to(20)), "W": draw(_up_to(20))}
    for size, taps, stride, pad, dilation, count in (
        ("H", "R", "stride_h", "pad_top", "dilation_h", "P"),
        ("W", "S", "stride_w", "pad_left", "dilation_w", "Q"),
    ):
        if same:
            values[taps] = draw(st.sampled_from([1, 3, 3, 5]))
            values[stride] = draw(st.sampled_from([1, 1, 2]))
            values[pad], values[dilation] = values[taps] // 2, 1
            values[count] = (values[size] - 1) // values[stride] + 1
        else:
            values[taps] = draw(_up_to(6))
            extent = _extent(draw, values[size], values[taps], 4, 3)
            values |= dict(zip((stride, pad, dilation, count), extent, strict=True))
    return _examples(harness.conv2d.OPS, values, draw(_up_to(99)), draw(st.booleans()))


def _windows(draw: st.DrawFn, room: int, stride: int, end: int) -> int:
    """Number of pooling windows, with ceil_mode perhaps one that hangs over the end."""
    count = room // stride + 1
    return count + 1 if room % stride and count * stride < end and draw(st.booleans()) else count


def _sees_input(size: int, taps: int, count: int, stride: int, pad: int, dilation: int) -> bool:
    """False if a window has all its cells in the padding, which a dilated one can."""
    cells = [[i * stride - pad + tap * dilation for tap in range(taps)] for i in range(count)]
    return all(any(0 <= cell < size for cell in window) for window in cells)


@st.composite
def max_pool2d(draw: st.DrawFn) -> list[harness.Example]:
    values = {"N": draw(_up_to(2)), "C": draw(_up_to(5))}
    for axis in ("HRP", "WSQ"):
        size, taps, count = axis
        values[size], values[taps] = draw(_up_to(20)), draw(_up_to(5))
        names = ("h", "top") if size == "H" else ("w", "left")
        stride, pad = draw(_up_to(6)), draw(_up_to(values[taps] // 2, 0))
        dilation = draw(_up_to(3))
        room = values[size] + 2 * pad - dilation * (values[taps] - 1) - 1
        assume(room >= 0)
        values[count] = _windows(draw, room, stride, values[size] + pad)
        assume(_sees_input(values[size], values[taps], values[count], stride, pad, dilation))
        values |= {
            f"stride_{names[0]}": stride,
            f"pad_{names[1]}": pad,
            f"dilation_{names[0]}": dilation,
        }
    return _examples(harness.max_pool2d.OPS, values, draw(_up_to(99)), True)


@st.composite
def avg_pool2d(draw: st.DrawFn) -> list[harness.Example]:
    values: dict[str, Any] = {"N": draw(_up_to(2)), "C": draw(_up_to(5))}
    for size, taps, count, side, edges in (
        ("H", "R", "P", "h", ("top", "bottom")),
        ("W", "S", "Q", "w", ("left", "right")),
    ):
        values[size], values[taps] = draw(_up_to(20)), draw(_up_to(5))
        stride, pad = draw(_up_to(6)), draw(_up_to(values[taps] // 2, 0))
        room = values[size] + 2 * pad - values[taps]
        assume(room >= 0)
        values[count] = _windows(draw, room, stride, values[size] + pad)
        values |= {f"stride_{side}": stride, **{f"pad_{edge}": pad for edge in edges}}
    values |= {"count_include_pad": draw(_up_to(1, 0)), "divisor": draw(st.sampled_from([0, 0, 7]))}
    return _examples(harness.avg_pool2d.OPS, values, draw(_up_to(99)), True)


@st.composite
def log_mel(draw: st.DrawFn) -> list[harness.Example]:
    """Any window, hop, transform and number of bands; frames may overlap or leave gaps."""
    fft_size = 2 ** draw(_up_to(11, 5))
    window = draw(st.one_of(_up_to(fft_size), st.sampled_from([fft_size, 5 * fft_size // 8])))
    bands = draw(_up_to(50))
    case = harness.log_mel.case(
        W=window,
        hop=draw(_up_to(2 * window)),
        fft_size=fft_size,
        M=bands,
        used=draw(_up_to(fft_size // 2, 2)),
        F=draw(_up_to(9)),
        N=draw(_up_to(2)),
        log_floor=draw(st.sampled_from([1e-6, 1e-12, 1.0])),
    )
    return _examples(harness.log_mel.OPS, case, draw(_up_to(99)), True)
