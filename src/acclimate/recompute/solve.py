# SPDX-License-Identifier: Apache-2.0
"""The best schedule for a memory budget, by constraint programming.

Source: Checkmate, arXiv:1910.02653, and POET, arXiv:2207.07697: by stage and node what is kept in
RAM, computed and paged, and how many bytes are alive. Two things keep the model small. Stages stand
only where the backward pass reads nodes, not at every node. And the bytes that are alive follow
from the decisions: a node is present from where it comes to its last reader of the stage, so there
are no variables for frees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from acclimate.recompute.greedy import greedy
from acclimate.recompute.step import (
    Paging,
    Solution,
    Step,
    keep_all,
    measure,
    total_bytes,
    trim,
)

_WORD_BYTES = 4


@dataclass(frozen=True)
class Limits:
    """What a schedule may take.

    Args:
        ram_bytes: largest sum of live bytes; None for no limit.
        cycles: of the whole step; None for no limit.
        energy: of the whole step; None for no limit.
        paging: the slower memory, if nodes may wait there.
        again: nodes may be computed again.
        dropped: nodes that the forward pass may not keep.
        minimize: `cycles`, `energy` or `ram`.
        seconds: of the solver, in its own deterministic seconds.
    """

    ram_bytes: int | None = None
    cycles: int | None = None
    energy: int | None = None
    paging: Paging | None = None
    again: bool = True
    dropped: frozenset[int] = frozenset()
    minimize: str = "cycles"
    seconds: float = 4.0


def solve(step: Step, limits: Limits) -> Solution | None:
    """The best schedule within the limits.

    Args:
        step: the training step.
        limits: of RAM, time and energy, and what is best.

    Returns:
        A schedule; `proven` if none is better. None where no schedule is within the limits, or
        none was found in time.
    """
    from ortools.sat.python import cp_model

    everything = keep_all(step)
    if not step.stages:
        return everything if _fits(step, everything, limits) else None
    if limits.minimize != "ram" and not limits.dropped and _fits(step, everything, limits):
        return everything
    model = _Model(cp_model.CpModel(), step, limits)
    model.build()
    smallest = 0 if limits.minimize == "ram" else None
    aim = limits.ram_bytes if smallest is None else smallest
    # A quick start that either computes or pages; the model mixes both.
    start = None
    if limits.again or limits.paging is not None:
        start = greedy(step, aim, limits.dropped, None if limits.again else limits.paging)
    if start is not None:
        model.hint(start)
    solver = cp_model.CpSolver()
    solver.parameters.max_deterministic_time = limits.seconds
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    status = solver.solve(model.model)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return trim(step, model.solution(solver, status == cp_model.OPTIMAL))
    return start if start is not None and _fits(step, start, limits) else None


def _fits(step: Step, solution: Solution, limits: Limits) -> bool:
    cost = measure(step, solution, limits.paging)
    pages = limits.paging.size_bytes if limits.paging else 0
    if total_bytes(step, solution.saved) > pages:
        return False
    return (
        (limits.ram_bytes is None or cost.peak_bytes <= limits.ram_bytes)
        and (limits.cycles is None or step.cycles + cost.cycles <= limits.cycles)
        and (limits.energy is None or step.energy + cost.energy <= limits.energy)
    )


@dataclass
class _Model:
    """Variables by (stage, node); a key that is missing is a decision that cannot be useful."""

    model: Any
    step: Step
    limits: Limits
    kept: dict[tuple[int, int], Any] = field(default_factory=dict)
    computed: dict[tuple[int, int], Any] = field(default_factory=dict)
    loaded: dict[tuple[int, int], Any] = field(default_factory=dict)
    saved: dict[int, Any] = field(default_factory=dict)

    def build(self) -> None:
        """All variables, constraints and the objective."""
        step = self.step
        self.words = [-(-node.size_bytes // _WORD_BYTES) for node in step.nodes]
        self.readers: list[list[int]] = [[] for _ in step.nodes]
        for number, node in enumerate(step.nodes):
            for source in node.inputs:
                self.readers[source].append(number)
        self._variables()
        most = measure(step, keep_all(step)).peak_bytes + sum(n.size_bytes for n in step.nodes)
        most += max((n.scratch_bytes for n in step.nodes), default=0)
        asked = most if self.limits.ram_bytes is None else self.limits.ram_bytes
        self.ram = self.model.new_int_var(0, max(0, asked) // _WORD_BYTES, "ram")
        self._forward()
        for number in range(len(step.stages)):
            self._values(number)
            self._memory(number)
        self._objective()

    def _variables(self) -> None:
        new = self.model.new_bool_var
        paging = self.limits.paging
        for node, last in enumerate(self.step.last_use()):
            if paging is not None and last >= 0:
                self.saved[node] = new(f"save{node}")
            for stage in range(last + 1):
                if stage or node not in self.limits.dropped:
                    self.kept[stage, node] = new(f"keep{stage}.{node}")
                if self.limits.again and stage <= self.step.nodes[node].last_stage:
                    self.computed[stage, node] = new(f"compute{stage}.{node}")
                if paging is not None:
                    self.loaded[stage, node] = new(f"load{stage}.{node}")

    def _ways(self, stage: int, node: int) -> list[Any]:
        """How a node can be in RAM in a stage."""
        tables = (self.kept, self.computed, self.loaded)
        return [table[stage, node] for table in tables if (stage, node) in table]

    def _values(self, stage: int) -> None:
        """What is read is there."""
        record = self.step.stages[stage]
        for node in range(len(self.step.nodes)):
            ways = self._ways(stage, node)
            self.model.add_at_most_one(ways)
            if node in record.needs:
                self.model.add_bool_or(ways)
            if (stage, node) in self.computed:
                for source in self.step.nodes[node].inputs:
                    there = self._ways(stage, source)
                    self.model.add_bool_or([*there, ~self.computed[stage, node]])
            if (stage, node) in self.loaded:
                self.model.add_implication(self.loaded[stage, node], self.saved[node])
            after = self.kept.get((stage + 1, node))
            if after is not None:
                self.model.add_bool_or([*ways, ~after])
                if node in record.overwrites:
                    self.model.add(after == 0)

    def _forward(self) -> None:
        for moment in self.step.moments:
            held = self._sum(moment.computed - moment.needed, 0)
            self._within(moment.fixed_bytes + self._bytes(moment.needed), held)

    def _memory(self, stage: int) -> None:
        """Live bytes when a node comes back, during the call of the stage, and after it."""
        record, count = self.step.stages[stage], len(self.step.nodes)
        present = {node: self._until_last_reader(stage, node) for node in range(count)}
        for node, own in enumerate(self.step.nodes):
            earlier = [
                self.words[i] * literal
                for i in range(node)
                if (literal := _first_from(present[i], node)) is not None
            ]
            later = self._sum(range(node + 1, count), stage)
            for table, scratch in ((self.computed, own.scratch_bytes), (self.loaded, 0)):
                if (stage, node) in table:
                    size = record.before_bytes + scratch + own.size_bytes
                    self._within(size, [*earlier, *later], table[stage, node])
        others = set(range(count)) - record.needs
        during = record.during_bytes + self._bytes(record.needs)
        self._within(during, self._sum(others, stage + 1))
        self._within(record.after_bytes, self._sum(range(count), stage + 1))

    def _until_last_reader(self, stage: int, node: int) -> list[tuple[int, Any]]:
        """(reader, literal): the node stays in the stage until this reader or a later one.

        The last entry, whose reader is behind all nodes, says that the call itself or a later stage
        needs the node.
        """
        count = len(self.step.nodes)
        if node in self.step.stages[stage].needs:
            return [(count, 1)]
        result: list[tuple[int, Any]] = []
        if (after := self.kept.get((stage + 1, node))) is not None:
            result.append((count, after))
        for reader in reversed(self.readers[node]):
            again = self.computed.get((stage, reader))
            if again is None:
                continue
            if not result:
                result.append((reader, again))
                continue
            stays = self.model.new_bool_var(f"stays{stage}.{node}.{reader}")
            self.model.add_implication(again, stays)
            self.model.add_implication(result[0][1], stays)
            result.insert(0, (reader, stays))
        return result

    def _sum(self, nodes: Iterable[int], stage: int) -> list[Any]:
        """Words of those nodes that are kept into a stage."""
        kept = ((node, self.kept.get((stage, node))) for node in sorted(nodes))
        return [self.words[node] * literal for node, literal in kept if literal is not None]

    def _bytes(self, nodes: Iterable[int]) -> int:
        return sum(self.words[node] * _WORD_BYTES for node in nodes)

    def _within(self, fixed_bytes: int, terms: list[Any], when: Any = None) -> None:
        constraint = self.model.add(-(-fixed_bytes // _WORD_BYTES) + sum(terms) <= self.ram)
        if when is not None:
            constraint.only_enforce_if(when)

    def _objective(self) -> None:
        nodes, paging = self.step.nodes, self.limits.paging or Paging()
        paged = [*self.saved.items(), *((node, v) for (_, node), v in self.loaded.items())]
        totals = {}
        for name, base in (("cycles", self.step.cycles), ("energy", self.step.energy)):
            terms = [getattr(nodes[node], name) * v for (_, node), v in self.computed.items()]
            terms += [getattr(paging, name)(nodes[node]) * v for node, v in paged]
            totals[name] = sum(terms)
            limit = getattr(self.limits, name)
            if limit is not None:
                self.model.add(base + totals[name] <= limit)
        if self.saved:
            saved = sum(self.words[node] * v for node, v in self.saved.items())
            self.model.add(saved <= paging.size_bytes // _WORD_BYTES)
        if self.limits.minimize == "ram":
            self.model.minimize(self.ram)
            return
        self.model.minimize(totals[self.limits.minimize])

    def hint(self, start: Solution) -> None:
        """Starts the search at a schedule."""
        for table, chosen in (
            (self.kept, start.kept),
            (self.computed, start.computed),
            (self.loaded, start.loaded),
        ):
            for (stage, node), variable in table.items():
                self.model.add_hint(variable, node in chosen[stage])
        for node, variable in self.saved.items():
            self.model.add_hint(variable, node in start.saved)

    def solution(self, solver: Any, proven: bool) -> Solution:
        """The schedule that the solver found."""
        stages = len(self.step.stages)

        def chosen(table: Mapping[tuple[int, int], Any]) -> tuple[frozenset[int], ...]:
            found = [key for key, variable in table.items() if solver.value(variable)]
            return tuple(frozenset(n for s, n in found if s == stage) for stage in range(stages))

        saved = frozenset(n for n, variable in self.saved.items() if solver.value(variable))
        return Solution(
            chosen(self.kept), chosen(self.computed), chosen(self.loaded), saved, proven
        )


def _first_from(present: list[tuple[int, Any]], node: int) -> Any:
    """The literal that says that a node stays until `node` is computed; None if it never does."""
    return next((literal for reader, literal in present if reader >= node), None)
