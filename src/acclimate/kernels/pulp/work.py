# SPDX-License-Identifier: Apache-2.0
"""What a generator gives back for one call: kernels in assembly and the C that shares them out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.isa import Node

Elements = npt.NDArray[np.int64]


class Micro(Protocol):
    """A kernel in assembly: hashable, so that equal ones are written once."""

    @property
    def title(self) -> str:
        """One line that says what it computes."""
        ...

    @property
    def prototype(self) -> str:
        """Its C parameters."""
        ...

    def write(self, core: Core) -> list[Node]:
        """The function."""
        ...


@dataclass(frozen=True)
class Request:
    """A call for which kernels are wanted.

    Args:
        values: dims, attributes and derived scalars of the call.
        operands: names of the optional and other operands that it has.
        accumulate: it adds to its outputs.
        core: the machine.
    """

    values: Mapping[str, Any]
    operands: frozenset[str]
    accumulate: bool
    core: Core


@dataclass(frozen=True)
class Choice:
    """One way to compute a call: numbers by name, e.g. rows=4, columns=5, row_parts=8."""

    items: tuple[tuple[str, int], ...]

    @staticmethod
    def of(**numbers: int) -> Choice:
        """A choice from keyword arguments."""
        return Choice(tuple(sorted(numbers.items())))

    def __getitem__(self, name: str) -> int:
        return dict(self.items)[name]

    def get(self, name: str, default: int) -> int:
        """A number, or a default."""
        return dict(self.items).get(name, default)

    def __str__(self) -> str:
        return " ".join(f"{name}={number}" for name, number in self.items)


@dataclass(frozen=True)
class Start:
    """One call of a kernel by one core.

    Args:
        micro: the kernel.
        arguments: C operand and element offset, or ("", number) for a plain number. An operand that
            is absent is NULL.
    """

    micro: Micro
    arguments: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Work:
    """The code of one call.

    Args:
        body: C statements; `core` is the number of the core, `@0` is the name of micros[0], and
            operands go by their names in the signature, `scratch` and `lr`.
        micros: kernels that the body calls.
        cycles: of the slowest core, estimated from issue slots.
        scratch: f32 words.
        touch: makes `touched`, which only the choice that is taken needs.
    """

    body: str
    micros: tuple[Micro, ...]
    cycles: float
    scratch: int = 0
    touch: Callable[[], Mapping[str, Sequence[Elements]]] = field(default=dict, compare=False)

    @cached_property
    def touched(self) -> Mapping[str, Sequence[Elements]]:
        """Per operand and core: elements read or written, where that is less than all."""
        return self.touch()


class Generator(Protocol):
    """Writes the code of calls of one operator."""

    def choices(self, request: Request) -> Iterable[Choice]:
        """Ways to compute a call, the most promising first; none where it cannot."""
        ...

    def write(self, request: Request, choice: Choice) -> Work:
        """The code of a call.

        Raises:
            OutOfRegisters: this choice does not fit the core.
        """
        ...


def print_starts(starts: Sequence[Sequence[Start]], micros: list[Micro]) -> str:
    """C statements that let every core make its calls.

    Cores that do the same at places in equal steps share a line: `k(w + core * 520, x, ...)`.

    Args:
        starts: calls by core.
        micros: kernels so far; new ones are appended.
    """
    cores = len(starts)
    edges = [0]
    for core in range(1, cores):
        if not _goes_on(starts, edges[-1], core):
            edges.append(core)
    lines = []
    groups = [*pairwise([*edges, cores])]
    for number, (first, end) in enumerate(groups):
        calls = [_line(starts, first, end, n, micros) for n in range(len(starts[first]))]
        if len(groups) == 1:
            lines += calls
            continue
        last = number == len(groups) - 1
        if last and not calls:
            continue
        head = (
            "{"
            if last
            else f"if (core < {end}) {{"
            if end > first + 1
            else f"if (core == {first}) {{"
        )
        lines.append(f"{'} else ' if number else ''}{head}")
        lines += [f"    {call}" for call in calls]
    if len(groups) > 1:
        lines.append("}")
    return "".join(f"{line}\n" for line in lines)


def _goes_on(starts: Sequence[Sequence[Start]], first: int, core: int) -> bool:
    """True if a core makes the calls of those from `first` on, at places in the same steps."""
    if len(starts[core]) != len(starts[first]):
        return False
    second = starts[first + 1]
    before, after = starts[core - 1], starts[core]
    for one, two, old, new in zip(starts[first], second, before, after, strict=True):
        if new.micro is not one.micro and new.micro != one.micro:
            return False
        places = zip(one.arguments, two.arguments, old.arguments, new.arguments, strict=True)
        for (name, a), (_, b), (_, c), (other, d) in places:
            if other != name or d - c != b - a:
                return False
    return True


def _line(
    starts: Sequence[Sequence[Start]], first: int, end: int, number: int, micros: list[Micro]
) -> str:
    call = starts[first][number]
    if call.micro not in micros:
        micros.append(call.micro)
    texts = []
    for position, (name, offset) in enumerate(call.arguments):
        step = 0
        if end > first + 1:
            step = starts[first + 1][number].arguments[position][1] - offset
        texts.append(_place(name, offset - step * first, step))
    return f"@{micros.index(call.micro)}@({', '.join(texts)});"


def _place(name: str, offset: int, step: int) -> str:
    """`w + core * 520`, `w + (core * 520 - 64)`: no address before an operand is ever computed."""
    if not step:
        return f"{name} + {offset}" if name and offset else name or str(offset)
    index = "core" if step == 1 else f"core * {step}"
    if offset:
        index = f"({index} {'-' if offset < 0 else '+'} {abs(offset)})"
    return f"{name} + {index}" if name else index
