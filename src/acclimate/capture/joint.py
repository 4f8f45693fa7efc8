# SPDX-License-Identifier: Apache-2.0
"""Forward graph -> one joint graph of forward, loss and backward, by PyTorch's autograd.

This is the one file that traces through autograd. The graph is made by `make_fx` around
`torch.autograd.grad`, which is what AOTAutograd does inside. `aot_export_module` itself is not
used: it fails when two parameters have the same gradient (both biases of an LSTM), and it loses the
user's source lines. Known to work with torch 2.13.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._functorch._aot_autograd.logging_utils import setup_stacktrace_preservation_hooks
from torch.func import functionalize
from torch.fx import Graph, GraphModule, Interpreter, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.traceback import preserve_node_meta

from acclimate.capture.export import Forward, Slot, plain_kernels
from acclimate.capture.source import source_of
from acclimate.errors import NothingToTrain
from acclimate.program import Source

Decompositions = Mapping[Any, Callable[..., Any]]


@dataclass(frozen=True)
class Joint:
    """Forward, loss and backward as one graph of ATen operators; nothing in it has side effects.

    Args:
        graph_module: returns the new values of `mutated`, the loss, the outputs, the gradients.
        slots: of the placeholders, in order.
        tensors: values of parameters, buffers and constants by name.
        trained: names of the parameters, in the order of their gradients.
        mutated: names of the buffers that a step changes.
        outputs: number of outputs of the model.
        sources: line of the user's model of every node; a backward node has its forward node's.
        backward: names of the nodes of the backward pass.
    """

    graph_module: GraphModule
    slots: dict[str, Slot]
    tensors: dict[str, Tensor]
    trained: tuple[str, ...]
    mutated: tuple[str, ...]
    outputs: int
    sources: dict[str, Source]
    backward: frozenset[str]

    def run(self, inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> list[Tensor]:
        """Evaluates the graph in PyTorch; a check for tests."""
        data = iter((*inputs, *targets))
        args = [
            next(data) if slot.kind in ("input", "target") else self.tensors[slot.name]
            for slot in self.slots.values()
        ]
        return list(Interpreter(self.graph_module).run(*args))


def trace_joint(forward: Forward, data: tuple[Tensor, ...], table: Decompositions) -> Joint:
    """Adds the backward pass to a forward graph.

    Args:
        forward: functional graph with a scalar loss.
        data: example inputs, then targets.
        table: decompositions of operators that the next stage has no rule for.

    Raises:
        NothingToTrain: no trained parameter reaches the loss.
    """
    slots = list(forward.slots.values())
    given = iter(data)
    values = [
        next(given) if slot.kind in ("input", "target") else forward.tensors[slot.name]
        for slot in slots
    ]
    trained = tuple(
        slot.name
        for slot in slots
        if slot.kind in ("parameter", "buffer") and slot.name in forward.trained
    )
    if not trained:
        raise _nothing(forward)
    used: list[bool] = []

    def step(*args: Tensor) -> list[Tensor | None]:
        leaves = [
            arg.detach().requires_grad_() if slot.name in trained else arg
            for slot, arg in zip(slots, args, strict=True)
        ]
        results = Interpreter(forward.graph_module).run(*leaves)
        loss = results[len(forward.mutated)]
        by_name = {slot.name: leaf for slot, leaf in zip(slots, leaves, strict=True)}
        if not loss.requires_grad:
            raise _nothing(forward)
        # Backward nodes get their forward number.
        setup_stacktrace_preservation_hooks([loss.grad_fn])
        grads = torch.autograd.grad(loss, [by_name[name] for name in trained], allow_unused=True)
        used[:] = [grad is not None for grad in grads]
        return [result.detach() for result in results] + [g for g in grads if g is not None]

    graph_module = _trace(step, values, table)
    graph = graph_module.graph
    names = [node.name for node in graph.nodes if node.op == "placeholder"]
    sources, backward = _sources(graph)
    return Joint(
        graph_module=graph_module,
        slots=dict(zip(names, slots, strict=True)),
        tensors=forward.tensors,
        trained=tuple(name for name, ok in zip(trained, used, strict=True) if ok),
        mutated=tuple(forward.mutated),
        outputs=forward.outputs,
        sources=sources,
        backward=backward,
    )


def _nothing(forward: Forward) -> NothingToTrain:
    names = [slot.name for slot in forward.slots.values() if slot.kind == "parameter"]
    return NothingToTrain(
        "no parameter that requires grad reaches the loss",
        found=f"{len(names)} parameters, all frozen or unused: {', '.join(names[:6])}",
        hint="model.fc.requires_grad_(True) before ac.compile",
    )


def _trace(
    function: Callable[..., Any], values: Sequence[Tensor], table: Decompositions
) -> GraphModule:
    """Records the ATen operators of a function; the graph has no in-place operators."""
    with plain_kernels(), preserve_node_meta():
        graph_module = make_fx(function, tracing_mode="fake", decomposition_table=table)(*values)
        if any(_mutates(node) for node in graph_module.graph.nodes):
            # Autograd's own formulas update temporaries in place, e.g. those of an LSTM.
            run = functionalize(
                lambda *args: Interpreter(graph_module).run(*args), remove="mutations"
            )
            graph_module = make_fx(run, tracing_mode="fake", decomposition_table=table)(*values)
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    return graph_module


def _mutates(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return bool(schema is not None and schema.is_mutable)


def _sources(graph: Graph) -> tuple[dict[str, Source], frozenset[str]]:
    """Forward nodes know their line; a backward node has its forward node's sequence number."""
    by_number: dict[int, Source] = {}
    sources: dict[str, Source] = {}
    backward = set()
    for node in graph.nodes:
        number = node.meta.get("seq_nr", -1)
        source = source_of(node)
        if node.meta.get("stack_trace"):
            by_number.setdefault(number, source)
        elif node.op == "call_function":
            backward.add(node.name)
        sources[node.name] = (
            source if node.meta.get("stack_trace") else by_number.get(number, source)
        )
    return sources, frozenset(backward)


def trace_predict(forward: Forward, data: tuple[Tensor, ...], table: Decompositions) -> Joint:
    """The graph of `predict`: outputs without loss.

    Args:
        forward: functional graph of the model in eval mode and of its loss.
        data: example inputs, then targets.
        table: decompositions of operators that the next stage has no rule for.
    """
    graph_module = copy.deepcopy(forward.graph_module)
    graph = graph_module.graph
    (output,) = (node for node in graph.nodes if node.op == "output")
    output.args = (list(output.args[0][-forward.outputs :]),)
    graph.eliminate_dead_code()
    given = iter(data)
    slots = list(forward.slots.values())
    values = [
        next(given) if slot.kind in ("input", "target") else forward.tensors[slot.name]
        for slot in slots
    ]

    def predict(*args: Tensor) -> list[Tensor]:
        return list(Interpreter(graph_module).run(*args))

    traced = _trace(predict, values, table)
    names = [node.name for node in traced.graph.nodes if node.op == "placeholder"]
    return Joint(
        graph_module=traced,
        slots=dict(zip(names, slots, strict=True)),
        tensors=forward.tensors,
        trained=(),
        mutated=(),
        outputs=forward.outputs,
        sources={node.name: source_of(node) for node in traced.graph.nodes},
        backward=frozenset(),
    )
