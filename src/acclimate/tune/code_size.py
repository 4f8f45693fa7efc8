# SPDX-License-Identifier: Apache-2.0
"""Kernels that take less memory for code, where code and data share a memory that is too small.

Every shape of a tile has kernels of its own. Some choices need more of them than others for a few
cycles less, above all where the blocks at borders and at the ends of rows are made apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from typing import Any

from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.isa import size
from acclimate.kernels.pulp.work import Choice, Work
from acclimate.program import Call, Program
from acclimate.targets import Target
from acclimate.tune.cache import find_record
from acclimate.tune.select import fitting
from acclimate.tune.workload import Workload, machine_name, request_of

_COMPARED = 24  # choices of a call
# Measured on the step of MobileNet in tiles: code of a call or a copy with its wait, as it is and
# compiled for size; of a C statement that starts a kernel; of what every program has.
_CALL_BYTES, _COMPACT_BYTES = 70, 52
_START_BYTES = 66
_RUNTIME_BYTES = 8192
_PRICES = (0.3, 0.5, 0.7, 1.0, 1.4, 2.0)  # cycles that a byte less may cost, tried in this order


def code_bytes(program: Program, target: Target) -> int:
    """Bytes of the code of a program with kernels on a PULP core: an estimate."""
    works = [call.work for call in program.calls() if call.work is not None]
    core, micros = Core.of(target), set[Any]()
    micros.update(*(work.micros for work in works))
    # Equal calls share the statements that start their kernels.
    starts = sum({work.body: _starts_bytes(work) for work in works}.values())
    kernels = sum(_bytes(micro, core) for micro in micros)
    return kernels + starts + _calls_bytes(program)


def spare_code(program: Program, target: Target, used_bytes: int) -> tuple[Program, list[str]]:
    """Takes less code if code and data would not fit the memory that they share.

    First what starts the calls is compiled for size, then kernels with less code are taken.

    Args:
        program: with kernels.
        target: code lies in its last memory if that can be written.
        used_bytes: of that memory, for arena, static tensors, inputs and outputs.

    Returns:
        The program, and what was decided, a line each; none where nothing had to change.
    """
    memory = target.memories[-1]
    room = memory.size_bytes - used_bytes
    if not memory.writable or code_bytes(program, target) <= room:
        return program, []
    changes = []
    if not program.compact:
        before = _calls_bytes(program)
        program = replace(program, compact=True)
        saved = before - _calls_bytes(program)
        changes.append(f"calls of {before:,} B take {saved:,} B less: {memory.name} holds code too")
    room -= _calls_bytes(program)
    choices = _Choices.of(program, target)
    before = choices.code_bytes()
    for price in _PRICES:
        if choices.code_bytes() <= room:
            break
        choices.take(price)
    after = choices.code_bytes()
    if after == before:
        return program, changes
    changes.append(f"kernels of {before:,} B take {after:,} B: {memory.name} holds code too")
    return choices.applied(program), changes


def _calls_bytes(program: Program) -> int:
    each = _COMPACT_BYTES if program.compact else _CALL_BYTES
    return _RUNTIME_BYTES + each * len(list(program.calls()))


@dataclass
class _Like:
    """Calls with the same shapes.

    Args:
        options: choices with their code; the fastest first.
        scratch: f32 words that they have.
        calls: how many there are.
        taken: number of an option.
    """

    options: Sequence[tuple[Choice | None, Work]]
    scratch: int
    calls: int = 0
    taken: int = 0

    @property
    def work(self) -> Work:
        return self.options[self.taken][1]


@dataclass
class _Choices:
    """Which kernels the calls of a program have.

    Args:
        core: that runs them.
        likes: calls by their workload.
        users: of every kernel in assembly: so many workloads.
    """

    core: Core
    likes: dict[str, _Like] = field(default_factory=dict)
    users: Counter[Any] = field(default_factory=Counter)

    @staticmethod
    def of(program: Program, target: Target) -> _Choices:
        """The choices as they are; what was measured on a device has no other ones."""
        found = _Choices(Core.of(target))
        for call in program.calls():
            if call.work is None:
                continue
            workload = str(Workload.of(call))
            if workload not in found.likes:
                tuned = find_record(machine_name(target), workload) is not None
                options = [(call.choice, call.work), *(() if tuned else _others(call, found.core))]
                found.likes[workload] = _Like(options, call.work.scratch)
                found.users.update({*call.work.micros})
            found.likes[workload].calls += 1
        return found

    def code_bytes(self) -> int:
        """Bytes of the kernels and of the C that starts them."""
        kernels = sum(_bytes(micro, self.core) for micro, users in self.users.items() if users)
        return kernels + sum(_starts_bytes(like.work) for like in self.likes.values())

    def take(self, price: float) -> None:
        """Takes for each workload what costs least, with so many cycles for a byte."""
        for like in self.likes.values():
            self.users.subtract({*like.work.micros})
            like.taken = min(range(len(like.options)), key=lambda n: self._cost(like, n, price))
            self.users.update({*like.work.micros})

    def _cost(self, like: _Like, number: int, price: float) -> float:
        work = like.options[number][1]
        if work.scratch > like.scratch:
            return float("inf")
        own: set[Any] = {*work.micros}
        code = sum(_bytes(micro, self.core) for micro in own if not self.users[micro])
        return like.calls * work.cycles + price * (code + _starts_bytes(work))

    def applied(self, program: Program) -> Program:
        """The program with these choices."""
        entries = {
            name: replace(entry, calls=tuple(map(self._changed, entry.calls)))
            for name, entry in program.entries.items()
        }
        return replace(program, entries=entries)

    def _changed(self, call: Call) -> Call:
        if call.work is None:
            return call
        like = self.likes[str(Workload.of(call))]
        choice, work = like.options[like.taken]
        return replace(call, choice=choice, work=work)


def _starts_bytes(work: Work) -> int:
    return _START_BYTES * work.body.count(";")


def _others(call: Call, core: Core) -> list[tuple[Choice, Work]]:
    assert call.kernel is not None
    return list(islice(fitting(call.kernel, request_of(call, core)), _COMPARED))


@cache
def _bytes(micro: Any, core: Core) -> int:
    return 4 * size(micro.write(core))
