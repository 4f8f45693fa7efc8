# SPDX-License-Identifier: Apache-2.0
"""Gives every call its kernel and its scratch memory: the tuned one, or the most promising."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count, islice

from acclimate.kernels.op import Kernel, pick
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.function import OutOfRegisters
from acclimate.kernels.pulp.work import Choice, Generator, Request, Work
from acclimate.program import Buffer, Call, Program, Role, View, describe
from acclimate.targets import Target
from acclimate.tune.cache import find_record
from acclimate.tune.workload import Workload, machine_name, request_of, scratch_words

_WRITTEN = 4  # choices whose code is written before one is taken without a measurement
_REMEMBERED = 10_000  # requests; a step of the largest network here has 600 on one device


def applicable(call: Call, features: Set[str]) -> list[Kernel]:
    """Kernels that may compute this call on a target, in the order of their declaration."""
    values = call.values()
    return [
        kernel
        for kernel in call.op.kernels
        if kernel.needs <= features and pick(kernel.when, values)
    ]


@dataclass
class Chooser:
    """Gives calls their kernels; equal workloads are decided once.

    Args:
        target: what the kernels run on.
        tuned: what was measured decides; else the first applicable kernel of the declaration.
    """

    target: Target
    tuned: bool = True
    _known: dict[str, tuple[Call, int]] = field(default_factory=dict)

    def choose(self, call: Call) -> tuple[Call, int]:
        """The call with its kernel, and the words of its scratch."""
        call = replace(call, kernel=None, scratch=None, choice=None, work=None)
        if not call.op.kernels:
            return call, 0
        workload = str(Workload.of(call))
        if workload not in self._known:
            self._known[workload] = self._decide(call)
        like, words = self._known[workload]
        return replace(call, kernel=like.kernel, choice=like.choice, work=like.work), words

    def _decide(self, call: Call) -> tuple[Call, int]:
        target = self.target
        kernels = applicable(call, target.features)
        found = _tuned(call, kernels, target) if self.tuned and len(kernels) > 1 else None
        for kernel in kernels if found is None else ():
            if kernel.generator is None:
                return replace(call, kernel=kernel), scratch_words(kernel, call, target)
            written = most_promising(kernel, request_of(call, Core.of(target)))
            if written is not None:
                choice, work = written
                return replace(call, kernel=kernel, choice=choice, work=work), work.scratch
        return found or (call, 0)


def select_kernels(
    program: Program, target: Target, *, tuned: bool = True, chooser: Chooser | None = None
) -> Program:
    """Takes a kernel for every call and adds the scratch that it needs.

    Args:
        program: calls without kernels, or with kernels of another target, which are replaced.
        target: what the kernels run on; a kernel of one function has scratch for each core.
        tuned: what was measured decides; else the first applicable kernel of the declaration.
        chooser: that has decided about some of the calls before.
    """
    chooser = chooser or Chooser(target, tuned)
    buffers = {name: b for name, b in program.buffers.items() if b.role is not Role.SCRATCH}
    entries = {}
    for entry in program.entries.values():
        calls = []
        shared: dict[int, str] = {}  # tiles of one call have one scratch
        for call in entry.calls:
            chosen, words = chooser.choose(call)
            if words:
                origin = len(buffers) if call.origin is None else call.origin
                name = shared.setdefault(origin, _scratch_name(entry.name, call, buffers))
                most = max(words, buffers[name].size if name in buffers else 0)
                buffers[name] = Buffer(name, (most,), "f32", Role.SCRATCH, call.source)
                chosen = replace(chosen, scratch=View(name, (words,), (1,)))
            calls.append(chosen)
        entries[entry.name] = replace(entry, calls=tuple(calls))
    return replace(program, buffers=buffers, entries=entries)


def _tuned(call: Call, kernels: list[Kernel], target: Target) -> tuple[Call, int] | None:
    """The call with the kernel that was measured to be the fastest."""
    record = find_record(machine_name(target), str(Workload.of(call)))
    symbols = {kernel.symbol: kernel for kernel in kernels}
    if record is None or record.best.kernel not in symbols:
        return None
    kernel, choice = symbols[record.best.kernel], record.best.choice
    if kernel.generator is None or choice is None:
        return replace(call, kernel=kernel), scratch_words(kernel, call, target)
    try:
        work = kernel.generator.write(request_of(call, Core.of(target)), choice)
    except (OutOfRegisters, KeyError):  # a record of an older version
        return None
    return replace(call, kernel=kernel, choice=choice, work=work), work.scratch


@dataclass(frozen=True)
class _Asked:
    """A kernel and a request, equal to every other pair that has the same numbers."""

    symbol: str
    generator: Generator
    numbers: tuple[object, ...]
    kernel: Kernel = field(compare=False)
    request: Request = field(compare=False)

    @staticmethod
    def of(kernel: Kernel, request: Request) -> _Asked:
        assert kernel.generator is not None
        values = tuple(sorted(request.values.items()))
        numbers = (values, request.operands, request.accumulate, request.core)
        return _Asked(kernel.symbol, kernel.generator, numbers, kernel, request)


@dataclass
class _Written:
    """Choices of a request with their code, which is written when it is first asked for.

    Args:
        left: those that nobody has asked for yet.
        found: the others.
    """

    left: Iterator[tuple[Choice, Work]]
    found: list[tuple[Choice, Work]] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[Choice, Work]]:
        for number in count():
            if number == len(self.found):
                more = next(self.left, None)
                if more is None:
                    return
                self.found.append(more)
            yield self.found[number]


def fitting(kernel: Kernel, request: Request) -> Iterator[tuple[Choice, Work]]:
    """The choices of a generator that fit the core, the most promising first.

    They follow from the numbers of a request, and each is written once in a process: the points of
    a survey have most of their tiles in common.
    """
    return iter(_written(_Asked.of(kernel, request)))


@lru_cache(maxsize=_REMEMBERED)
def _written(asked: _Asked) -> _Written:
    return _Written(_write(asked.generator, asked.request))


def _write(generator: Generator, request: Request) -> Iterator[tuple[Choice, Work]]:
    for choice in generator.choices(request):
        try:
            yield choice, generator.write(request, choice)
        except OutOfRegisters:
            continue


def most_promising(kernel: Kernel, request: Request) -> tuple[Choice, Work] | None:
    """Of the first choices that fit the core, the one with the fewest issue slots."""
    found = islice(fitting(kernel, request), _WRITTEN)
    return min(found, key=lambda pair: pair[1].cycles, default=None)


def _scratch_name(entry: str, call: Call, taken: Mapping[str, Buffer]) -> str:
    """`train.conv1_conv2d_fwd_scratch`, with a number where a layer asks twice."""
    words = re.sub(r"\W+", "_", f"{call.source.module}_{describe(call)}_scratch").strip("_")
    stem = f"{entry}.{f'v_{words}' if words[:1].isdigit() else words}"
    name, count = stem, 2
    while name in taken:
        name, count = f"{stem}_{count}", count + 1
    return name
