# SPDX-License-Identifier: Apache-2.0
"""Two other ways to a schedule: an exact search for small steps, and a fast recursion for chains.

The search visits states and knows nothing of the constraints in `solve`; it is what they are
checked against.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain, combinations

from acclimate.recompute.step import Moment, Node, Paging, Stage, Step, total_bytes

_State = tuple[int, int, frozenset[int]]  # stage, place in its order, nodes in RAM


def chain_step(sizes: Sequence[int], cycles: Sequence[int], reserve_bytes: int = 0) -> Step:
    """A chain of layers: the backward pass reads the nodes from the last one to the first.

    Args:
        sizes: of the nodes [B].
        cycles: of computing each from the one before it; the first one reads the input.
        reserve_bytes: alive all the time: gradients and scratch.
    """
    count = len(sizes)
    nodes = tuple(
        Node(f"x{i}", sizes[i], (i - 1,) if i else (), cycles[i], cycles[i]) for i in range(count)
    )
    moments = tuple(
        Moment(reserve_bytes, frozenset({i, i - 1} - {-1}), frozenset(range(i + 1)))
        for i in range(count)
    )
    reserves = (reserve_bytes,) * 3
    stages = tuple(
        Stage(count + n, frozenset({count - 1 - n}), frozenset(), *reserves) for n in range(count)
    )
    return Step(nodes, moments, stages, 2 * sum(cycles), 2 * sum(cycles))


def recursion_cycles(
    sizes: Sequence[int], cycles: Sequence[int], ram_bytes: int, reserve_bytes: int = 0
) -> int | None:
    """Extra cycles of a chain where a checkpoint stays until all layers above it are done.

    `V(i, j, m) = min over k of f_i + ... + f_k + V(k + 1, j, m - s_k) + V(i, k - 1, m)`: with m
    bytes free, compute from node i to node k, serve what is above k while k is kept, then what is
    below. It bounds the optimum from above; that one may drop a checkpoint early for a larger one.

    Returns:
        None where the budget is too small for it.

    Source: DaCapo, doi 10.1145/3609121, with the running value counted as everything else.
    """

    @cache
    def best(i: int, j: int, free: int) -> int | None:
        if j < i:
            return 0
        found, spent = None, 0
        for k in range(i, j + 1):
            spent += cycles[k]
            if sizes[k] + (sizes[k - 1] if k > i else 0) > free:
                break
            above = best(k + 1, j, free - sizes[k])
            below = best(i, k - 1, free)
            if above is not None and below is not None:
                total = spent + above + below
                found = total if found is None else min(found, total)
        return found

    total = best(0, len(sizes) - 1, ram_bytes - reserve_bytes)
    return None if total is None else total - sum(cycles)


def search_cycles(
    step: Step, ram_bytes: int, paging: Paging | None = None, again: bool = True
) -> int | None:
    """Extra cycles of the best schedule: the shortest path through all states.

    A state is a place in the step and the nodes that are in RAM there. Moves are to drop a node, to
    compute or load the node whose turn it is or to pass it by, and to run the call of a stage.

    Args:
        step: the training step.
        ram_bytes: the budget.
        paging: the slower memory, if nodes may wait there.
        again: nodes may be computed again.

    Returns:
        None where no schedule is within the budget.
    """
    if not again:
        # Too late for all of them.
        step = replace(step, nodes=tuple(replace(node, last_stage=-1) for node in step.nodes))
    count = len(step.nodes)
    sets = chain.from_iterable(combinations(range(count), n) for n in range(count + 1))
    results = []
    for saved in map(frozenset, sets) if paging else [frozenset[int]()]:
        if paging and total_bytes(step, saved) > paging.size_bytes:
            continue
        found = _shortest(step, ram_bytes, saved, paging)
        if found is not None:
            copies = sum(paging.cycles(step.nodes[n]) for n in saved) if paging else 0
            results.append(found + copies)
    return min(results, default=None)


def _shortest(
    step: Step, ram_bytes: int, saved: frozenset[int], paging: Paging | None
) -> int | None:
    """Dijkstra's algorithm from every set of nodes that the forward pass can keep."""
    heap: list[tuple[int, int, int, tuple[int, ...]]] = []
    done: set[_State] = set()
    count = len(step.nodes)
    for kept in chain.from_iterable(combinations(range(count), n) for n in range(count + 1)):
        peaks = (
            m.fixed_bytes + total_bytes(step, m.needed | (m.computed & set(kept)))
            for m in step.moments
        )
        if max(peaks, default=0) <= ram_bytes:
            heap.append((0, 0, 0, kept))
    heapq.heapify(heap)
    while heap:
        cost, stage, place, names = heapq.heappop(heap)
        if stage == len(step.stages):
            return cost
        state = (stage, place, frozenset(names))
        if state in done:
            continue
        done.add(state)
        for extra, (s, p, ram) in _moves(step, state, ram_bytes, saved, paging):
            heapq.heappush(heap, (cost + extra, s, p, tuple(sorted(ram))))
    return None


def _moves(
    step: Step, state: _State, ram_bytes: int, saved: frozenset[int], paging: Paging | None
) -> Iterator[tuple[int, _State]]:
    """Neighbours of a state with the cycles of the move."""
    number, place, ram = state
    stage, count = step.stages[number], len(step.nodes)
    for node in ram:
        yield 0, (number, place, ram - {node})
    live = total_bytes(step, ram)
    if place == count:  # every node had its turn: the call
        if ram >= stage.needs and stage.during_bytes + live <= ram_bytes:
            yield 0, (number, count + 1, ram - stage.overwrites)
        return
    if place > count:  # the calls after it
        if stage.after_bytes + live <= ram_bytes:
            yield 0, (number + 1, 0, ram)
        return
    yield 0, (number, place + 1, ram)
    turn = step.nodes[place]
    size = stage.before_bytes + live + turn.size_bytes
    if place in ram:
        return
    possible = number <= turn.last_stage and ram >= set(turn.inputs)
    if possible and size + turn.scratch_bytes <= ram_bytes:
        yield turn.cycles, (number, place + 1, ram | {place})
    if paging and place in saved and size <= ram_bytes:
        yield paging.cycles(turn), (number, place + 1, ram | {place})
