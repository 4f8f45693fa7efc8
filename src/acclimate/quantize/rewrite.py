# SPDX-License-Identifier: Apache-2.0
"""Calls in floats become calls on integers, with bridges where the two meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from acclimate.kernels.add_int8.op import AddInt8, find_add
from acclimate.kernels.conv2d_int8.op import ConvInt8, find_conv
from acclimate.kernels.op import Array
from acclimate.kernels.quantize.op import Placed, Scaled, find_bridge
from acclimate.program import Buffer, Call, Entry, Program, Role, View
from acclimate.quantize.layout import Geometry, Layout, layout_of
from acclimate.quantize.prefix import Layer, Prefix
from acclimate.quantize.residual import factors
from acclimate.quantize.scheme import HIGHEST, Weights, least_scale, quantize_weights


class Rewriter:
    """Makes the calls of one entry point.

    Args:
        program: in floats; what was made for other entry points may be in it already.
        entry: of it.
        prefix: its layers of integers.
        ranges: largest magnitude of every activation.
    """

    def __init__(
        self, program: Program, entry: Entry, prefix: Prefix, ranges: Mapping[str, float]
    ) -> None:
        self.entry, self.prefix, self.ranges = entry, prefix, ranges
        self.buffers: dict[str, Buffer] = dict(program.buffers)
        self.values: dict[str, Array] = dict(program.values)
        self.layers = {layer.number: layer for layer in prefix.layers}
        self.absorbed = {layer.relu for layer in prefix.layers}
        self.dtypes = {layer.y: layer.dtype for layer in prefix.layers if layer.kind != "mean"}
        self.scales: dict[str, float] = {}
        self.layouts: dict[str, Layout] = {}
        self.calls: list[Call] = []

    def write(self) -> list[Call]:
        """The calls of the entry point."""
        floats: set[str] = set()  # activations that are integers, and floats by now as well
        for number, call in enumerate(self.entry.calls):
            layer = self.layers.get(number)
            if number in self.absorbed:
                continue
            if layer is None:
                for name in sorted({view.buffer for view in call.reads} & set(self.dtypes)):
                    if name not in floats:
                        self._dequantize(name)
                        floats.add(name)
                self.calls.append(call)
            elif layer.kind == "mean":
                self._mean(layer)
            elif layer.kind == "add":
                self._add(layer)
            else:
                self._convolution(layer)
        return self.calls

    def _readers(self, name: str) -> list[Layer]:
        return [layer for layer in self.prefix.layers if name in layer.inputs]

    def _integers(self, name: str) -> View:
        """The buffer of an activation as integers, made where there is none."""
        twin = f"{name}_int8" if "." in name else f"{self.entry.name}.{name}_int8"
        if twin not in self.buffers:
            old = self.buffers[name]
            layout = self.layouts[name] = layout_of(old.shape, self._readers(name))
            dtype, role = self.dtypes[name], Role.ACTIVATION
            self.buffers[twin] = Buffer(twin, layout.shape, dtype, role, old.source)
        return View.whole(self.buffers[twin])

    def _input(self, name: str) -> View:
        """The integers that a layer reads; those of an input of the model are made first."""
        if name not in self.dtypes:
            self.dtypes[name] = "s8"
            self.scales[name] = (self.ranges[name] or 1.0) / HIGHEST["s8"]
            y, layout = self._integers(name), self.layouts[name]
            attrs = Placed(_rounded(1.0 / self.scales[name]), layout.top, layout.left)
            x = View.whole(self.buffers[name])
            four = x if len(x.shape) == 4 else x.reshape((*x.shape, 1, 1))
            op = find_bridge("quantize", "s8")
            self.calls.append(Call(op, (y,), (four,), attrs, source=self.buffers[name].source))
        return self._integers(name)

    def _convolution(self, layer: Layer) -> None:
        g, call = Geometry.of(layer.call), layer.call
        x = self._input(layer.x)
        near = self.layouts[layer.x]
        scale_x = self.scales[layer.x]
        w, b = (self._value(view) for view in call.inputs[1:3])
        assert w is not None
        most = min(self.ranges[layer.y], call.attrs.hi) or 1.0
        scale_y = max(most / HIGHEST[layer.dtype], least_scale(w, scale_x))
        self.scales[layer.y] = scale_y
        y = self._integers(layer.y)
        far = self.layouts[layer.y]
        weights = quantize_weights(w, b, scale_x, scale_y)
        operands = self._constants(call, _rows_of(weights, g, layer.planes))
        attrs = ConvInt8(
            g.S, g.P, g.Q, *g.stride, *g.dilation,
            near.top - g.pad[0], near.left - g.pad[1], far.top, far.left,
        )  # fmt: skip
        op = find_conv(self.dtypes[layer.x], layer.dtype, far.planes, layer.planes)
        self.calls.append(Call(op, (y,), (x, *operands), attrs, call.phase, call.source))

    def _value(self, view: View | None) -> Array | None:
        return None if view is None else self.values[view.buffer].reshape(view.shape)

    def _constants(self, call: Call, weights: Weights) -> tuple[View, View]:
        """Frozen buffers; entry points share those that are equal."""
        view = call.inputs[1]
        assert view is not None
        old = self.buffers[view.buffer]
        made = []
        for suffix, dtype, value in (("int8", "s8", weights.w), ("scale", "s32", weights.scale)):
            name, count = f"{old.name}_{suffix}", 1
            while name in self.values and not np.array_equal(self.values[name], value):
                count += 1
                name = f"{old.name}_{suffix}{count}"
            path = f"{old.path}.{suffix}" if count == 1 else f"{old.path}.{suffix}{count}"
            self.values[name] = value
            self.buffers[name] = Buffer(
                name, value.shape, dtype, Role.FROZEN, old.source, path=path
            )
            made.append(View.whole(self.buffers[name]))
        return made[0], made[1]

    def _add(self, layer: Layer) -> None:
        """The sum of two activations."""
        x, z = (self._integers(name) for name in layer.inputs)
        scale_y = (self.ranges[layer.y] or 1.0) / HIGHEST[layer.dtype]
        self.scales[layer.y] = scale_y
        y = self._integers(layer.y)
        places = [self.layouts[name] for name in (*layer.inputs, layer.y)]
        corners = [corner for place in places for corner in (place.top, place.left)]
        P, Q = layer.call.writes[0].shape[2:]
        made = factors(self.scales[layer.x], self.scales[layer.z], scale_y)
        dtypes = self.dtypes
        op = find_add(dtypes[layer.x], dtypes[layer.z], layer.dtype, places[2].planes)
        attrs = AddInt8(P, Q, *made, *corners)
        self.calls.append(Call(op, (y,), (x, z), attrs, layer.call.phase, layer.call.source))

    def _mean(self, layer: Layer) -> None:
        """The mean over all pixels, in floats."""
        (y,) = layer.call.outputs
        x, layout = self._integers(layer.x), self.layouts[layer.x]
        shape = (layout.N, layout.C)
        assert y is not None
        out = y.reshape(shape)
        assert out is not None
        op = find_bridge("mean", self.dtypes[layer.x], layout.planes)
        attrs = Scaled(_rounded(self.scales[layer.x] * layer.factor))
        self.calls.append(Call(op, (out,), (x,), attrs, layer.call.phase, layer.call.source))

    def _dequantize(self, name: str) -> None:
        """An activation in floats."""
        x, layout, y = self._integers(name), self.layouts[name], View.whole(self.buffers[name])
        four = y if len(y.shape) == 4 else y.reshape((*y.shape, 1, 1))
        op = find_bridge("dequantize", self.dtypes[name], layout.planes)
        attrs = Placed(_rounded(self.scales[name]), layout.top, layout.left)
        self.calls.append(Call(op, (four,), (x,), attrs, source=self.buffers[name].source))


def _rounded(factor: float) -> float:
    """The float32 that the C has."""
    return float(np.float32(factor))


def _rows_of(weights: Weights, g: Geometry, depthwise: bool) -> Weights:
    """w[K,C,R,S] as kernels read it, w[K,R,T]: a column's channels side by side, in whole words."""
    w = weights.w.reshape(len(weights.w), -1, g.R, g.S)
    rows = w.transpose(0, 2, 3, 1).reshape(len(w), g.R, -1)
    padded = np.zeros((len(w), g.R, g.row_bytes(depthwise)), np.int8)
    padded[:, :, : rows.shape[2]] = rows
    return replace(weights, w=padded)


def rewrite(
    program: Program, entry: Entry, prefix: Prefix, ranges: Mapping[str, float]
) -> tuple[Program, Sequence[str]]:
    """The program with the layers of a prefix as integers, and what was done."""
    writer = Rewriter(program, entry, prefix, ranges)
    calls = writer.write()
    made = replace(program, buffers=writer.buffers, values=writer.values)
    made = made.with_entry(replace(entry, calls=tuple(calls)))
    lines = [
        f"{entry.name}: {layer.call.source.module or layer.y} in {layer.dtype},"
        f" scale {writer.scales[layer.y]:.3g}"
        for layer in prefix.layers
        if layer.kind != "mean"
    ]
    return made, [*lines, *(f"{entry.name}: {line}" for line in prefix.ends)]
