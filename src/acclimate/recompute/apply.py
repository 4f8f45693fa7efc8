# SPDX-License-Identifier: Apache-2.0
"""Writes a schedule into a program: calls that run again, copies to the slower memory and back."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import replace

import numpy as np

from acclimate.kernels.copy.op import COPY, Copy
from acclimate.kernels.op import DTYPES
from acclimate.program import Buffer, Call, Phase, Program, Role, View
from acclimate.recompute.graph import Graph, Unit
from acclimate.recompute.step import Solution


def apply_schedule(program: Program, graph: Graph, solution: Solution, memory: str = "") -> Program:
    """The program with one entry point that follows a schedule.

    Before: a = conv(x); b = conv(a); ...; da = conv_bwd(db, a). After: a = conv(x); b = conv(a);
    ...; a_again = conv(x); da = conv_bwd(db, a_again). The memory of `a` is free in between. A node
    that is paged comes from `a_page`, in a slower memory, to which it is copied in between.

    Args:
        program: that the graph was built from.
        graph: of one of its entry points.
        solution: a schedule for `graph.step`.
        memory: where paged nodes wait: one that cores read, or l3.
    """
    writer = _Writer(program, graph, memory)
    calls = tuple(writer.calls(solution))
    changed = program.with_entry(replace(graph.entry, calls=calls), writer.buffers)
    return replace(changed, values={**program.values, **writer.pages()})


class _Writer:
    """Knows under which name every value is to be found."""

    def __init__(self, program: Program, graph: Graph, memory: str) -> None:
        self.graph, self.buffers, self.memory = graph, dict(program.buffers), memory
        self.page = Role.L3 if memory == Role.L3 else Role.PAGE
        self.owner = {unit.name: unit for unit in graph.units}
        self.place = {name: name for name in self.owner}
        # The value that took over the memory of a node stays there when the node comes back.
        self.taken: dict[str, str] = {}
        self.paged: dict[str, str] = {}

    def calls(self, solution: Solution) -> Iterator[Call]:
        """The calls of the entry point in their new order."""
        stage_of = {stage.slot: number for number, stage in enumerate(self.graph.step.stages)}
        for number, call in enumerate(self.graph.entry.calls):
            if (stage := stage_of.get(number)) is not None:
                yield from self.bring_back(solution.computed[stage], solution.loaded[stage])
            yield self.renamed(call, number)
            for node in sorted(solution.saved):
                if self.graph.units[node].calls[-1] == number:
                    yield self.save(node)

    def bring_back(self, computed: Set[int], loaded: Set[int]) -> Iterator[Call]:
        """Nodes that are missing; those that the same calls set come back together."""
        units = self.graph.units
        wanted = {units[node].name: units[node] for node in computed}
        for node in sorted(computed | loaded):
            unit = units[node]
            if node in loaded:
                yield self.load(unit.name)
            elif unit.name in wanted:
                alike = [u for u in wanted.values() if u.calls == unit.calls]
                for same in alike:
                    del wanted[same.name]
                yield from self.compute(unit, {same.name for same in alike})

    def renamed(self, call: Call, number: int) -> Call:
        """A call that runs once, on the values where they are now."""
        change = {}
        for name in {view.buffer for view in call.views} & set(self.owner):
            end = self.owner[name].end
            if end is not None and number == end:
                self.taken[name] = self.place[name]
            gone = end is not None and number > end
            change[name] = self.taken[name] if gone else self.place[name]
        return _on(call, change)

    def compute(self, unit: Unit, wanted: Set[str]) -> Iterator[Call]:
        """The calls of a unit once more, on buffers of their own."""
        fresh = {name: self.new(name, "again") for name in (unit.name, *unit.others)}
        self.place.update({name: fresh[name] for name in wanted})
        for number in unit.calls:
            call = _on(self.graph.entry.calls[number], {**self.place, **fresh})
            if call.scratch is not None:
                # A scratch of its own: one that is shared would live from call to call.
                scratch = self.new(call.scratch.buffer, "again")
                call = replace(call, scratch=replace(call.scratch, buffer=scratch))
            yield call

    def save(self, node: int) -> Call:
        """The copy of a node to the slower memory."""
        name = self.graph.units[node].name
        self.paged[name] = self.new(name, "page", self.page)
        return self.copy(self.place[name], self.paged[name], inward=False)

    def load(self, name: str) -> Call:
        """The copy of a node from the slower memory."""
        self.place[name] = self.new(name, "again")
        return self.copy(self.paged[name], self.place[name], inward=True)

    def copy(self, source: str, target: str, *, inward: bool) -> Call:
        """A copy that a DMA may make while the calls run on; the plan says who waits for it."""
        buffer = self.buffers[target]
        views = [View(name, (buffer.size,), (1,)) for name in (target, source)]
        phase = Phase.BACKWARD if inward else Phase.FORWARD
        attrs = Copy((buffer.size,), inward)
        return Call(COPY, (views[0],), (views[1],), attrs, phase, buffer.source)

    def new(self, like: str, word: str, role: Role | None = None) -> str:
        """A buffer as another one, under a name of its own."""
        role = role or self.buffers[like].role
        stem = f"{like}_{word}"
        # Static memory has a C name of its own; that of the arena is a member of a union.
        stem = stem.replace(".", "_") if role.persistent else stem
        name, count = stem, 1
        while name in self.buffers:
            count += 1
            name = f"{stem}{count}"
        old = self.buffers[like]
        memory = self.memory if role is self.page else old.memory
        self.buffers[name] = replace(old, name=name, role=role, memory=memory)
        return name

    def pages(self) -> dict[str, np.ndarray]:
        """First values of static buffers in the slower memory."""

        def zeros(buffer: Buffer) -> np.ndarray:
            return np.zeros(buffer.shape, DTYPES[buffer.dtype])

        return {
            name: zeros(self.buffers[name]) for name in self.paged.values() if self.page.persistent
        }


def _on(call: Call, change: dict[str, str]) -> Call:
    """The call with other buffers of the same layout."""

    def moved(view: View | None) -> View | None:
        return view and replace(view, buffer=change.get(view.buffer, view.buffer))

    return replace(
        call,
        inputs=tuple(moved(view) for view in call.inputs),
        outputs=tuple(moved(view) for view in call.outputs),
    )
