# SPDX-License-Identifier: Apache-2.0
"""What was decided for every activation, as a table."""

from __future__ import annotations

from dataclasses import dataclass

from acclimate.program import Entry
from acclimate.recompute.graph import Graph
from acclimate.recompute.step import Paging, Solution, measure


@dataclass(frozen=True)
class Row:
    """One activation of the forward pass.

    Args:
        name: of its buffer.
        module: of the user's model.
        size_bytes: of the activation.
        kept: it stays in RAM from the forward to the backward pass.
        times: how often it is computed again.
        paged: it waits in the slower memory.
    """

    name: str
    module: str
    size_bytes: int
    kept: bool
    times: int
    paged: bool

    @property
    def fate(self) -> str:
        """What happens to it, in words."""
        parts = ["kept"] if self.kept else []
        parts += ["paged"] if self.paged else []
        parts += [f"computed again {self.times} x"] if self.times else []
        return ", ".join(parts) or "dropped"


@dataclass(frozen=True)
class EntrySchedule:
    """The schedule of one entry point.

    Args:
        entry: its name.
        rows: one for every activation that may be computed again.
        before_bytes: arena if everything is kept.
        arena_bytes: arena as planned.
        cycles: of all calls once, by the cost function.
        extra_cycles: beyond those.
        macs: of all calls once.
        extra_macs: beyond those.
        extra_energy: beyond that of all calls once, in its own unit.
        proven: no schedule within the limits is cheaper.
        memory: in which what is paged waits.
    """

    entry: str
    rows: tuple[Row, ...]
    before_bytes: int
    arena_bytes: int
    cycles: int
    extra_cycles: int
    macs: int
    extra_macs: int
    extra_energy: int
    proven: bool
    memory: str = ""

    @property
    def page_bytes(self) -> int:
        """What waits in the slower memory."""
        return sum(row.size_bytes for row in self.rows if row.paged)

    def __str__(self) -> str:
        wide = max((len(row.name) for row in self.rows), default=0)
        slower = _percent(self.extra_cycles, self.cycles)
        place = f" in {self.memory}" if self.memory else ""
        pages = f" pages {self.page_bytes:,} B{place}," if self.page_bytes else ""
        head = (
            f"{self.entry}: arena {self.before_bytes:,} B -> {self.arena_bytes:,} B,{pages}"
            f" cycles {slower}, MACs {_percent(self.extra_macs, self.macs)}"
            f"{', no schedule is cheaper' if self.proven else ''}"
        )
        rows = [f"  {row.name:<{wide}} {row.size_bytes:>10,} B  {row.fate}" for row in self.rows]
        return "\n".join([head, *rows])


@dataclass(frozen=True)
class Schedule:
    """The schedules of those entry points that compute something again."""

    entries: tuple[EntrySchedule, ...] = ()

    @property
    def pages(self) -> bool:
        """True if something waits in the slower memory."""
        return any(row.paged for entry in self.entries for row in entry.rows)

    @property
    def extra_cycles(self) -> int:
        """Of all entry points."""
        return sum(entry.extra_cycles for entry in self.entries)

    def __str__(self) -> str:
        return "\n".join(map(str, self.entries)) or "nothing is computed again"


def describe_schedule(
    graph: Graph,
    solution: Solution,
    paging: Paging | None,
    changed: Entry,
    arenas_bytes: tuple[int, int],
) -> EntrySchedule:
    """The table of one entry point.

    Args:
        graph: before the change.
        solution: that was applied.
        paging: the slower memory.
        changed: the entry point after it.
        arenas_bytes: before and after it.
    """
    cost = measure(graph.step, solution, paging)
    rows = []
    for number, (node, unit) in enumerate(zip(graph.step.nodes, graph.units, strict=True)):
        module = graph.entry.calls[unit.calls[0]].source.module
        kept = bool(solution.kept) and number in solution.kept[0]
        times, paged = solution.times(number), number in solution.saved
        rows.append(Row(node.name, module, node.size_bytes, kept, times, paged))
    macs = sum(call.macs for call in graph.entry.calls)
    return EntrySchedule(
        graph.entry.name,
        tuple(rows),
        *arenas_bytes,
        graph.step.cycles,
        cost.cycles,
        macs,
        sum(call.macs for call in changed.calls) - macs,
        cost.energy,
        solution.proven,
        paging.memory if paging else "",
    )


def _percent(more: int, base: int) -> str:
    return f"{100.0 * more / base:+.1f} %" if base else f"+{more}"
