# SPDX-License-Identifier: Apache-2.0
"""Schedules: the solver against an exact search, and the limits of time, energy and pages."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from acclimate.recompute import Limits, Moment, Node, Paging, Stage, Step, measure, solve
from acclimate.recompute.exact import chain_step, recursion_cycles, search_cycles
from acclimate.recompute.greedy import greedy
from acclimate.recompute.step import keep_all


def random_chain(rng: random.Random, most: int) -> tuple[list[int], list[int], int, int]:
    """Sizes, cycles, reserve and a budget between the largest node and all of them."""
    count = rng.randint(2, most)
    sizes = [4 * rng.randint(1, 9) for _ in range(count)]
    cycles = [rng.randint(1, 9) for _ in range(count)]
    reserve = 4 * rng.randint(0, 3)
    return sizes, cycles, reserve, reserve + 4 * (rng.randint(max(sizes), sum(sizes)) // 4)


@pytest.mark.parametrize("seed", range(10))
def test_solver_equals_exact_search_on_chains(seed: int) -> None:
    """30 chains per seed; the recursion never beats them."""
    rng = random.Random(seed)
    feasible = 0
    for _ in range(30):
        sizes, cycles, reserve, budget = random_chain(rng, 6)
        check_chain(sizes, cycles, reserve, budget)
        feasible += search_cycles(chain_step(sizes, cycles, reserve), budget) is not None
    assert feasible > 8


@pytest.mark.parametrize("seed", range(3))
def test_solver_equals_exact_search_on_long_chains(seed: int) -> None:
    rng = random.Random(100 + seed)
    sizes = [4 * rng.randint(1, 3) for _ in range(9)]
    cycles = [rng.randint(1, 9) for _ in range(9)]
    for budget in (24, 32, 44):
        check_chain(sizes, cycles, 0, budget)


def check_chain(sizes: list[int], cycles: list[int], reserve: int, budget: int) -> None:
    step = chain_step(sizes, cycles, reserve)
    exact, fast = (
        search_cycles(step, budget),
        recursion_cycles(sizes, cycles, budget, reserve),
    )
    solution = solve(step, Limits(ram_bytes=budget))
    where = f"{sizes} {cycles} {reserve} {budget}"
    if solution is None:
        assert exact is None and fast is None, where
        return
    cost = measure(step, solution)
    assert solution.proven and cost.cycles == exact, where
    assert cost.peak_bytes <= budget, where
    assert fast is None or fast >= cost.cycles, where


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("again", [True, False])
def test_solver_equals_exact_search_on_chains_with_pages(seed: int, again: bool) -> None:
    """40 chains per seed, with copies that are cheap or dear and much or little room for them."""
    rng = random.Random(500 + seed)
    feasible = paged = 0
    for _ in range(40):
        sizes, cycles, reserve, budget = random_chain(rng, 5)
        step = chain_step(sizes, cycles, reserve)
        paging = Paging(0.25 * rng.randint(0, 3), 1.0, 4 * rng.randint(0, 24))
        exact = search_cycles(step, budget, paging, again)
        solution = solve(step, Limits(ram_bytes=budget, paging=paging, again=again))
        where = f"{sizes} {cycles} {reserve} {budget} {paging}"
        assert (solution is None) is (exact is None), where
        if solution is None:
            continue
        cost = measure(step, solution, paging)
        assert solution.proven and cost.cycles == exact, where
        assert cost.peak_bytes <= budget, where
        assert sum(step.nodes[node].size_bytes for node in solution.saved) <= paging.size_bytes
        assert again or not any(solution.computed), where
        feasible, paged = feasible + 1, paged + bool(solution.saved)
    assert feasible > 3 and paged > 1, (feasible, paged)


def test_recursion_is_only_a_bound() -> None:
    """A checkpoint that is dropped early makes room for a larger one; the recursion never does."""
    sizes, cycles = [12, 24, 24, 36, 36, 24], [4, 9, 5, 2, 4, 5]
    assert search_cycles(chain_step(sizes, cycles), 88) == 20
    assert recursion_cycles(sizes, cycles, 88) == 24
    check_chain(sizes, cycles, 0, 88)


def random_step(rng: random.Random) -> Step:
    """Nodes with any inputs before them, scratch, overwritten memory and changed parameters."""
    count = rng.randint(2, 5)
    nodes, last_reader = [], list(range(count))
    for number in range(count):
        inputs = tuple(sorted(rng.sample(range(number), rng.randint(0, min(2, number)))))
        for source in inputs:
            last_reader[source] = number
        last_stage = rng.choice((-1, 1, 9, 9, 9))
        cost = rng.randint(1, 9)
        nodes.append(
            Node(
                f"n{number}",
                4 * rng.randint(1, 9),
                inputs,
                cost,
                2 * cost,
                4 * rng.randint(0, 2),
                last_stage,
            )
        )
    moments = []
    for number in range(count):
        needed = frozenset(i for i in range(number + 1) if last_reader[i] >= number)
        moments.append(Moment(4 * rng.randint(0, 2), needed, frozenset(range(number + 1))))
    stages, free = [], set(range(count))  # nobody reads a node whose memory was overwritten
    for number in range(rng.randint(1, 5)):
        if not free:
            break
        needs = frozenset(rng.sample(sorted(free), rng.randint(1, min(2, len(free)))))
        overwrites = frozenset(rng.sample(sorted(needs), rng.randint(0, 1)))
        free -= overwrites
        sizes = [4 * rng.randint(0, 4) for _ in range(3)]
        stages.append(Stage(count + number, needs, overwrites, *sizes))
    return Step(tuple(nodes), tuple(moments), tuple(stages))


@pytest.mark.parametrize("seed", range(10))
def test_solver_equals_exact_search_on_any_step(seed: int) -> None:
    """20 steps per seed, every other one with a slower memory."""
    rng = random.Random(1000 + seed)
    for number in range(20):
        step = random_step(rng)
        paging = Paging(0.25 * rng.randint(1, 4), 1.0, 4 * rng.randint(4, 20))
        paging = paging if number % 2 else None
        everything = sum(node.size_bytes for node in step.nodes)
        budget = 4 * rng.randint(everything // 8, everything // 4 + 4)
        exact = search_cycles(step, budget, paging)
        solution = solve(step, Limits(ram_bytes=budget, paging=paging))
        if solution is None:
            assert exact is None, step
            continue
        cost = measure(step, solution, paging)
        assert solution.proven and (cost.cycles, True) == (exact, cost.peak_bytes <= budget), step


def test_unlimited_budget_computes_every_node_once() -> None:
    step = chain_step([40, 80, 120, 60], [3, 1, 4, 1])
    for paging in (None, Paging(0.0, 0.0)):
        solution = solve(step, Limits(ram_bytes=10**6, paging=paging))
        assert solution is not None
        assert solution.computed == solution.loaded == (frozenset(),) * 4
        assert not solution.saved
        assert measure(step, solution).cycles == 0


def test_solver_finds_the_least_ram() -> None:
    """A chain of equal nodes needs two of them: the one before and the one that is computed."""
    step = chain_step([100] * 7, [10] * 7)
    least = solve(step, Limits(minimize="ram"))
    assert least is not None and least.proven
    assert measure(step, least).peak_bytes == 200
    assert solve(step, Limits(ram_bytes=196)) is None
    assert solve(step, Limits(ram_bytes=200)) is not None


def test_time_and_energy_are_limits_too() -> None:
    step = chain_step([100] * 6, [10] * 6)
    free = solve(step, Limits(ram_bytes=300))
    assert free is not None
    cycles = step.cycles + measure(step, free).cycles
    assert solve(step, Limits(ram_bytes=300, cycles=cycles)) is not None
    assert solve(step, Limits(ram_bytes=300, cycles=cycles - 1)) is None
    assert solve(step, Limits(ram_bytes=300, energy=cycles - 1)) is None


def test_the_cheaper_of_paging_and_computing_is_taken() -> None:
    """Saving and loading 100 B costs 2 x 100 B; computing costs 10 or 1000."""
    slow = chain_step([100] * 5, [1000] * 5)
    paged = solve(slow, Limits(ram_bytes=300, paging=Paging(1.0, 1.0)))
    assert paged is not None and paged.saved and not any(paged.computed)
    assert all(stage <= paged.saved for stage in paged.loaded)
    quick = chain_step([100] * 5, [10] * 5)
    again = solve(quick, Limits(ram_bytes=300, paging=Paging(1.0, 1.0)))
    assert again is not None and not again.saved and any(again.computed)
    # With energy as the aim the other one wins, since copies need none.
    frugal = Limits(ram_bytes=300, paging=Paging(1.0, 0.0), minimize="energy")
    kind = solve(quick, frugal)
    assert kind is not None and kind.saved and not any(kind.computed)
    full = solve(slow, Limits(ram_bytes=300, paging=Paging(1.0, 1.0, size_bytes=0)))
    assert full is not None and not full.saved


def test_nothing_is_computed_from_a_changed_parameter() -> None:
    """The parameter of node 0 is updated before stage 1: after that it has to be in RAM."""
    nodes = (Node("a", 40, (), 1, 1, 0, 0), Node("b", 40, (0,), 1, 1))
    moments = (
        Moment(0, frozenset({0}), frozenset({0})),
        Moment(0, frozenset({0, 1}), frozenset({0, 1})),
    )
    stages = (Stage(2, frozenset({1})), Stage(3, frozenset({0}), frozenset(), 0, 60, 0))
    step = Step(nodes, moments, stages)
    solution = solve(step, Limits(minimize="ram"))
    assert solution is not None and 0 in solution.kept[1]
    wrong = replace(solution, kept=(frozenset({1}), frozenset()), computed=(frozenset(), {0}))
    with pytest.raises(ValueError, match="cannot be computed"):
        measure(step, wrong)


def test_greedy_is_within_the_budget_it_reports() -> None:
    rng = random.Random(3)
    for _ in range(100):
        sizes, cycles, reserve, budget = random_chain(rng, 8)
        step = chain_step(sizes, cycles, reserve)
        found = greedy(step, budget, frozenset())
        best = solve(step, Limits(ram_bytes=budget))
        assert found is not None
        cost = measure(step, found)
        if cost.peak_bytes <= budget:
            assert best is not None and measure(step, best).cycles <= cost.cycles


def test_schedules_are_the_same_every_time() -> None:
    step = chain_step([4 * (7 * i % 5 + 1) for i in range(12)], [3 + i % 4 for i in range(12)])
    found = {solve(step, Limits(ram_bytes=60)) for _ in range(3)}
    assert len(found) == 1 and None not in found


def test_a_step_that_fits_keeps_everything() -> None:
    step = chain_step([8, 16, 4], [1, 1, 1])
    peak = measure(step, keep_all(step)).peak_bytes
    assert peak == 28
    assert solve(step, Limits(ram_bytes=peak)) == keep_all(step)
