# SPDX-License-Identifier: Apache-2.0
"""What a lowering rule works with: values of graph nodes, and the calls written so far."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.fx import Node

from acclimate.errors import UnsupportedModel
from acclimate.kernels.loop.expr import Arg, Const, Expr
from acclimate.kernels.loop.op import IDENTITY, MAP, REDUCE, Map, Reduce
from acclimate.kernels.op import NoAttrs, Op, Shape
from acclimate.program import Buffer, Call, Phase, Role, Source, View

_DTYPES: Mapping[torch.dtype, str] = {
    torch.float32: "f32",
    torch.int64: "s32",
    torch.int32: "s32",
    torch.bool: "u8",
    torch.uint8: "u8",
}


@dataclass(frozen=True)
class Fill:
    """A tensor whose elements all have one value known now; it needs no memory."""

    value: float | int
    shape: Shape
    dtype: str = "f32"


Value = View | Fill


def dtype_of(dtype: torch.dtype, where: Source) -> str:
    """Element type in the C code.

    Raises:
        UnsupportedModel: float64, float16 and complex tensors have no kernels.
    """
    if dtype not in _DTYPES:
        raise UnsupportedModel(
            f"tensors of {dtype} are not supported",
            where=str(where),
            hint="use float32: model.float(), and .float() on tensors made in forward",
        )
    return _DTYPES[dtype]


class Lowering:
    """Turns one graph into calls; rules call its methods."""

    def __init__(self, buffers: dict[str, Buffer], entry: str = "") -> None:
        self.buffers = buffers
        self.entry = entry
        self.calls: list[Call] = []
        self.phase = Phase.FORWARD
        self.source = Source()
        self.node: Node | None = None
        self.random_numbers = 0
        self.activated: dict[tuple[Any, ...], View] = {}

    # ---- buffers

    def buffer(self, label: str, shape: Sequence[int], dtype: str, role: Role) -> Buffer:
        """A new buffer with a readable, unique name: `train.d_conv1_relu_bwd`."""
        prefix = "d_" if self.phase is Phase.BACKWARD else ""
        words = "_".join(word for word in (self.source.module, label) if word)
        stem = re.sub(r"\W+", "_", f"{prefix}{words}").strip("_")
        stem = f"{self.entry}.{f'v_{stem}' if stem[:1].isdigit() else stem}"
        name, count = stem, 2
        while name in self.buffers:
            name, count = f"{stem}_{count}", count + 1
        buffer = Buffer(name, tuple(shape), dtype, role, self.source)
        self.buffers[name] = buffer
        return buffer

    def new(self, label: str, shape: Sequence[int], dtype: str = "f32") -> View:
        """The view of a new activation."""
        return View.whole(self.buffer(label, shape, dtype, Role.ACTIVATION))

    def dtype(self, value: Value) -> str:
        """Element type of a value."""
        return value.dtype if isinstance(value, Fill) else self.buffers[value.buffer].dtype

    # ---- calls

    def call(
        self,
        op: Op,
        outputs: Sequence[View | None],
        inputs: Sequence[View | None],
        attrs: Any = None,
    ) -> None:
        """Appends a call of an operator."""
        self.calls.append(
            Call(op, tuple(outputs), tuple(inputs), attrs or NoAttrs(), self.phase, self.source)
        )

    def map(
        self,
        label: str,
        function: Callable[..., Expr],
        inputs: Sequence[Value],
        shape: Sequence[int] | None = None,
        *,
        dtype: str | None = None,
        into: View | None = None,
    ) -> View:
        """y = function(inputs), element by element with broadcasting.

        Args:
            label: name of the work.
            function: of one Expr per input.
            inputs: views and fills; fills become constants.
            shape: of the result; by default that of the broadcast inputs.
            dtype: of the result; by default that of the expression.
            into: where the result goes; by default a new buffer.
        """
        full = tuple(shape) if shape is not None else broadcast(*(v.shape for v in inputs))
        views: list[View] = []
        args: list[Expr] = []
        for value in inputs:
            if isinstance(value, Fill):
                args.append(Const(value.value, value.dtype))
            else:
                args.append(Arg(len(views), self.dtype(value)))
                views.append(value.expand(full))
        expr = function(*args)
        out = into or self.new(label, full, dtype or expr.dtype)
        self.call(MAP, [out], views, Map((expr,), full, label))
        return out

    def reduce(
        self,
        label: str,
        kind: str,
        function: Callable[..., Expr],
        inputs: Sequence[Value],
        axes: Sequence[int],
        *,
        keepdim: bool = False,
        post: Callable[[Expr], Expr] | None = None,
    ) -> View:
        """Folds function(inputs) along axes; `post` is applied to the folded values."""
        full = broadcast(*(v.shape for v in inputs))
        axes = tuple(sorted(axis % len(full) for axis in axes)) if full else ()
        views: list[View] = []
        args: list[Expr] = []
        for value in inputs:
            if isinstance(value, Fill):
                args.append(Const(value.value, value.dtype))
            else:
                args.append(Arg(len(views), self.dtype(value)))
                views.append(value.expand(full))
        after = post(IDENTITY) if post else IDENTITY
        attrs = Reduce(function(*args), kind, axes, full, after, label)
        out = self.new(label, [full[a] for a in attrs.kept], "s32" if kind == "argmax" else "f32")
        self.call(REDUCE, [out], views, attrs)
        if not keepdim:
            return out
        kept = out.reshape(tuple(1 if a in axes else n for a, n in enumerate(full)))
        assert kept is not None
        return kept

    # ---- values

    def view(self, value: Value) -> View:
        """The value in memory."""
        if isinstance(value, View):
            return value
        fill = value
        return self.map(
            "fill", lambda: Const(fill.value, fill.dtype), [], fill.shape, dtype=fill.dtype
        )

    def contiguous(self, value: Value) -> View:
        """The value in memory in row-major order; a copy only where it is not."""
        view = self.view(value)
        return view if view.contiguous else self.copy(view)

    def copy(self, value: Value, into: View | None = None) -> View:
        """Copies a value into a new buffer, or into a window of one."""
        return self.map(
            "copy", lambda x: x, [value], value.shape, dtype=self.dtype(value), into=into
        )

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """The same elements in another shape."""
        if isinstance(value, Fill):
            return replace(value, shape=tuple(shape))
        seen = value.reshape(tuple(shape))
        if seen is None:
            seen = self.copy(value).reshape(tuple(shape))
        assert seen is not None
        return seen

    def expand(self, value: Value, shape: Sequence[int]) -> Value:
        """Broadcast to a shape; it costs nothing."""
        full = tuple(shape)
        return replace(value, shape=full) if isinstance(value, Fill) else value.expand(full)

    def unsupported(self, what: str, hint: str) -> UnsupportedModel:
        """An error that names the user's line."""
        return UnsupportedModel(what, where=str(self.source) or None, hint=hint)


def broadcast(*shapes: Sequence[int]) -> Shape:
    """The common shape of operands, as PyTorch and NumPy define it."""
    return tuple(torch.broadcast_shapes(*shapes)) if shapes else ()  # type: ignore[no-untyped-call]
