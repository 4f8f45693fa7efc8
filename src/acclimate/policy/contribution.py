# SPDX-License-Identifier: Apache-2.0
"""Contribution analysis: what the loss gains if one candidate alone learns for a few steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from acclimate.capture import Loss, Update
from acclimate.errors import BadExample, BadOption
from acclimate.lower import SGD, Adam, AdamW, Optimizer
from acclimate.policy.channels import SparseChannels, check_sliceable
from acclimate.policy.draft import Draft, Layer
from acclimate.policy.policy import Policy
from acclimate.policy.select import BiasOnly, last_layers

FRACTIONS = (1.0, 0.5, 0.25, 0.125)
BIASES = ""  # group of the candidates that train biases; a layer's group is its name


@dataclass(frozen=True)
class Candidate:
    """What may learn. Of a group at most one is taken: a higher level trains more.

    Args:
        group: name of the layer, or BIASES.
        level: within the group.
        policy: that trains it.
    """

    group: str
    level: int
    policy: Policy


def candidates(draft: Draft) -> tuple[Candidate, ...]:
    """Weights of each layer at four fractions of its channels; biases of the last n layers."""
    weights = [candidate for layer in draft.layers for candidate in _weights(layer)]
    return (*weights, *_biases(draft))


def _weights(layer: Layer) -> Iterator[Candidate]:
    weight = getattr(layer.module, "weight", None)
    if not isinstance(weight, nn.Parameter) or weight.ndim < 2:
        return
    try:
        check_sliceable(layer)
        fractions: Sequence[float] = FRACTIONS
    except BadOption:  # it learns whole or not at all
        fractions = FRACTIONS[:1]
    known: set[int] = set()
    for level, fraction in enumerate(fractions):  # where two are the same channels, the first
        count = max(1, round(fraction * weight.shape[1]))
        if count not in known:
            known.add(count)
            yield Candidate(layer.name, -level, SparseChannels({layer.name: fraction}, bias=False))


def _biases(draft: Draft) -> Iterator[Candidate]:
    names = {id(p): n.rpartition(".")[2] for n, p in draft.model.named_parameters()}
    before = 0
    for depth in range(1, 1 + sum(layer.weighted for layer in draft.layers)):
        found = [p for layer in last_layers(draft, depth) for p in layer.parameters]
        count = sum("bias" in names[id(parameter)] for parameter in found)
        if count > before:
            yield Candidate(BIASES, depth, BiasOnly(last=depth))
        before = count


@dataclass(frozen=True)
class Split:
    """Samples to learn from, and samples to measure the loss on.

    Args:
        learn: inputs and targets, [N,...] each.
        held: inputs and targets.
    """

    learn: tuple[tuple[Tensor, ...], Tensor]
    held: tuple[tuple[Tensor, ...], Tensor]


def split(inputs: tuple[Tensor, ...], y: Tensor, batch: int, seed: int) -> Split:
    """Draws a quarter of the samples to measure on.

    Raises:
        BadExample: numbers of samples differ, or there are too few.
    """
    N = len(y)
    if any(len(x) != N for x in inputs) or batch + 1 > N:
        raise BadExample(
            f"Auto needs at least {batch + 1} samples, as many inputs as targets",
            found=f"{[len(x) for x in inputs]} inputs, {N} targets",
            hint="Auto(budget='64 kB', data=(x, y)) with x[N,...] and y[N]",
        )
    order = torch.randperm(N, generator=torch.Generator().manual_seed(seed))
    held = max(1, min(N // 4, N - batch))
    parts = [(tuple(x[i] for x in inputs), y[i]) for i in (order[held:], order[:held])]
    return Split(*parts)


@dataclass(frozen=True)
class Trial:
    """How candidates are tried.

    Args:
        data: samples.
        loss: what falls.
        optimizer: how they learn; its learning rate counts.
        steps: of one candidate.
        batch: samples per step.
    """

    data: Split
    loss: Loss
    optimizer: Optimizer
    steps: int
    batch: int

    def held_loss(self, model: nn.Module) -> float:
        """Mean loss over the samples that are held out."""
        x, y = self.data.held
        with torch.no_grad():
            values = [float(self.loss(model(*xs), ys)) for xs, ys in _batches(x, y, self.batch)]
        return sum(values) / len(values)

    def gain(self, update: Update) -> float:
        """How much the held-out loss falls; the model of the update changes."""
        start = self.held_loss(update.model)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self._learn(update)
        return start - self.held_loss(update.model)

    def _learn(self, update: Update) -> None:
        model = update.model
        learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
        held = [
            (learning[name], _others(learning[name], numbers))
            for name, numbers in update.channels.items()
        ]
        rule = _torch_optimizer(self.optimizer, list(learning.values()))
        batches = list(_batches(*self.data.learn, self.batch))
        for step in range(self.steps):
            x, y = batches[step % len(batches)]
            kept = [(p, numbers, p.detach()[:, numbers].clone()) for p, numbers in held]
            rule.zero_grad()
            torch.autograd.backward(self.loss(model(*x), y))
            rule.step()
            with torch.no_grad():
                for parameter, numbers, values in kept:
                    parameter[:, numbers] = values


def _others(parameter: Tensor, numbers: tuple[int, ...]) -> list[int]:
    """Channels that do not learn."""
    return sorted(set(range(parameter.shape[1])) - set(numbers))


def _batches(
    x: tuple[Tensor, ...], y: Tensor, size: int
) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    """Whole batches only: a model may have its batch in its shapes. Too few samples repeat."""
    N = len(y)
    for first in range(0, max(N - size, 0) + 1, size):
        index = torch.arange(first, first + size) % N
        yield tuple(part[index] for part in x), y[index]


def _torch_optimizer(rule: Optimizer, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of torch.optim that the generated C follows."""
    if isinstance(rule, SGD):
        return torch.optim.SGD(
            parameters,
            lr=rule.lr,
            momentum=rule.momentum,
            nesterov=rule.nesterov,
            weight_decay=rule.weight_decay,
        )
    if not isinstance(rule, Adam):
        raise BadOption(f"Auto cannot try {type(rule).__name__}", hint="optimizer=ac.SGD(lr=0.01)")
    kind = torch.optim.AdamW if isinstance(rule, AdamW) else torch.optim.Adam
    betas = (rule.beta1, rule.beta2)
    return kind(parameters, lr=rule.lr, betas=betas, eps=rule.eps, weight_decay=rule.weight_decay)
