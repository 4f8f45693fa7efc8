# SPDX-License-Identifier: Apache-2.0
"""Fits a training step into a RAM budget by computing activations again, or paging them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from acclimate.errors import BadOption, NoSchedule, nearest
from acclimate.plan import Plan, plan
from acclimate.program import Program
from acclimate.recompute.apply import apply_schedule
from acclimate.recompute.graph import CallCost, Graph, build_graph, estimate_cycles
from acclimate.recompute.schedule import Schedule, describe_schedule
from acclimate.recompute.solve import Limits, solve
from acclimate.recompute.step import Paging, Solution, measure, total_bytes

# Packing may leave holes that the schedule does not know of; then it is asked for less.
_ATTEMPTS = 6


def recompute(
    program: Program,
    *,
    ram_bytes: int | None = None,
    modules: Iterable[str] = (),
    cost: CallCost = estimate_cycles,
    energy: CallCost | None = None,
    max_cycles: int | None = None,
    max_energy: int | None = None,
    paging: Paging | None = None,
    again: bool = True,
    minimize: str = "cycles",
    seconds: float = 4.0,
    pack_seconds: float = 5.0,
    planned: Plan | None = None,
) -> tuple[Program, Schedule]:
    """Computes activations again where the arena is too large.

    Before: every activation waits for the backward pass. After: some are computed twice, the
    results are the same, and the planned arena is within the budget.

    Args:
        program: after the last pass, with kernels and scratch.
        ram_bytes: budget for the arena and everything static that changes, as for `plan`.
        modules: drop the activations of these modules of the user's model and of those inside them.
        cost: cycles of a call.
        energy: of a call; in cycles by default.
        max_cycles: of an entry point.
        max_energy: of an entry point.
        paging: a slower memory in which activations may wait.
        again: activations may be computed again; else they can only wait.
        minimize: `cycles` or `energy`.
        seconds: of the solver for each schedule, in its own deterministic seconds.
        pack_seconds: of the exact packing, as `seconds` of `plan`.
        planned: the plan of the program, where it is known.

    Returns:
        The program, and what was decided.

    Raises:
        NoSchedule: none is within the limits; says the smallest budget for which there is
            one.
        BadOption: a module has no activations.
    """
    planned = planned or plan(program, seconds=pack_seconds)
    names, graphs = tuple(modules), {}
    for name, entry in program.entries.items():
        graphs[name] = build_graph(program, entry, cost, energy)
    _check_modules(names, graphs.values())
    # A budget for the arena alone; what is static does not depend on the schedule.
    static_bytes = planned.ram_bytes - planned.arena_bytes
    arena_bytes = None if ram_bytes is None else ram_bytes - static_bytes
    limits = Limits(
        arena_bytes, max_cycles, max_energy, paging, again, frozenset(), minimize, seconds
    )
    tasks = [
        _Task(graph, replace(limits, dropped=_nodes_of(graph, names)), pack_seconds)
        for graph in graphs.values()
    ]
    changed, schedules, left = program, [], paging
    for task in tasks:
        before_bytes = planned.entries[task.name].arena_bytes
        if not task.limits.dropped and (arena_bytes is None or before_bytes <= arena_bytes):
            continue
        task = replace(task, limits=replace(task.limits, paging=left))
        written, least = _within(changed, task)
        if written is None:
            raise _does_not_fit(program, tasks, static_bytes, {task.name: least})
        changed, found = written.program, written.solution
        if left is not None:
            # Pages of one entry point are not those of another.
            taken = total_bytes(task.graph.step, found.saved)
            left = replace(left, size_bytes=left.size_bytes - taken)
        arenas = (before_bytes, written.arena_bytes)
        entry = changed.entries[task.name]
        schedules.append(describe_schedule(task.graph, found, paging, entry, arenas))
    return changed, Schedule(tuple(schedules))


@dataclass(frozen=True)
class _Task:
    """What is asked for one entry point."""

    graph: Graph
    limits: Limits
    pack_seconds: float

    @property
    def name(self) -> str:
        """Of the entry point."""
        return self.graph.entry.name


@dataclass(frozen=True)
class _Written:
    """A program that follows a schedule, and its planned arena."""

    program: Program
    solution: Solution
    arena_bytes: int


def _write(program: Program, task: _Task, solution: Solution) -> _Written:
    memory = task.limits.paging.memory if task.limits.paging else ""
    changed = apply_schedule(program, task.graph, solution, memory)
    alone = replace(changed, entries={task.name: changed.entries[task.name]})
    return _Written(changed, solution, plan(alone, seconds=task.pack_seconds).arena_bytes)


def _within(program: Program, task: _Task) -> tuple[_Written | None, _Written | None]:
    """The cheapest schedule whose planned arena is within the budget; None if there is none.

    The second one is that with the least RAM, where it was looked for.
    """
    limits, budget = task.limits, task.limits.ram_bytes
    for attempt in range(_ATTEMPTS):
        solution = _solve(task.graph, limits)
        if solution is None:
            break
        proven = solution.proven and attempt == 0
        written = _write(program, task, replace(solution, proven=proven))
        if budget is None or written.arena_bytes <= budget:
            return written, None
        peak = measure(task.graph.step, solution, limits.paging).peak_bytes
        limits = replace(limits, ram_bytes=peak - (written.arena_bytes - budget))
    least = _least(program, task)
    fits = least is not None and (budget is None or least.arena_bytes <= budget)
    return least if fits else None, least


def _solve(graph: Graph, limits: Limits) -> Solution | None:
    """The cheapest schedule; where modules are named, the one of least RAM among those."""
    solution = solve(graph.step, limits)
    if solution is None or not limits.dropped:
        return solution
    cost = measure(graph.step, solution, limits.paging)
    capped = replace(limits, minimize="ram")
    if limits.minimize == "cycles":
        capped = replace(capped, cycles=graph.step.cycles + cost.cycles)
    else:
        capped = replace(capped, energy=graph.step.energy + cost.energy)
    smallest = solve(graph.step, capped)
    return solution if smallest is None else replace(smallest, proven=solution.proven)


def _least(program: Program, task: _Task) -> _Written | None:
    """The cheapest schedule of those with the least RAM; None if time or energy do not do."""
    step, limits = task.graph.step, task.limits
    solution = solve(step, replace(limits, minimize="ram", ram_bytes=None))
    if solution is None:
        return None
    peak = measure(step, solution, limits.paging).peak_bytes
    cheapest = solve(step, replace(limits, ram_bytes=peak))
    return _write(program, task, cheapest or solution)


def _does_not_fit(
    program: Program,
    tasks: Sequence[_Task],
    static_bytes: int,
    known: Mapping[str, _Written | None],
) -> Exception:
    """With the smallest budget that would do for all entry points; `known` is it for some."""
    needed = {}
    for task in tasks:
        least = known[task.name] if task.name in known else _least(program, task)
        if least is None:
            dropped = [task.graph.step.nodes[node].name for node in sorted(task.limits.dropped)]
            return NoSchedule(
                f"no schedule of {task.name} is within the limits of time and energy, or what is to"
                " be dropped cannot be computed again before it is read",
                found=f"to be dropped: {', '.join(dropped) or 'nothing'}",
                hint="name fewer modules, or allow more cycles",
            )
        needed[task.name] = least.arena_bytes
    name = max(needed, key=needed.__getitem__)
    least_bytes = needed[name] + static_bytes
    asked = (tasks[0].limits.ram_bytes or 0) + static_bytes
    return NoSchedule(
        f"{name} needs {least_bytes:,} B of RAM even with activations {_done(tasks[0].limits)};"
        f" the budget is {asked:,} B",
        found=f"arena {needed[name]:,} B, static {static_bytes:,} B",
        hint=f"budget={{'ram': {least_bytes}}}, or train fewer layers",
    )


def _done(limits: Limits) -> str:
    """What happens to activations that are not kept."""
    late = "" if limits.cycles is None else f" within {limits.cycles:,} cycles"
    if limits.paging is None:
        return f"computed again{late}" if limits.again else f"kept, for want of a place{late}"
    room = f"paged to {limits.paging.size_bytes:,} B of {limits.paging.memory or 'slower memory'}"
    return f"computed again or {room}{late}" if limits.again else f"{room}{late}"


def _inside(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def _modules(graph: Graph, node: int) -> set[str]:
    """Modules of the calls of a node."""
    return {graph.entry.calls[call].source.module for call in graph.units[node].calls}


def _nodes_of(graph: Graph, modules: tuple[str, ...]) -> frozenset[int]:
    """Nodes that one of the modules, or one inside it, computes."""
    return frozenset(
        node
        for node in range(len(graph.units))
        if any(_inside(module, name) for module in _modules(graph, node) for name in modules)
    )


def _check_modules(modules: tuple[str, ...], graphs: Iterable[Graph]) -> None:
    known = {
        module
        for graph in graphs
        for node in range(len(graph.units))
        for module in _modules(graph, node)
    }
    for name in modules:
        if not any(_inside(module, name) for module in known):
            raise BadOption(
                f"no activation of {name!r} waits for the backward pass",
                hint=nearest(name, known - {""}),
            )
