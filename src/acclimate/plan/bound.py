# SPDX-License-Identifier: Apache-2.0
"""What a program takes at least, in whatever order its calls run: too much is refused at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from acclimate.errors import DoesNotFit
from acclimate.plan.lifetimes import ALIGNMENT_BYTES
from acclimate.plan.order import dependencies
from acclimate.program import Buffer, Call, Entry, Program, Role
from acclimate.targets import Memory

_SHOWN = 3


@dataclass(frozen=True)
class Least:
    """The call of an entry point during which most bytes are alive in every order of the calls.

    Args:
        entry: its name.
        call: its number.
        buffers: that are alive then.
    """

    entry: str
    call: int
    buffers: tuple[Buffer, ...]

    @property
    def size_bytes(self) -> int:
        """Of all of them: no arena is smaller."""
        return _sum_bytes(self.buffers)


def least_live(program: Program, entry: Entry) -> Least:
    """What is alive during a call whatever order the calls run in.

    A buffer is, if something that must come before the call uses it, and something behind it too.

    Args:
        program: whose buffers the calls use.
        entry: with scratch.
    """
    before = _before(entry.calls)
    users: dict[str, int] = {}  # a bit per call
    for number, call in enumerate(entry.calls):
        for view in call.views:
            if program.buffers[view.buffer].role.in_arena:
                users[view.buffer] = users.get(view.buffer, 0) | 1 << number
    behind = [0] * len(before)
    for number, earlier in enumerate(before):
        for other in range(number):
            if earlier >> other & 1:
                behind[other] |= 1 << number
    least = Least(entry.name, 0, ())
    for number, (earlier, later) in enumerate(zip(before, behind, strict=True)):
        own = 1 << number
        alive = [name for name, bits in users.items() if bits & (earlier | own)]
        alive = [name for name in alive if users[name] & (later | own)]
        found = Least(entry.name, number, tuple(program.buffers[name] for name in alive))
        least = max(least, found, key=lambda one: one.size_bytes)
    return least


def _before(calls: Sequence[Call]) -> list[int]:
    """For every call all calls that must come before it, a bit each."""
    found: list[int] = []
    for needs in dependencies(calls):
        bits = 0
        for other in needs:
            bits |= found[other] | 1 << other
        found.append(bits)
    return found


def check_bound(program: Program, memories: Sequence[Memory], limits: Mapping[str, int]) -> None:
    """Refuses a program that no order of calls and no tiles would fit.

    Args:
        program: with scratch.
        memories: of the device.
        limits: budgets by memory name [B], `ram` for all that changes.

    Raises:
        DoesNotFit: names the largest buffers that are alive at once.
    """
    least = max((least_live(program, e) for e in program.entries.values()), key=_size)
    constant = any(not memory.writable for memory in memories)
    static = [b for b in program.buffers.values() if b.role.persistent and not b.role.behind]
    changing = [b for b in static if b.role is not Role.FROZEN]
    rooms = {
        m.name: min(m.usable_bytes, limits.get(m.name, m.usable_bytes))
        for m in memories
        if m.writable
    }
    beside = changing if constant else static
    if least.size_bytes + _sum_bytes(beside) > sum(rooms.values()):
        usable = ", ".join(f"{name} {size:,} B" for name, size in rooms.items())
        where = f"in the memories of the device; usable are {usable}"
        raise _too_large(program, least, beside, where)
    beside = [b for b in changing if b.role is not Role.PAGE]
    if "ram" in limits and least.size_bytes + _sum_bytes(beside) > limits["ram"]:
        raise _too_large(program, least, beside, f"of RAM; the budget is {limits['ram']:,} B")


def _too_large(program: Program, least: Least, beside: Sequence[Buffer], where: str) -> DoesNotFit:
    every = sorted((*least.buffers, *beside), key=lambda b: -b.size_bytes)
    listed = ", ".join(
        f"{b.name} {b.size_bytes:,} B {b.dtype}{list(b.shape)}" for b in every[:_SHOWN]
    )
    alive = max(least.buffers, key=lambda b: b.size_bytes, default=None)
    return DoesNotFit(
        f"{program.name} needs {_sum_bytes(every):,} B or more {where}",
        found=f"at call {least.call} of {least.entry} {least.size_bytes:,} B are alive in every"
        f" order of the calls; largest of all: {listed}",
        where=str(alive.source) if alive else None,
        hint="recompute='auto' takes less RAM and more cycles; or train fewer layers, take a"
        " smaller model, or --target with more memory",
    )


def _size(least: Least) -> int:
    return least.size_bytes


def _sum_bytes(buffers: Iterable[Buffer]) -> int:
    return sum(-(-b.size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES for b in buffers)
