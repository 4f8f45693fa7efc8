# SPDX-License-Identifier: Apache-2.0
"""The set of candidates with the largest sum of gains whose memory fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ortools.sat.python import cp_model

from acclimate.policy.contribution import Candidate

_SCALE = 1_000_000  # CP-SAT takes whole numbers: the largest gain is this many
Chosen = frozenset[int]


@dataclass(frozen=True)
class Need:
    """Memory of a training step.

    Args:
        static_bytes: parameters that learn, optimizer states, gradient sums, statistics.
        arena_bytes: activations and scratch.
    """

    static_bytes: int
    arena_bytes: int

    @property
    def ram_bytes(self) -> int:
        """Both together."""
        return self.static_bytes + self.arena_bytes


@dataclass
class Search:
    """Exact search with real measurements, as far as they go.

    CP-SAT proposes the best set that no measurement forbids; the set is compiled. If it fits it is
    the answer. If not, it is reduced while it still does not fit, and what is left forbids all
    sets that train as much or more. That is exact where memory grows with what is trained. After
    `limit` compilations the best set that was seen to fit is the answer.

    Args:
        found: candidates.
        gains: of each, above zero.
        measure: compiles a set; None where it does not even fit the target.
        budget_bytes: for the sum of static memory and arena.
        shared_bytes: static memory that all candidates have in common.
        limit: number of compilations.
    """

    found: Sequence[Candidate]
    gains: Sequence[float]
    measure: Callable[[Chosen], Need | None]
    budget_bytes: int
    shared_bytes: int
    limit: int
    needs: dict[Chosen, Need | None] = field(default_factory=dict)

    def need(self, chosen: Chosen) -> Need | None:
        """Memory of a set, compiled once."""
        if chosen not in self.needs:
            self.needs[chosen] = self.measure(chosen)
        return self.needs[chosen]

    def fits(self, chosen: Chosen) -> bool:
        """True if the set fits the budget."""
        need = self.need(chosen)
        return need is not None and need.ram_bytes <= self.budget_bytes

    def run(self) -> Chosen | None:
        """Numbers of the chosen candidates; None if no candidate fits."""
        fitting = [i for i in range(len(self.found)) if self.fits(frozenset([i]))]
        if not fitting:
            return None
        stop = len(self.needs) + self.limit
        while len(self.needs) < stop:
            proposed = self._propose()
            if self.fits(proposed):
                return proposed
            self._reduce(proposed)
        return max((c for c in self.needs if self.fits(c)), key=self.gain)

    def gain(self, chosen: Chosen) -> float:
        """Sum of the gains."""
        return sum(self.gains[i] for i in chosen)

    def _reduce(self, chosen: Chosen) -> None:
        """Measures smaller and smaller sets that do not fit, least useful candidates first."""
        for number in sorted(chosen, key=lambda i: (self.gains[i], i)):
            smaller = chosen - {number}
            if smaller and not self.fits(smaller):
                chosen = smaller

    def _at_least(self, number: int) -> list[int]:
        """Candidates that train all that this one trains."""
        mine = self.found[number]
        return [
            i for i, c in enumerate(self.found) if c.group == mine.group and c.level >= mine.level
        ]

    def _propose(self) -> Chosen:
        """The best set that no measurement forbids."""
        model = cp_model.CpModel()
        taken = [model.new_bool_var(f"c{i}") for i in range(len(self.found))]
        arena = model.new_int_var(0, max(self.budget_bytes, 0), "arena")
        groups: Mapping[str, list[int]] = {c.group: [] for c in self.found}
        for i, candidate in enumerate(self.found):
            groups[candidate.group].append(i)
        for members in groups.values():
            model.add_at_most_one(taken[i] for i in members)
        static = []
        for i in range(len(self.found)):
            need = self.need(frozenset([i]))
            static.append(0 if need is None else need.static_bytes - self.shared_bytes)
        model.add(
            sum(s * t for s, t in zip(static, taken, strict=True)) + arena
            <= self.budget_bytes - self.shared_bytes
        )
        for chosen, need in self.needs.items():
            # `missing` counts the candidates of the set that are not trained.
            missing = len(chosen) - sum(taken[j] for i in chosen for j in self._at_least(i))
            if need is None or need.ram_bytes > self.budget_bytes:
                model.add(missing >= 1)
            else:
                model.add(arena >= need.arena_bytes * (1 - missing))
        scale = _SCALE / max(self.gains)
        model.maximize(sum(round(g * scale) * t for g, t in zip(self.gains, taken, strict=True)))
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1  # the same answer on every machine
        solver.solve(model)
        return frozenset(i for i, t in enumerate(taken) if solver.boolean_value(t))
