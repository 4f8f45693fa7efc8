# SPDX-License-Identifier: Apache-2.0
"""A copy of a model on which policies mark what learns."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from acclimate.capture import Update
from acclimate.errors import BadExample, BadOption, NothingToTrain, nearest


@dataclass(frozen=True)
class Layer:
    """A module that ran and has parameters of its own.

    Args:
        name: path of the module.
        module: in the copy.
        parameters: its own, and those of modules in it that never run themselves.
        input: shape of its first input; empty where that is no tensor.
        output: shape of its output; empty where that is no tensor.
    """

    name: str
    module: nn.Module
    parameters: tuple[nn.Parameter, ...]
    input: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def weighted(self) -> bool:
        """True for layers with a matrix of weights, False for norms and scales."""
        return any(parameter.ndim > 1 for parameter in self.parameters)


@dataclass(frozen=True)
class _Run:
    """First run of a module: shapes of its first input and of its output."""

    module: nn.Module
    input: tuple[int, ...]
    output: tuple[int, ...]


class Draft:
    """A copy of a model, its layers in the order in which they run, and what learns so far.

    Args:
        model: of the user; it is not changed.
        inputs: of one example.
    """

    def __init__(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.model = copy.deepcopy(model)
        self.inputs = inputs
        self.runs = _trace(self.model, inputs)
        self.layers = _layers(self.model, self.runs)
        self._channels: dict[int, tuple[int, ...] | None] = {}

    def find(self, name: str) -> nn.Module:
        """The module of that name.

        Raises:
            BadOption: there is none.
        """
        modules = {path: module for path, module in self.model.named_modules() if path}
        if name not in modules:
            raise BadOption(f"the model has no module {name!r}", hint=nearest(name, modules))
        found: nn.Module = modules[name]
        return found

    def layer(self, name: str) -> Layer:
        """The layer of that name.

        Raises:
            BadOption: no layer that runs has that name.
        """
        found = {layer.name: layer for layer in self.layers}
        if name not in found:
            raise BadOption(f"the model has no layer {name!r}", hint=nearest(name, found))
        return found[name]

    def train(self, parameter: nn.Parameter, channels: Sequence[int] | None = None) -> None:
        """Marks a parameter, or some of its input channels, on top of what is marked already."""
        key = id(parameter)
        old = self._channels.get(key, ())
        both = None if old is None or channels is None else tuple(sorted({*old, *channels}))
        # All channels of a weight are the weight.
        whole = both is not None and parameter.ndim > 1 and len(both) == parameter.shape[1]
        self._channels[key] = None if whole else both

    def trained(self, parameter: nn.Parameter) -> bool:
        """True if a policy marked the parameter, or channels of it."""
        return id(parameter) in self._channels

    def replace(self, old: nn.Module, new: nn.Module) -> None:
        """Puts a module in the place of another, which it may hold."""
        if old is self.model:
            self.model = new
            return
        modules = self.model.named_modules(remove_duplicate=False)
        for path in [path for path, module in modules if module is old]:
            self.model.set_submodule(path, new)

    def finish(self) -> Update:
        """The model, in which exactly what is marked requires grad.

        Raises:
            NothingToTrain: nothing is marked.
        """
        channels = {}
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self.trained(parameter))
            selected = self._channels.get(id(parameter))
            if selected is not None:
                channels[name] = selected
        if not any(parameter.requires_grad for parameter in self.model.parameters()):
            raise NothingToTrain(
                "the update policy leaves nothing to train",
                found=f"{len(self.layers)} layers with parameters",
                hint="update=ac.Head()",
            )
        return Update(self.model, channels)


def _shape(value: object) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Statistics and random numbers are the same after this context as before it."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        with torch.no_grad(), torch.random.fork_rng():
            yield
    finally:
        model.load_state_dict(state)


def _trace(model: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, _Run]:
    """The modules of a model by name, in the order in which they finish their first run."""
    runs: dict[str, _Run] = {}

    def watch(name: str) -> torch.utils.hooks.RemovableHandle:
        def note(module: nn.Module, given: tuple[object, ...], result: object) -> None:
            shape = _shape(given[0]) if given else ()
            runs.setdefault(name, _Run(module, shape, _shape(result)))

        return model.get_submodule(name).register_forward_hook(note)

    hooks = [watch(name) for name, _ in model.named_modules()]
    try:
        with unchanged(model):
            model(*inputs)
    except Exception as error:
        shapes = ", ".join(str(list(x.shape)) for x in inputs)
        raise BadExample(
            f"the model does not accept the example: x {shapes}",
            found=next(iter(str(error).splitlines()), type(error).__name__),
            hint="the example needs the model's input shape, the batch in front",
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    return runs


def _layers(model: nn.Module, runs: dict[str, _Run]) -> tuple[Layer, ...]:
    """Every parameter belongs to the innermost module around it that runs."""
    owned: dict[str, list[nn.Parameter]] = {name: [] for name in runs}
    for path, parameter in model.named_parameters():
        owner = path.rpartition(".")[0]
        while owner not in owned:
            owner = owner.rpartition(".")[0]
        owned[owner].append(parameter)
    return tuple(
        Layer(name, run.module, tuple(owned[name]), run.input, run.output)
        for name, run in runs.items()
        if owned[name]
    )
