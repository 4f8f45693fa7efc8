# SPDX-License-Identifier: Apache-2.0
"""nn.Module and loss -> a functional forward graph of ATen operators, by torch.export."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.nn.attention import SDPBackend, sdpa_kernel

from acclimate.capture.decompose import BEFORE_AUTOGRAD
from acclimate.capture.losses import Loss
from acclimate.capture.source import source_of
from acclimate.errors import UnsupportedModel


@dataclass(frozen=True)
class Slot:
    """What a graph input is: `kind` is parameter, buffer, constant, input or target."""

    kind: str
    name: str


@dataclass
class Forward:
    """A functional forward graph with its loss.

    Args:
        graph_module: returns new buffer values, the loss, then the model's outputs.
        slots: of the graph's placeholders, in order, by placeholder name.
        tensors: values of parameters, buffers and constants by name.
        trained: names of the parameters that require grad.
        mutated: names of the buffers whose new values the graph returns, in order.
        outputs: number of outputs of the model.
    """

    graph_module: GraphModule
    slots: dict[str, Slot]
    tensors: dict[str, Tensor]
    trained: set[str]
    mutated: list[str]
    outputs: int

    def placeholders(self) -> list[Node]:
        """The inputs of the graph."""
        return [node for node in self.graph_module.graph.nodes if node.op == "placeholder"]


class _Loss(nn.Module):
    """A loss function as a module."""

    def __init__(self, function: Loss) -> None:
        super().__init__()
        self.function = function

    def forward(self, outputs: Any, target: Any) -> Tensor:
        return self.function(outputs, target)


class _WithLoss(nn.Module):
    """(inputs, target) -> (loss, outputs): the module that is exported."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model = model
        # A module of its own, so that its operators are known to belong to the loss.
        self.loss = loss if isinstance(loss, nn.Module) else _Loss(loss)

    def forward(self, inputs: tuple[Tensor, ...], target: Any) -> tuple[Tensor, Any]:
        outputs = self.model(*inputs)
        return self.loss(outputs, target), outputs


@contextmanager
def plain_kernels() -> Iterator[None]:
    """PyTorch decomposes attention and recurrent layers into plain operators in this context."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with sdpa_kernel(SDPBackend.MATH), torch.backends.mkldnn.flags(enabled=False):
            yield


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """The model answers as after `model.eval()` in this context; every module keeps its mode."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def export(model: nn.Module, loss: Loss, inputs: tuple[Tensor, ...], target: Any) -> Forward:
    """Exports `loss(model(*inputs), target)` as a functional graph of ATen operators.

    Raises:
        UnsupportedModel: control flow or shapes depend on data, or torch.export cannot follow.
    """
    with plain_kernels():
        try:
            program = torch.export.export(_WithLoss(model, loss), (inputs, target), strict=False)
            program = program.run_decompositions(BEFORE_AUTOGRAD)
        except Exception as error:
            raise _explain(error) from error
    signature = program.graph_signature
    slots: dict[str, Slot] = {}
    data = iter(_data_slots(inputs, target))
    for node in program.graph.nodes:
        if node.op != "placeholder":
            continue
        for kind, table in (
            ("parameter", signature.inputs_to_parameters),
            ("buffer", signature.inputs_to_buffers),
            ("constant", signature.inputs_to_lifted_tensor_constants),
        ):
            if node.name in table:
                slots[node.name] = Slot(kind, table[node.name].removeprefix("model."))
                break
        else:
            slots[node.name] = next(data)
    _join_tied(program.graph_module, slots, model)
    tensors = _tensors(program.state_dict, program.constants)
    parameters = {slot.name for slot in slots.values() if slot.kind == "parameter"}
    _check_static(program.graph_module)
    mutated = [name.removeprefix("model.") for name in signature.buffers_to_mutate.values()]
    return Forward(
        graph_module=program.graph_module,
        slots=slots,
        tensors=tensors,
        trained={n for n, p in model.named_parameters() if p.requires_grad and n in parameters},
        mutated=mutated,
        outputs=len(signature.user_outputs) - 1,
    )


def _data_slots(inputs: tuple[Tensor, ...], target: Any) -> Iterator[Slot]:
    single = len(inputs) == 1
    for index, _ in enumerate(inputs):
        yield Slot("input", "x" if single else f"x{index}")
    targets = target if isinstance(target, tuple) else (target,)
    for index, _ in enumerate(targets):
        yield Slot("target", "y" if len(targets) == 1 else f"y{index}")


def _join_tied(graph_module: GraphModule, slots: dict[str, Slot], model: nn.Module) -> None:
    """Makes one graph input of a parameter that has several names, e.g. of tied weights."""
    first = {parameter: name for name, parameter in model.named_parameters()}
    names = {
        alias: first[parameter]
        for alias, parameter in model.named_parameters(remove_duplicate=False)
    }
    inputs: dict[str, Node] = {}
    for node in list(graph_module.graph.nodes):
        slot = slots.get(node.name)
        if slot is None or slot.kind != "parameter":
            continue
        name = names.get(slot.name, slot.name)
        if name in inputs:
            node.replace_all_uses_with(inputs[name])
            graph_module.graph.erase_node(node)
            del slots[node.name]
        else:
            inputs[name], slots[node.name] = node, Slot("parameter", name)
    graph_module.recompile()


def _tensors(*tables: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        name.removeprefix("model."): tensor.detach().clone()
        for table in tables
        for name, tensor in table.items()
        if isinstance(tensor, Tensor)
    }


def _check_static(graph_module: GraphModule) -> None:
    """Every shape must be a number, and there must be no control flow in the graph."""
    for node in graph_module.graph.nodes:
        values = node.meta.get("val")
        for value in values if isinstance(values, (list, tuple)) else [values]:
            sizes = tuple(value.shape) if isinstance(value, Tensor) else ()
            if isinstance(value, torch.SymInt) or any(isinstance(s, torch.SymInt) for s in sizes):
                raise UnsupportedModel(
                    f"the shape of {node.name} depends on the data",
                    found=f"{node.target} -> {sizes}",
                    where=str(source_of(node)),
                    hint="use a fixed size, e.g. torch.where(mask, x, 0) instead of x[mask]",
                )
        if node.op == "call_function" and node.target in _CONTROL_FLOW:
            raise UnsupportedModel(
                f"{node.target} is control flow at run time",
                where=str(source_of(node)),
                hint="torch.where(condition, a, b) computes both branches and picks",
            )


_CONTROL_FLOW = {torch.ops.higher_order.cond, torch.ops.higher_order.while_loop}


def _explain(error: Exception) -> UnsupportedModel:
    """One readable error out of the many kinds that torch.export raises."""
    text = str(error)
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    if "data-dependent" in text.lower() or "GuardOnDataDependent" in type(error).__name__:
        return UnsupportedModel(
            "the model's control flow depends on the data",
            found=first,
            where=_user_line(text),
            hint="replace `if x.sum() > 0: ...` by torch.where(condition, a, b)",
        )
    return UnsupportedModel(
        "torch.export cannot capture the model",
        found=f"{type(error).__name__}: {first}",
        where=_user_line(text),
        hint="check that model(*inputs) runs, takes tensors only, and has no side effects",
    )


def _user_line(text: str) -> str | None:
    """The innermost frame of a message that is neither PyTorch's own nor ours."""
    import re
    from pathlib import Path

    others = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]), "<")
    frames = re.findall(r'File "([^"]+)", line (\d+), in (\S+)', text)
    mine = [(f, n) for f, n, _ in frames if not f.startswith(others)]
    return f"{Path(mine[-1][0]).name}:{mine[-1][1]}" if mine else None
