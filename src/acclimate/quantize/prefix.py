# SPDX-License-Identifier: Apache-2.0
"""Which calls of an entry point can compute with integers: the frozen ones in front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import inf

from acclimate.kernels.conv2d.op import CONV2D_FWD
from acclimate.kernels.linear.op import LINEAR_FWD
from acclimate.kernels.loop.expr import Apply, Arg, Const
from acclimate.kernels.loop.op import Reduce
from acclimate.program import Buffer, Call, Phase, Program, Role, View, describe
from acclimate.quantize.residual import relu, sum_and_relu


@dataclass(frozen=True)
class Layer:
    """A call that computes with integers.

    Args:
        number: of the call in its entry point.
        call: in floats.
        kind: `conv2d`, `depthwise`, `add`, or `mean`: the last one gives floats.
        x: buffer of its input.
        y: buffer of its output.
        dtype: of its output.
        factor: of a mean: what the sum of its pixels is multiplied by.
        z: buffer of the second input of a sum.
        relu: number of the call of the ReLU behind a sum.
    """

    number: int
    call: Call
    kind: str
    x: str
    y: str
    dtype: str = "f32"
    factor: float = 1.0
    z: str = ""
    relu: int | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Buffers that it reads."""
        return (self.x, self.z) if self.z else (self.x,)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the calls that it replaces."""
        return (self.number,) if self.relu is None else (self.number, self.relu)

    @property
    def planes(self) -> bool:
        """True if it reads planes rather than pixels."""
        return self.kind == "depthwise"


@dataclass(frozen=True)
class Prefix:
    """The layers that compute with integers, and why others that read them do not.

    Args:
        layers: in order.
        ends: one line for each call in floats that reads integers.
    """

    layers: tuple[Layer, ...]
    ends: tuple[str, ...] = field(default=())


def find_prefix(program: Program, calls: Sequence[Call]) -> Prefix:
    """Frozen calls whose inputs come from the caller or from other such calls."""
    buffers = program.buffers
    layers: list[Layer] = []
    ends: list[str] = []
    integers: set[str] = set()
    for number, call in enumerate(calls):
        data = [v for v in call.inputs if v is not None and not buffers[v.buffer].role.persistent]
        known = [v for v in data if v.buffer in integers or _is_input(buffers[v.buffer])]
        if call.phase is not Phase.FORWARD or not data or len(known) < len(data):
            continue
        layer = _sum(number, calls, buffers, integers) or _layer(number, call, buffers, layers)
        if isinstance(layer, Layer):
            layers.append(layer)
            integers |= {layer.y} if layer.kind != "mean" else set()
        elif any(v.buffer in integers for v in data):
            where = f"{call.source.module} " if call.source.module else ""
            ends.append(f"floats from {where}{describe(call)} on: {layer}")
    return Prefix(tuple(layers), tuple(ends))


def _sum(
    number: int, calls: Sequence[Call], buffers: Mapping[str, Buffer], integers: Set[str]
) -> Layer | None:
    """The layer of a sum of two activations."""
    call = calls[number]
    names = [view.buffer for view in call.inputs if view is not None]
    found = sum_and_relu(number, calls, buffers) if set(names) <= integers else None
    if found is None:
        return None
    dtype, relu = found
    (y,) = (call if relu is None else calls[relu]).writes
    return Layer(number, call, "add", names[0], y.buffer, dtype, z=names[1], relu=relu)


def _is_input(buffer: Buffer) -> bool:
    return buffer.role is Role.INPUT and buffer.dtype == "f32"


def _layer(
    number: int, call: Call, buffers: Mapping[str, Buffer], before: Sequence[Layer]
) -> Layer | str:
    """The layer that a call is, or why it is none."""
    if any(buffers[v.buffer].role is Role.PARAMETER for v in call.reads):
        return "it learns"
    made = {layer.y: layer for layer in before}
    x = call.inputs[0] if call.inputs else None
    if isinstance(call.attrs, Reduce):
        clipped = x is not None and x.buffer in made and made[x.buffer].dtype == "u8"
        factor = _mean_factor(call.attrs, clipped)
        (y,) = call.outputs
        if factor and x and y and x.buffer in made and _is_whole(x, buffers) and y.contiguous:
            return Layer(number, call, "mean", x.buffer, y.buffer, factor=factor)
    if call.op not in (CONV2D_FWD, LINEAR_FWD):
        return "there is no such operator of integers"
    (y,) = call.outputs
    assert x is not None and y is not None
    lo, hi = call.attrs.lo, call.attrs.hi
    dtype = "u8" if lo == 0.0 else "s8"
    if dtype == "s8" and (lo, hi) != (-inf, inf):
        return "its bounds are none of a ReLU"
    kind = _kind(call, x, made, buffers)
    if kind not in ("conv2d", "depthwise"):
        return kind
    if not _is_whole(y, buffers):
        return "its result is a part of something"
    return Layer(number, call, kind, x.buffer, y.buffer, dtype)


def _kind(call: Call, x: View, made: Mapping[str, Layer], buffers: Mapping[str, Buffer]) -> str:
    """conv2d or depthwise, or why it is neither."""
    buffer = buffers[x.buffer]
    if call.op is LINEAR_FWD:
        pixels = buffer.shape[2:]
        if any(size != 1 for size in pixels) or not x.covers(buffer):
            return "its input has several pixels"
        return "conv2d"
    if not _is_whole(x, buffers):
        return "its input is a part of something"
    v = call.values()
    if v["groups"] == 1:
        return "conv2d"
    if v["groups"] != v["C"] or v["C"] != v["K"]:
        return "its groups have several channels"
    return "depthwise" if x.buffer in made else "it reads the input of the model plane by plane"


def _is_whole(view: View, buffers: Mapping[str, Buffer]) -> bool:
    buffer = buffers[view.buffer]
    return view.covers(buffer) and view.shape == buffer.shape


def _mean_factor(attrs: Reduce, clipped: bool) -> float:
    """What the sum over all pixels is multiplied by; 0 for what is no such sum. A ReLU of pixels
    that are clipped already is the pixels."""
    exprs = (Arg(0), relu(Arg(0))) if clipped else (Arg(0),)
    if attrs.kind != "sum" or attrs.expr not in exprs or len(attrs.shape) != 4:
        return 0.0
    if attrs.axes != (2, 3):
        return 0.0
    if attrs.post == Arg(0):
        return 1.0
    post = attrs.post
    if isinstance(post, Apply) and post.name == "mul" and post.args[0] == Arg(0):
        factor = post.args[1]
        return float(factor.value) if isinstance(factor, Const) else 0.0
    return 0.0


def settle_layouts(prefix: Prefix) -> Prefix:
    """The prefix without layers that would read in planes what another one reads as pixels."""
    pixels = {x for layer in prefix.layers if layer.kind in ("conv2d", "add") for x in layer.inputs}
    both = next((n for n in prefix.layers if n.planes and n.x in pixels), None)
    if both is None:
        return prefix
    gone, kept = {both.y}, []
    for layer in prefix.layers:
        if layer is both or gone & set(layer.inputs):
            gone.add(layer.y)
        else:
            kept.append(layer)
    end = f"floats from {both.call.source.module} {describe(both.call)} on: others read its input"
    return settle_layouts(Prefix(tuple(kept), (*prefix.ends, f"{end} as pixels")))
