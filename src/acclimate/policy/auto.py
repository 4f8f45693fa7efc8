# SPDX-License-Identifier: Apache-2.0
"""A policy that finds out what to train within a memory budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from acclimate.budget import size_bytes
from acclimate.capture import Loss, Update, find_loss
from acclimate.errors import BadOption, DoesNotFit
from acclimate.lower import Optimizer, find_optimizer
from acclimate.pipeline import Job
from acclimate.policy.channels import SparseChannels
from acclimate.policy.contribution import BIASES, Candidate, Trial, candidates, split
from acclimate.policy.draft import Draft
from acclimate.policy.policy import Combine, Policy
from acclimate.policy.search import Chosen, Need, Search
from acclimate.targets import Target

_HINT = "ac.Auto(budget='64 kB', data=(x, y), optimizer=ac.SGD(lr=0.01), steps=20)"


@dataclass(frozen=True)
class Contribution:
    """A candidate with what the held-out loss gained when it alone learned."""

    policy: Policy
    gain: float


@dataclass(frozen=True, eq=False, repr=False)
class Auto(Policy):
    """The set of layers, channels and biases that gains most within a budget of training memory.

    Candidates are the weights of every layer at 1, 1/2, 1/4 and 1/8 of its input channels, and the
    biases of the last n layers. Each learns alone for some steps in PyTorch, from the same start;
    its gain is the fall of the loss on a quarter of the data that is held out. Then the set with
    the largest sum of gains is taken whose compiled program fits the budget. `search` returns it as
    a policy whose text is code to paste, so that the search need not run again.

    Args:
        budget: RAM of a training step: arena, parameters that learn and optimizer states.
        data: (x, y), or ((x0, x1), y), of many samples.
        target: a device of `acclimate targets`; kernels, and so scratch, depend on it.
        loss: as for `compile`.
        optimizer: as for `compile`; its learning rate is that of the analysis.
        steps: of every candidate.
        batch: samples per step, in the analysis and in the compiled program.
        compiles: limit of the compilations of sets; the candidates alone come on top.
        seed: of the samples that are held out.

    Source: contribution analysis and search, Lin et al., "On-device training under 256KB memory",
    arXiv:2206.15472. The paper searches by evolution; here CP-SAT proposes sets.
    """

    budget: str | int
    data: tuple[Any, Tensor]
    target: str | Target = "host"
    loss: str | Loss = "cross_entropy"
    optimizer: Optimizer | str = "sgd"
    steps: int = 20
    batch: int = 1
    compiles: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        size_bytes(str(self.budget), _HINT)
        if not isinstance(self.data, (tuple, list)) or len(self.data) != 2:
            raise BadOption("data is not a pair (x, y)", found=type(self.data).__name__, hint=_HINT)
        for name in ("steps", "batch", "compiles"):
            if getattr(self, name) < 1:
                raise BadOption(f"{name} = {getattr(self, name)}", hint=_HINT)

    def mark(self, draft: Draft) -> None:
        """Marks what the search finds."""
        self.search(draft.model).mark(draft)

    def choose(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> Update:
        """What the search finds for a step with as many samples as the example has."""
        return self.search(model, len(inputs[0])).choose(model, inputs)

    def contributions(self, model: nn.Module, batch: int | None = None) -> tuple[Contribution, ...]:
        """Gains of all candidates, in the order of the layers."""
        found, gains = self._tried(model, batch or self.batch)
        pairs = zip(found, gains, strict=True)
        return tuple(Contribution(candidate.policy, gain) for candidate, gain in pairs)

    def search(self, model: nn.Module, batch: int | None = None) -> Policy:
        """The best policy that fits.

        Args:
            model: of the user; it is not changed.
            batch: samples per step, if not those of the policy.

        Raises:
            DoesNotFit: no candidate fits the budget.
            BadOption: no candidate lowers the loss.
        """
        size = batch or self.batch
        tried = zip(*self._tried(model, size), strict=True)
        useful = [(candidate, gain) for candidate, gain in tried if gain > 0]
        if not useful:
            raise BadOption(
                f"no candidate lowers the loss on held-out data within {self.steps} steps",
                hint="more steps, or another learning rate: optimizer=ac.SGD(lr=0.001)",
            )
        found, gains = [c for c, _ in useful], [g for _, g in useful]

        def measure(chosen: Chosen) -> Need | None:
            return self._need(model, size, _joined([found[i] for i in sorted(chosen)]))

        shared_bytes = 4 * len(find_optimizer(self.optimizer).counters())
        budget_bytes = size_bytes(str(self.budget), _HINT)
        search = Search(found, gains, measure, budget_bytes, shared_bytes, self.compiles)
        best = search.run()
        if best is None:
            raise self._too_large(search, budget_bytes)
        return _joined([found[i] for i in sorted(best)])

    def _inputs(self) -> tuple[Tensor, ...]:
        x = self.data[0]
        return tuple(x) if isinstance(x, (tuple, list)) else (x,)

    def _tried(self, model: nn.Module, batch: int) -> tuple[list[Candidate], list[float]]:
        """Candidates with their gains."""
        inputs, y = self._inputs(), self.data[1]
        samples = split(inputs, y, batch, self.seed)
        loss, rule = find_loss(self.loss), find_optimizer(self.optimizer)
        trial = Trial(samples, loss, rule, self.steps, batch)
        example = tuple(x[:batch] for x in inputs)
        found = list(candidates(Draft(model, example)))
        return found, [trial.gain(c.policy.choose(model, example)) for c in found]

    def _need(self, model: nn.Module, batch: int, policy: Policy) -> Need | None:
        inputs = tuple(x[:batch] for x in self._inputs())
        try:
            # NOTE: not `compile`, which compiles again to say what would fit.
            firmware = Job(
                model,
                example=(inputs, self.data[1][:batch]),
                loss=self.loss,
                optimizer=self.optimizer,
                target=self.target,
                update=policy,
            ).run()
        except DoesNotFit:
            return None
        arena_bytes = firmware.plan.arena_bytes
        return Need(firmware.plan.ram_bytes - arena_bytes, arena_bytes)

    def _too_large(self, search: Search, budget_bytes: int) -> DoesNotFit:
        known = [(need, chosen) for chosen, need in search.needs.items() if need is not None]
        if not known:
            return DoesNotFit(
                "no candidate fits the memories of the target", hint="target='host' has no limit"
            )
        need, (number,) = min(known, key=lambda pair: pair[0].ram_bytes)
        return DoesNotFit(
            f"no candidate fits the budget of {budget_bytes:,} B",
            found=f"the smallest is {search.found[number].policy!r}: {need.ram_bytes:,} B of RAM,"
            f" arena {need.arena_bytes:,} B",
            hint=f"ac.Auto(budget={need.ram_bytes}, ...)",
        )

    def __repr__(self) -> str:
        shown = {
            name: getattr(self, name)
            for name in ("target", "loss", "optimizer", "steps", "batch", "compiles", "seed")
            if getattr(self, name) != getattr(type(self), name)
        }
        options = "".join(f", {name}={_text(value)}" for name, value in shown.items())
        return f"Auto(budget={self.budget!r}, data=(x, y){options})"


def _text(value: object) -> str:
    return getattr(value, "__name__", None) or repr(value)


def _joined(chosen: Sequence[Candidate]) -> Policy:
    """One policy: the fractions of all layers in one SparseChannels, then the biases."""
    fractions: dict[str, float] = {}
    parts: list[Policy] = []
    for candidate in chosen:
        if isinstance(candidate.policy, SparseChannels):
            fractions |= candidate.policy.layers
    if fractions:
        parts.append(SparseChannels(fractions, bias=False))
    parts += [candidate.policy for candidate in chosen if candidate.group == BIASES]
    return parts[0] if len(parts) == 1 else Combine(*parts)
