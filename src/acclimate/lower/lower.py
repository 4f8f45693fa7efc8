# SPDX-License-Identifier: Apache-2.0
"""Joint graph -> program: every ATen node becomes calls of operators on buffers."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch.fx import Node

from acclimate.capture import Joint, Slot
from acclimate.errors import UnsupportedModel
from acclimate.kernels.loop.expr import Arg, Const, Expr, apply
from acclimate.kernels.loop.op import MAP, Map
from acclimate.kernels.op import Array
from acclimate.lower import rules  # noqa: F401  (registers the rules)
from acclimate.lower.context import Lowering, Value, dtype_of
from acclimate.lower.optimizers import Optimizer
from acclimate.lower.registry import RULES
from acclimate.lower.regularizers import Regularizer
from acclimate.lower.rules.random import SEED
from acclimate.lower.updates import SHARE, Updates
from acclimate.program import Buffer, Entry, Phase, Program, Role, Source, View, prune, verify

ENTRIES = ("predict", "train", "accumulate", "apply")
COUNT = "samples"


# Names of arguments and locals of the entry points.
_TAKEN = re.compile(rf"(x|y|scores)\d*|lr|{SHARE}|loss|arena|core|cores")


def c_name(name: str) -> str:
    """A parameter path as a C identifier: `blocks.0.weight` -> `blocks_0_weight`."""
    text = re.sub(r"\W+", "_", name).strip("_")
    text = f"{text}_" if _TAKEN.fullmatch(text) else text
    return f"v_{text}" if text[:1].isdigit() else text


class _Assembler:
    """Builds the entry points of one program over shared buffers."""

    def __init__(
        self,
        predict: Joint,
        joint: Joint | None,
        optimizer: Optimizer,
        seed: int,
        channels: Mapping[str, Sequence[int]],
        regularizer: Regularizer | None,
    ) -> None:
        self.predict_graph, self.joint, self.optimizer = predict, joint, optimizer
        self.channels, self.regularizer = channels, regularizer
        self.buffers: dict[str, Buffer] = {}
        self.values: dict[str, Array] = {}
        self.entries: dict[str, Entry] = {}
        self.seed = seed
        self._declare()

    def _declare(self) -> None:
        self.data: dict[str, list[str]] = {"input": [], "target": []}
        graph = self.joint or self.predict_graph
        self._declare_inputs(graph)
        if graph is not self.predict_graph:  # which may need more, e.g. statistics of norms
            self._declare_inputs(self.predict_graph)
        self.buffers["lr"] = Buffer("lr", (), "f32", Role.SCALAR)

    def _declare_inputs(self, graph: Joint) -> None:
        trained = set(graph.trained)
        paths = {buffer.path for buffer in self.buffers.values() if buffer.path}
        for node in graph.graph_module.graph.nodes:
            if node.op != "placeholder":
                continue
            slot = graph.slots[node.name]
            if slot.kind in ("input", "target"):
                if slot.name not in self.data[slot.kind]:
                    self._declare_data(slot, node)
                continue
            if slot.name in paths:
                continue
            tensor = graph.tensors[slot.name]
            role = Role.PARAMETER if slot.name in trained else Role.FROZEN
            role = Role.STATISTIC if slot.name in graph.mutated else role
            name = c_name(slot.name)
            dtype = dtype_of(tensor.dtype, Source(slot.name))
            source = Source(slot.name.rpartition(".")[0])
            if name in self.buffers:
                raise UnsupportedModel(
                    f"two parameters have the C name {name}",
                    found=f"{self.buffers[name].path}, {slot.name}",
                    hint="rename one of the modules",
                )
            learn = tuple(self.channels.get(slot.name, ())) if role is Role.PARAMETER else ()
            self.buffers[name] = Buffer(
                name, tuple(tensor.shape), dtype, role, source, slot.name, channels=learn
            )
            self.values[name] = np.ascontiguousarray(tensor.detach().numpy())

    def _declare_data(self, slot: Slot, node: Node) -> None:
        example = node.meta["val"]
        role = Role.INPUT if slot.kind == "input" else Role.TARGET
        dtype = dtype_of(example.dtype, Source(slot.name))
        self.buffers[slot.name] = Buffer(slot.name, tuple(example.shape), dtype, role)
        self.data[slot.kind].append(slot.name)

    def context(self, entry: str) -> Lowering:
        return Lowering(self.buffers, entry)

    def finish(self, name: str, ctx: Lowering) -> None:
        if SEED in self.buffers:
            self.values.setdefault(SEED, np.asarray([self.seed], np.int32))
        inputs, targets = self.data["input"], self.data["target"]
        data = {"predict": inputs, "apply": [], "consolidate": []}.get(name, inputs + targets)
        self.entries[name] = Entry(name, tuple(ctx.calls), tuple(data))

    def output(self, ctx: Lowering, name: str, value: Value) -> None:
        shape, dtype = value.shape, ctx.dtype(value)
        self.buffers.setdefault(name, Buffer(name, tuple(shape), dtype, Role.OUTPUT))
        ctx.copy(value, into=View.whole(self.buffers[name]))

    def predict(self) -> None:
        ctx = self.context("predict")
        outputs = run_graph(self.predict_graph, ctx)
        ctx.source = Source()
        for index, value in enumerate(outputs):
            self.output(ctx, "scores" if len(outputs) == 1 else f"scores{index}", value)
        self.finish("predict", ctx)

    def gradients(self, ctx: Lowering) -> dict[str, View]:
        """Forward and backward; returns the gradient of every trained parameter."""
        assert self.joint is not None
        joint = self.joint
        results = run_graph(joint, ctx)
        mutated, rest = results[: len(joint.mutated)], results[len(joint.mutated) :]
        ctx.source = Source("loss")
        self.output(ctx, "loss", ctx.reshape(rest[0], ()))
        ctx.phase, ctx.source = Phase.UPDATE, Source()
        for name, value in zip(joint.mutated, mutated, strict=True):
            buffer = self.buffers[c_name(name)]
            if buffer.dtype == "f32":
                ctx.copy(value, into=View.whole(buffer))
        grads = {}
        for name, value in zip(joint.trained, rest[1 + joint.outputs :], strict=True):
            buffer = self.buffers[c_name(name)]
            ctx.source = buffer.source
            grads[buffer.name] = ctx.view(ctx.reshape(value, buffer.shape))
        return grads

    def advance_seed(self, ctx: Lowering) -> None:
        """Every step draws other random numbers."""
        if SEED in self.buffers and any(
            SEED in {v.buffer for v in call.reads} for call in ctx.calls
        ):
            view = View.whole(self.buffers[SEED])
            ctx.source = Source()
            ctx.call(MAP, [view], [view], Map((Arg(0, "s32") + Const(1, "s32"),), (1,), "seed"))

    def train(self) -> None:
        ctx = self.context("train")
        grads = self.gradients(ctx)
        updates = self._updates(ctx)
        counters = updates.counters()
        for name, grad in grads.items():
            ctx.source = self.buffers[name].source
            updates.update(name, grad, counters)
        self.advance_seed(ctx)
        self.finish("train", ctx)

    def _sum(self, name: str, shape: Sequence[int]) -> View:
        if name not in self.buffers:
            self.buffers[name] = Buffer(name, tuple(shape), "f32", Role.GRADIENT)
            self.values[name] = np.zeros(shape, np.float32)
        return View.whole(self.buffers[name])

    def accumulate(self) -> None:
        ctx = self.context("accumulate")
        for name, grad in self.gradients(ctx).items():
            ctx.source = self.buffers[name].source
            total = self._sum(f"{name}_grad", self.buffers[name].shape)
            ctx.call(
                MAP, [total], [total, grad], Map((Arg(0) + Arg(1),), total.shape, "accumulate")
            )
        count = self._sum(COUNT, ())
        ctx.call(MAP, [count], [count], Map((Arg(0) + 1.0,), (), "count"))
        self.advance_seed(ctx)
        self.finish("accumulate", ctx)

    def apply(self) -> None:
        """Updates with the mean of the accumulated gradients, then clears them."""
        assert self.joint is not None
        ctx = self.context("apply")
        ctx.phase = Phase.UPDATE
        updates = self._updates(ctx)
        counters = updates.counters()
        count = self._sum(COUNT, ())

        def mean(g: Expr, n: Expr) -> Expr:
            return g / apply("max", n, 1.0)  # without samples the sums are zero, and so is the step

        for name in map(c_name, self.joint.trained):
            ctx.source = self.buffers[name].source
            total = self._sum(f"{name}_grad", self.buffers[name].shape)
            updates.update(name, total, counters, mean, [count])
            ctx.call(MAP, [total], [], Map((Const(0.0),), total.shape, "clear"))
        ctx.call(MAP, [count], [], Map((Const(0.0),), (), "clear"))
        self.finish("apply", ctx)

    def importance(self) -> None:
        """Of every parameter for a finished task, from the gradients of one of its batches."""
        ctx = self.context("importance")
        updates = self._updates(ctx)
        for name, grad in self.gradients(ctx).items():
            ctx.source = self.buffers[name].source
            updates.importance(name, grad)
        self.advance_seed(ctx)
        self.finish("importance", ctx)

    def consolidate(self) -> None:
        """What later tasks are held near is what was learned now."""
        assert self.joint is not None
        ctx = self.context("consolidate")
        ctx.phase = Phase.UPDATE
        updates = self._updates(ctx)
        for name in map(c_name, self.joint.trained):
            ctx.source = self.buffers[name].source
            updates.consolidate(name)
        self.finish("consolidate", ctx)

    def _updates(self, ctx: Lowering) -> Updates:
        return Updates(ctx, self.values, self.optimizer, self.regularizer)


def lower(
    name: str,
    predict: Joint,
    joint: Joint | None,
    optimizer: Optimizer,
    entries: Sequence[str] = ("predict", "train"),
    seed: int = 0,
    channels: Mapping[str, Sequence[int]] | None = None,
    regularizer: Regularizer | None = None,
) -> Program:
    """Writes the program of a captured model.

    Args:
        name: prefix of the C symbols.
        predict: graph of the outputs in eval mode.
        joint: graph of loss and gradients; None for a program that only predicts.
        optimizer: how parameters change.
        entries: entry points to write, of predict, train, accumulate, apply.
        seed: of the random numbers of dropout.
        channels: input channels that learn, by parameter; all of those that are not listed.
        regularizer: what holds parameters back; it adds entry points.

    Raises:
        UnsupportedModel: an ATen operator has no rule.
    """
    assembler = _Assembler(predict, joint, optimizer, seed, channels or {}, regularizer)
    for entry in (*entries, *(regularizer.entries if regularizer else ())):
        getattr(assembler, entry)()
    program = Program(name, assembler.buffers, assembler.entries, assembler.values)
    return verify(prune(program))


def run_graph(joint: Joint, ctx: Lowering) -> list[Any]:
    """Lowers every node of a graph; returns the values that the graph returns."""
    env: dict[Node, Any] = {}

    def value(argument: Any) -> Any:
        if isinstance(argument, Node):
            return env[argument]
        if isinstance(argument, (list, tuple)):
            return [value(item) for item in argument]
        return argument

    for node in joint.graph_module.graph.nodes:
        ctx.node, ctx.source = node, joint.sources.get(node.name, Source())
        ctx.phase = Phase.BACKWARD if node.name in joint.backward else Phase.FORWARD
        if node.op == "placeholder":
            env[node] = _placeholder(ctx, joint, node)
        elif node.op == "output":
            return list(value(node.args[0]))
        elif node.target is operator.getitem:
            env[node] = env[node.args[0]][node.args[1]]
        else:
            handler = _rule(ctx, node)
            kwargs = {key: value(item) for key, item in node.kwargs.items()}
            env[node] = handler(ctx, *value(node.args), **kwargs)
    raise AssertionError("a graph ends with its output node")


def _placeholder(ctx: Lowering, joint: Joint, node: Node) -> View | None:
    slot = joint.slots[node.name]
    if slot.kind not in ("input", "target"):
        return View.whole(ctx.buffers[c_name(slot.name)])
    return View.whole(ctx.buffers[slot.name])


def _rule(ctx: Lowering, node: Node) -> Callable[..., Any]:
    name = str(node.target).removeprefix("aten.")
    if name in RULES:
        return RULES[name].rule
    raise UnsupportedModel(
        f"the operator {node.target} has no kernel",
        found=str(getattr(node.meta.get("val"), "shape", "")) or None,
        where=str(ctx.source) or None,
        hint=f"the nearest supported ones: {_nearest(name)}; docs/operators.md lists all",
    )


def _nearest(name: str) -> str:
    import difflib

    stem, *_ = name.removeprefix("prims.").split(".")
    known = {n.removeprefix("prims.").partition(".")[0] for n in RULES}
    close = difflib.get_close_matches(stem, known, n=3, cutoff=0.4)
    return ", ".join(close) or "add, mul, relu"


def decompositions() -> Mapping[Any, Callable[..., Any]]:
    """PyTorch's own decompositions of operators that have no rule here."""
    from torch._decomp import decomposition_table
    from torch._ops import OpOverload

    return {
        op: function
        for op, function in decomposition_table.items()
        if isinstance(op, OpOverload)
        and str(op).startswith("aten.")
        and str(op).removeprefix("aten.") not in RULES
        and not op._schema.is_mutable
    }


__all__ = ["ENTRIES", "c_name", "decompositions", "lower", "run_graph"]
