# SPDX-License-Identifier: Apache-2.0
"""The memory that learning takes on top of inference, with a reason for every byte.

*Training memory* of a step = static bytes that change (trained parameters, running statistics,
gradient sums, optimizer state) + the peak, over the calls of the step, of the arena bytes that
exist because of learning. Those are the live buffers that a backward or update call touches:
activations kept for it, temporaries that it makes, scratch that it asks for. Buffers that only
forward calls touch would be there without learning and are left out; so are frozen weights (flash)
and the caller's x and y.

The definition looks at buffers, not at a range of calls, so it does not depend on how the planner
mixes forward and backward calls. It is not the RAM of the device: that is `Memory.ram_bytes`, where
the forward-only buffers share the arena with the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from acclimate.plan import EntryPlan, Lifetime, Plan
from acclimate.program import Call, Entry, Phase, Program, Role, describe

# The ways to learn; the entry points of one way run after each other on the same arena.
WAYS = (("train",), ("accumulate", "apply"))


class Use(StrEnum):
    """What an arena buffer of an entry point is there for."""

    FORWARD = "forward"  # made and used by forward calls only
    KEPT = "kept"  # made by a forward call, used by a backward or update call
    BACKWARD = "backward"  # made by a backward or update call
    SCRATCH = "scratch"  # work space of one call
    TILE = "tiled"  # holds parts of a larger buffer in the fast memory


class Kind(StrEnum):
    """A part of the training memory."""

    PARAMETER = "trained parameters"  # Role.PARAMETER: what learns
    STATISTIC = "running statistics"  # Role.STATISTIC: of norms in train mode
    GRADIENT = "gradient sums"  # Role.GRADIENT: over the samples of a mini-batch, and their count
    STATE = "optimizer state"  # Role.STATE: moments, counters, seed of the random numbers
    PAGE = "paged activations"  # Role.PAGE: in slower memory between forward and backward pass
    KEPT = (
        "kept activations"  # Use.KEPT: from their first write by a forward call to their last use
    )
    BACKWARD = "backward temporaries"  # Use.BACKWARD: gradients of activations and of parameters
    SCRATCH = "scratch"  # Use.SCRATCH of backward and update calls
    TILE = "tiles"  # Use.TILE of backward and update calls: parts of the others in the fast memory


_STATIC = {
    Role.PARAMETER: (Kind.PARAMETER, "learns"),
    Role.STATISTIC: (Kind.STATISTIC, "follows the mean or variance of the batches"),
    Role.GRADIENT: (Kind.GRADIENT, "adds up over the samples of a mini-batch"),
    Role.STATE: (Kind.STATE, "is kept by the optimizer between steps"),
    Role.PAGE: (Kind.PAGE, "waits in slower memory for the backward pass"),
}
_ARENA = {
    Use.KEPT: Kind.KEPT,
    Use.BACKWARD: Kind.BACKWARD,
    Use.SCRATCH: Kind.SCRATCH,
    Use.TILE: Kind.TILE,
}


@dataclass(frozen=True)
class Part:
    """One buffer of the training memory.

    Args:
        name: of the buffer.
        kind: which part it belongs to.
        size_bytes: its bytes; in the arena with the padding to the next aligned address.
        why: what needs it.
    """

    name: str
    kind: Kind
    size_bytes: int
    why: str


@dataclass(frozen=True)
class TrainingMemory:
    """Training memory of one way to learn, see the head of this file.

    Args:
        entries: entry points of one step: train, or accumulate and apply.
        parts: every buffer that counts, static ones first, then the arena at the peak.
        peak_entry: entry point in which the arena part peaks.
        peak_call: number of the call in it where the arena part peaks.
        kept_bytes: all kept activations of the largest entry point, alive together or not.
        backward_peak_bytes: largest sum of backward temporaries alive at once.
        scratch_peak_bytes: largest scratch of one backward or update call.
        caller_bytes: inputs and targets that a backward call reads: the caller must keep them; not
            part of the sum.
        published_bytes: what `published_classifier_bytes` gives where exactly one linear layer
            learns, else None.
    """

    entries: tuple[str, ...]
    parts: tuple[Part, ...]
    peak_entry: str
    peak_call: int
    kept_bytes: int
    backward_peak_bytes: int
    scratch_peak_bytes: int
    caller_bytes: int
    published_bytes: int | None

    @property
    def total_bytes(self) -> int:
        """Sum of all parts."""
        return sum(part.size_bytes for part in self.parts)

    def bytes_by_kind(self) -> dict[Kind, int]:
        """Sum of the parts of every kind, zeros included."""
        return {
            kind: sum(part.size_bytes for part in self.parts if part.kind is kind) for kind in Kind
        }


def published_classifier_bytes(C: int, N: int) -> int:
    """Published memory of a classifier-only update in float32: 4 (3 C N + C + N) bytes.

    Two of the three C*N are the weight and its gradient; what the third is has not been published.

    Args:
        C: features that the classifier reads.
        N: classes.

    Source: fits the memory column (9.5, 25.5, 40.9 kB for DS-CNN S, M, L; C = 64, 172, 276, N = 12)
    of C. Cioflan's slides "On-Device Domain Adaptation on a multi-core MCU", which do not give it.
    """
    return 4 * (3 * C * N + C + N)


def short_name(name: str, entry: str) -> str:
    """The name of a buffer within its entry point: `train.relu` -> `relu`."""
    return name.removeprefix(f"{entry}.")


def buffer_uses(program: Program, entry: Entry) -> dict[str, Use]:
    """What every arena buffer of an entry point is there for."""
    touched = _touched_by_learning(entry)
    uses: dict[str, Use] = {}
    for call in entry.calls:
        for view in call.views:
            role = program.buffers[view.buffer].role
            if not role.in_arena or view.buffer in uses:
                continue
            if role is Role.SCRATCH:
                uses[view.buffer] = Use.SCRATCH
            elif role is Role.TILE:
                uses[view.buffer] = Use.TILE
            elif call.phase is not Phase.FORWARD:
                uses[view.buffer] = Use.BACKWARD
            else:
                uses[view.buffer] = Use.KEPT if view.buffer in touched else Use.FORWARD
    return uses


def _touched_by_learning(entry: Entry) -> set[str]:
    """Buffers that a backward or update call reads, writes or works in."""
    calls = [call for call in entry.calls if call.phase is not Phase.FORWARD]
    return {view.buffer for call in calls for view in call.views}


def training_memory(program: Program, plan: Plan) -> tuple[TrainingMemory, ...]:
    """The training memory of every way to learn that the program has; none for predict alone."""
    ways = [way for way in WAYS if set(way) <= set(program.entries)]
    return tuple(_of_way(program, plan, way) for way in ways)


def _of_way(program: Program, plan: Plan, way: Sequence[str]) -> TrainingMemory:
    arenas = {name: _Arena(program, program.entries[name], plan.entries[name]) for name in way}
    peak_entry = max(arenas, key=lambda name: arenas[name].peak_bytes)
    arena = arenas[peak_entry]
    static = _static_parts(program, [program.entries[name] for name in way])
    return TrainingMemory(
        entries=tuple(way),
        parts=(*static, *arena.parts()),
        peak_entry=peak_entry,
        peak_call=arena.numbers[arena.peak_call] if arena.numbers else 0,
        kept_bytes=max(a.sum_of(Use.KEPT) for a in arenas.values()),
        backward_peak_bytes=max(a.peak_of(Use.BACKWARD) for a in arenas.values()),
        scratch_peak_bytes=max(a.peak_of(Use.SCRATCH) for a in arenas.values()),
        caller_bytes=max(_caller_bytes(program, program.entries[name]) for name in way),
        published_bytes=_published(program, static),
    )


def _static_parts(program: Program, entries: Sequence[Entry]) -> list[Part]:
    used = {view.buffer for entry in entries for call in entry.calls for view in call.views}
    parts = []
    for role, (kind, why) in _STATIC.items():
        for b in program.buffers.values():
            if b.role is role and b.name in used:
                parts.append(Part(b.name, kind, b.size_bytes, f"{b.path or b.name} {why}"))
    return parts


def _caller_bytes(program: Program, entry: Entry) -> int:
    found = [program.buffers[name] for name in _touched_by_learning(entry)]
    return sum(b.size_bytes for b in found if b.role in (Role.INPUT, Role.TARGET))


def _published(program: Program, static: Sequence[Part]) -> int | None:
    """4 (3 C N + C + N) if what learns is one weight[N,C], with its bias[N] or without."""
    names = [part.name for part in static if part.kind is Kind.PARAMETER]
    shapes = sorted((program.buffers[name].shape for name in names), key=len, reverse=True)
    if (
        not shapes
        or len(shapes) > 2
        or len(shapes[0]) != 2
        or shapes[1:] not in ([], [shapes[0][:1]])
    ):
        return None
    N, C = shapes[0]
    return published_classifier_bytes(C, N)


class _Arena:
    """The part of one entry point's arena that exists because of learning."""

    def __init__(self, program: Program, entry: Entry, plan: EntryPlan) -> None:
        self.entry = entry.name
        self.numbers = entry.numbers
        self.layers: tuple[tuple[Call, ...], ...] = entry.layers()
        self.uses: Mapping[str, Use] = buffer_uses(program, entry)
        learning = _touched_by_learning(entry)
        self.lives = [life for life in plan.lives if life.buffer.name in learning]
        live = self._live_bytes(self.lives)
        self.peak_call = max(range(len(live)), key=live.__getitem__)
        self.peak_bytes = live[self.peak_call]

    def _live_bytes(self, lives: Sequence[Lifetime]) -> list[int]:
        return [
            sum(life.size_bytes for life in lives if life.first <= number <= life.last)
            for number in range(len(self.numbers))
        ] or [0]

    def _used_for(self, use: Use) -> list[Lifetime]:
        return [life for life in self.lives if self.uses[life.buffer.name] is use]

    def sum_of(self, use: Use) -> int:
        """Bytes of all buffers of one use."""
        return sum(life.size_bytes for life in self._used_for(use))

    def peak_of(self, use: Use) -> int:
        """Largest sum of live bytes of the buffers of one use."""
        return max(self._live_bytes(self._used_for(use)))

    def parts(self) -> list[Part]:
        """The buffers alive at the peak, the largest first within their kind."""
        alive = [life for life in self.lives if life.first <= self.peak_call <= life.last]
        order = list(_ARENA)
        alive.sort(key=lambda life: (order.index(self.uses[life.buffer.name]), -life.size_bytes))
        return [
            Part(
                short_name(life.buffer.name, self.entry),
                _ARENA[self.uses[life.buffer.name]],
                life.size_bytes,
                self._why(life),
            )
            for life in alive
        ]

    def _why(self, life: Lifetime) -> str:
        if self.uses[life.buffer.name] is Use.SCRATCH:
            return f"work space of call {self._call(life.first)}"
        if self.uses[life.buffer.name] is Use.TILE:
            return f"part of a larger buffer for call {self._call(life.last)}"
        return f"made by call {self._call(life.first)}, last used by call {self._call(life.last)}"

    def _call(self, number: int) -> str:
        shown = self.numbers[number]
        return f"{shown} {describe(self.layers[shown][0])}"
