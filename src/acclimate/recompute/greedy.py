# SPDX-License-Identifier: Apache-2.0
"""A quick schedule for a memory budget: the start of the solver, and the answer if it finds none.

Nodes are dropped one by one until the step fits. A dropped node is computed again from the nearest
nodes that are there when a stage needs it; what has come back stays while the freed memory lasts,
so that memory which the backward pass gives back holds new checkpoints.

Source: the idea of moving checkpoints is that of DaCapo, doi 10.1145/3609121.
"""

from __future__ import annotations

from acclimate.recompute.step import Paging, Solution, Step, measure, total_bytes


def greedy(
    step: Step, ram_bytes: int | None, dropped: frozenset[int], paging: Paging | None = None
) -> Solution | None:
    """A schedule of low peak; it may be over the budget.

    Args:
        step: the training step.
        ram_bytes: budget; None for no limit, 0 for the least that is found.
        dropped: nodes that the forward pass may not keep.
        paging: where dropped nodes wait; without it they are computed again.

    Returns:
        None where a dropped node can never be computed again, or there is no room for it to wait.
    """
    budget = 1 << 60 if ram_bytes is None else ram_bytes
    best = follow(step, dropped, budget, paging)
    if best is None:
        return None
    cost = _rank(step, best, budget, paging)
    while cost[0] > 0:
        found = None
        for node in range(len(step.nodes)):
            if node in dropped:
                continue
            candidate = follow(step, dropped | {node}, budget, paging)
            if candidate is None:
                continue
            rank = _rank(step, candidate, budget, paging)
            if rank < cost:
                found, best, cost = node, candidate, rank
        if found is None:
            break
        dropped = dropped | {found}
    return best


def _rank(step: Step, solution: Solution, budget: int, paging: Paging | None) -> tuple[int, int]:
    """Bytes over the budget, then extra cycles."""
    cost = measure(step, solution, paging)
    return max(0, cost.peak_bytes - budget), cost.cycles


def follow(
    step: Step, dropped: frozenset[int], budget: int, paging: Paging | None = None
) -> Solution | None:
    """The schedule in which the forward pass does not keep some nodes; None if there is none."""
    last = {node: n for n, stage in enumerate(step.stages) for node in stage.needs}
    present = {node for node in last if node not in dropped}
    kept: list[frozenset[int]] = []
    computed: list[frozenset[int]] = []
    for number, stage in enumerate(step.stages):
        kept.append(frozenset(present))
        again: set[int] = set()
        for need in sorted(stage.needs - present):
            if paging is not None:
                again.add(need)
            elif not _compute(step, number, need, present | again, again):
                return None
        computed.append(frozenset(again))
        there = (present | again) - stage.overwrites
        present = {n for n in there if last.get(n, -1) > number and n not in dropped}
        for node in sorted(there - present, key=lambda n: _next_use(step, n, number)):
            use = _next_use(step, node, number)
            if use < len(step.stages) and _room(step, present | {node}, number, use, budget):
                present.add(node)
    none = (frozenset[int](),) * len(step.stages)
    if paging is None:
        return Solution(tuple(kept), tuple(computed), none)
    saved = frozenset[int]().union(*computed)
    if total_bytes(step, saved) > paging.size_bytes:
        return None
    return Solution(tuple(kept), none, tuple(computed), saved)


def _compute(step: Step, stage: int, node: int, there: set[int], again: set[int]) -> bool:
    """Adds a node and what it takes to `again`; False if that reads what has changed."""
    if node in there or node in again:
        return True
    if stage > step.nodes[node].last_stage:
        return False
    if not all(_compute(step, stage, source, there, again) for source in step.nodes[node].inputs):
        return False
    again.add(node)
    return True


def _next_use(step: Step, node: int, stage: int) -> int:
    """The next stage whose call reads a node."""
    later = range(stage + 1, len(step.stages))
    return next((n for n in later if node in step.stages[n].needs), len(step.stages))


def _room(step: Step, held: set[int], stage: int, use: int, budget: int) -> bool:
    """True if the calls up to the next use leave room for all that is held."""
    size = total_bytes(step, held)
    for number in range(stage, use):
        after = step.stages[number].after_bytes + size
        following = step.stages[number + 1]
        during = following.during_bytes + total_bytes(step, held | following.needs)
        if max(after, during) > budget:
            return False
    return True
