# SPDX-License-Identifier: Apache-2.0
"""An abstract training step, a schedule for it, and what the schedule costs.

The forward pass runs once in its own order. From the first call that reads one of its values on,
the step is a row of stages: calls that run exactly once and read nodes, and the calls after them
that read none. At the beginning of a stage, nodes that are missing are computed again or loaded, in
their order and each at most once. Between stages a node stays in RAM only if it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Node:
    """A value of the forward pass that may be computed again.

    Args:
        name: of its buffer.
        size_bytes: of the value.
        inputs: numbers of the nodes that its calls read, all smaller than its own number.
        cycles: of computing it.
        energy: of computing it.
        scratch_bytes: of its calls.
        last_stage: last stage before which its calls still read the same parameters and other
            values as the first time; -1 for never.
    """

    name: str
    size_bytes: int
    inputs: tuple[int, ...] = ()
    cycles: int = 0
    energy: int = 0
    scratch_bytes: int = 0
    last_stage: int = 1 << 30


@dataclass(frozen=True)
class Moment:
    """One call of the forward pass.

    Args:
        fixed_bytes: alive during the call beside the nodes.
        needed: nodes that this call touches, or that exist and a later one of the pass touches.
        computed: nodes that exist; those that are not needed are there only if they are kept.
    """

    fixed_bytes: int
    needed: frozenset[int]
    computed: frozenset[int]


@dataclass(frozen=True)
class Stage:
    """Calls that run exactly once, and that read nodes or stand between two that do.

    Args:
        slot: number of the first call in the entry point; nodes come back before it.
        needs: nodes that the calls read.
        overwrites: nodes whose memory they take for a result.
        before_bytes: alive beside the nodes while missing nodes are computed or loaded.
        during_bytes: the most that is alive beside the nodes up to the last call that reads them.
        after_bytes: the most that is alive beside the nodes in the calls up to the next stage.
    """

    slot: int
    needs: frozenset[int]
    overwrites: frozenset[int] = frozenset()
    before_bytes: int = 0
    during_bytes: int = 0
    after_bytes: int = 0


@dataclass(frozen=True)
class Step:
    """A training step as the solvers see it.

    Args:
        nodes: values that may be computed again, in the order of their first computation.
        moments: calls of the forward pass.
        stages: the rest.
        cycles: of all calls once.
        energy: of all calls once.
    """

    nodes: tuple[Node, ...]
    moments: tuple[Moment, ...]
    stages: tuple[Stage, ...]
    cycles: int = 0
    energy: int = 0

    def ancestors(self, number: int) -> frozenset[int]:
        """A node and all nodes that computing it from nothing takes."""
        found = {number}
        for node in range(number, -1, -1):
            if node in found:
                found.update(self.nodes[node].inputs)
        return frozenset(found)

    def last_use(self) -> list[int]:
        """For every node the last stage that needs it or something computed from it; -1 if none."""
        closures = [self.ancestors(number) for number in range(len(self.nodes))]
        last = [-1] * len(self.nodes)
        for number, stage in enumerate(self.stages):
            for need in stage.needs:
                for node in closures[need]:
                    last[node] = number
        return last


@dataclass(frozen=True)
class Paging:
    """A slower memory in which nodes can wait.

    Args:
        cycles_per_byte: of a copy in either direction.
        energy_per_byte: of a copy in either direction.
        size_bytes: that nodes may take there.
        memory: its name; empty where the device has no names for its memories.
        setup_cycles: of a copy before its first byte.
    """

    cycles_per_byte: float = 1.0
    energy_per_byte: float = 1.0
    size_bytes: int = 1 << 40
    memory: str = ""
    setup_cycles: int = 0

    def cycles(self, node: Node) -> int:
        """Of one copy of a node."""
        return self.setup_cycles + round(self.cycles_per_byte * node.size_bytes)

    def energy(self, node: Node) -> int:
        """Of one copy of a node."""
        return round(self.energy_per_byte * node.size_bytes)


@dataclass(frozen=True)
class Solution:
    """What is kept, computed again, saved and loaded.

    A value never changes, so a node is saved at most once, when it has just been computed.

    Args:
        kept: by stage, nodes in RAM when it begins.
        computed: by stage, nodes that are computed again for it.
        loaded: by stage, nodes that come back from the slower memory for it.
        saved: nodes that are copied to the slower memory in the forward pass.
        proven: no schedule is cheaper.
    """

    kept: tuple[frozenset[int], ...]
    computed: tuple[frozenset[int], ...]
    loaded: tuple[frozenset[int], ...]
    saved: frozenset[int] = frozenset()
    proven: bool = False

    def times(self, node: int) -> int:
        """How often a node is computed again."""
        return sum(node in stage for stage in self.computed)


@dataclass(frozen=True)
class Cost:
    """Of a schedule.

    Args:
        peak_bytes: largest sum of live bytes.
        cycles: beyond those of all calls once.
        energy: beyond that of all calls once.
    """

    peak_bytes: int
    cycles: int
    energy: int


def keep_all(step: Step) -> Solution:
    """The schedule of a step without recomputation: every node stays until its last reader."""
    last = {
        node: number for number, stage in enumerate(step.stages) for node in sorted(stage.needs)
    }
    kept = tuple(
        frozenset(node for node, end in last.items() if end >= number)
        for number in range(len(step.stages))
    )
    none = (frozenset[int](),) * len(step.stages)
    return Solution(kept, none, none, proven=True)


def trim(step: Step, solution: Solution) -> Solution:
    """The schedule without nodes that are kept for nobody."""
    kept = list(solution.kept)
    after: frozenset[int] = frozenset()
    for number in reversed(range(len(kept))):
        back = solution.computed[number] | solution.loaded[number]
        read = {i for node in solution.computed[number] for i in step.nodes[node].inputs}
        kept[number] &= (step.stages[number].needs | after | read) - back
        after = kept[number]
    return replace(solution, kept=tuple(kept))


def measure(step: Step, solution: Solution, paging: Paging | None = None) -> Cost:
    """Runs a schedule on paper.

    Raises:
        ValueError: a value is missing where it is read, or would be computed from other parameters.
    """
    paging = paging or Paging()
    peak = _forward_peak(step, solution.kept[0] if solution.kept else frozenset())
    cycles = sum(paging.cycles(step.nodes[node]) for node in solution.saved)
    energy = sum(paging.energy(step.nodes[node]) for node in solution.saved)
    for number in range(len(step.stages)):
        peak = max(peak, _stage_peak(step, solution, number))
        for node in solution.computed[number]:
            cycles += step.nodes[node].cycles
            energy += step.nodes[node].energy
        for node in solution.loaded[number]:
            cycles += paging.cycles(step.nodes[node])
            energy += paging.energy(step.nodes[node])
    return Cost(peak, cycles, energy)


def total_bytes(step: Step, nodes: frozenset[int] | set[int]) -> int:
    """Sum of the sizes of nodes."""
    return sum(step.nodes[node].size_bytes for node in nodes)


def _forward_peak(step: Step, kept: frozenset[int]) -> int:
    return max(
        (m.fixed_bytes + total_bytes(step, m.needed | (m.computed & kept)) for m in step.moments),
        default=0,
    )


def _stage_peak(step: Step, solution: Solution, number: int) -> int:
    """Live bytes of one stage: of every node that comes back, of its call, and of those after."""
    stage = step.stages[number]
    after = solution.kept[number + 1] if number + 1 < len(step.stages) else frozenset()
    present = set(solution.kept[number])
    back = solution.computed[number] | solution.loaded[number]
    peak = 0
    for node in sorted(back):
        record = step.nodes[node]
        again = node in solution.computed[number]
        if again and (number > record.last_stage or not present >= set(record.inputs)):
            raise ValueError(f"stage {number}: {record.name} cannot be computed")
        if not again and node not in solution.saved:
            raise ValueError(f"stage {number}: {record.name} was not saved")
        wanted = {i for m in solution.computed[number] if m >= node for i in step.nodes[m].inputs}
        wanted |= stage.needs | after
        alive = {i for i in present if i > node or i in wanted} | {node}
        scratch = record.scratch_bytes if again else 0
        peak = max(peak, stage.before_bytes + total_bytes(step, alive) + scratch)
        present.add(node)
    if not present >= stage.needs or not present - stage.overwrites >= after:
        raise ValueError(f"stage {number}: a value is missing")
    during = stage.during_bytes + total_bytes(step, stage.needs | after)
    return max(peak, during, stage.after_bytes + total_bytes(step, after))
