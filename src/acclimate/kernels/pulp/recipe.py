# SPDX-License-Identifier: Apache-2.0
"""Calls that are contractions: what is prepared, contracted, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from textwrap import indent

import numpy as np

from acclimate.kernels.pulp.contract import Contraction
from acclimate.kernels.pulp.contraction import Block
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.pointers import Taps
from acclimate.kernels.pulp.ranking import ranked
from acclimate.kernels.pulp.sharing import share
from acclimate.kernels.pulp.work import Choice, Elements, Micro, Request, Start, Work, print_starts

BARRIER_CYCLES = 20
_MOST_TAPS = 12  # of a loop body
_TAP_BYTES = 120  # of code, for the largest block
_WORD = 4
_SCALE_CYCLES = (40.0, 4.0)  # of a call, and per element


@dataclass(frozen=True)
class Statement:
    """C that all cores run; `cycles` of each."""

    text: str
    cycles: float


@dataclass(frozen=True)
class Barrier:
    """All cores meet."""


@dataclass(frozen=True)
class Together:
    """Problems with the same rows that all cores compute as if they were one, without an order."""

    problems: tuple[Contraction, ...]


@dataclass(frozen=True)
class Apart:
    """A problem for each core, which it computes alone."""

    problems: tuple[Contraction, ...]


@dataclass(frozen=True)
class Recipe:
    """The steps of a call.

    Args:
        steps: in order.
        loop: (variable, first, end) of a C loop around all steps, or None.
        scratch: f32 words.
    """

    steps: Sequence[Step]
    loop: tuple[str, int, int] | None = None
    scratch: int = 0

    def flat(self, times: int = 1) -> Iterator[tuple[Step, int]]:
        """All steps, with those of recipes inside it, and how often each runs."""
        if self.loop:
            times *= self.loop[2] - self.loop[1]
        for step in self.steps:
            if isinstance(step, Recipe):
                yield from step.flat(times)
            else:
                yield step, times


Step = Contraction | Together | Apart | Statement | Barrier | Recipe
Form = Mapping[str, int]


def _one_form(request: Request) -> Sequence[Form]:
    return ({},)


@dataclass(frozen=True)
class Contractions:
    """Generator of calls that are contractions.

    Args:
        recipes: what a request takes, or nothing where contractions cannot do it. The choice says
            how many taps a loop body unrolls, where that is free to choose, and which form.
        forms: of the recipe that a request may take: numbers that its choices have.
        most: choices that are listed.
    """

    recipes: Callable[[Request, Choice], Sequence[Recipe]]
    forms: Callable[[Request], Sequence[Form]] = _one_form
    most: int = 400

    def choices(self, request: Request) -> Iterator[Choice]:
        """Ways to compute a call, the most promising first."""
        found = [item for form in self.forms(request) for item in self._ranked(request, form)]
        found.sort(key=lambda item: (item[0], str(item[1])))
        # Loads of F registers do not move pointers: more taps in a body share the instruction.
        unrolls = (4, 2, 1) if request.core.float_registers else (1,)
        for _, choice in found[: self.most]:
            for unroll in unrolls:
                yield Choice.of(**dict(choice.items), unroll=unroll)

    def _ranked(self, request: Request, form: Form) -> list[tuple[float, Choice]]:
        """Issue slots and choices of a form, fewest first."""
        recipes = self.recipes(request, Choice.of(**form, unroll=1))
        steps = [item for recipe in recipes for item in recipe.flat()]
        shared = [(step, times) for step, times in steps if isinstance(step, _SHARED)]
        if not shared:
            return []
        cycles = sum(_beside(step, request.core) * times for step, times in steps)
        times = sum(times for _, times in shared)
        largest = max((step for step, _ in shared), key=_terms)
        core = replace(request.core, cores=1) if isinstance(largest, Apart) else request.core
        problems = (largest,) if isinstance(largest, Contraction) else largest.problems
        if isinstance(largest, Apart):
            problems = (max(problems, key=_terms),)
        return [
            (cycles + times * score, Choice.of(**dict(choice.items), **form))
            for score, choice in ranked(problems, core)[: self.most]
        ]

    def write(self, request: Request, choice: Choice) -> Work:
        """The code of a call.

        Raises:
            OutOfRegisters: this choice does not fit the core.
        """
        writer = _Writer(request.core, choice)
        recipes = self.recipes(request, choice)
        printed = [writer.print(recipe) for recipe in recipes]
        body = "".join(text for text, _ in printed)
        cycles = sum(spent for _, spent in printed)
        scratch = max(recipe.scratch for recipe in recipes)
        touch = partial(_touched, writer.shared) if writer.plain else dict
        return Work(body, tuple(writer.micros), cycles, scratch, touch)


_SHARED = (Contraction, Together, Apart)


def _terms(step: Step) -> int:
    """Multiply-accumulates."""
    if isinstance(step, Contraction):
        return step.taps.count * step.columns[0].size * len(step.rows[0])
    return sum(map(_terms, step.problems)) if isinstance(step, Together | Apart) else 0


def _beside(step: Step, core: Core) -> float:
    """Cycles of a step that is no contraction."""
    if isinstance(step, Barrier):
        return BARRIER_CYCLES if core.cores > 1 else 0.0
    return step.cycles if isinstance(step, Statement) else 0.0


class _Writer:
    """Prints recipes, and collects what they call."""

    def __init__(self, core: Core, choice: Choice) -> None:
        self.core, self.choice = core, choice
        self.micros: list[Micro] = []
        self.shared: list[Sequence[Sequence[Start]]] = []
        self.plain = True  # contractions alone, each once: who touches what is known

    def print(self, recipe: Recipe) -> tuple[str, float]:
        """C of a recipe, and its cycles."""
        text, cycles = "", 0.0
        for step in recipe.steps:
            line, spent = self.step(step)
            text += line
            cycles += spent
        if recipe.loop is None:
            return text, cycles
        self.plain = False
        name, first, end = recipe.loop
        head = f"for (int32_t {name} = {first}; {name} < {end}; {name}++) {{\n"
        return f"{head}{indent(text, '    ')}}}\n", cycles * (end - first)

    def step(self, step: Step) -> tuple[str, float]:
        """C of a step, and its cycles."""
        if isinstance(step, Recipe):
            return self.print(step)
        if isinstance(step, Statement):
            self.plain = False
            return f"{step.text}\n", step.cycles
        if isinstance(step, Barrier):
            return ("ac_barrier();\n", BARRIER_CYCLES) if self.core.cores > 1 else ("", 0.0)
        starts, slowest = _starts(step, self.choice, self.core)
        problems = (step,) if isinstance(step, Contraction) else step.problems
        # Bytes share words: who touches what is told for words alone.
        self.plain = self.plain and not any(problem.result.int8 for problem in problems)
        self.shared.append(starts)
        return print_starts(starts, self.micros), slowest


def _starts(
    step: Contraction | Together | Apart, choice: Choice, core: Core
) -> tuple[list[list[Start]], float]:
    """The calls of every core, and the cycles of the slowest one."""
    problems = (step,) if isinstance(step, Contraction) else step.problems
    if not isinstance(step, Apart):
        return share(problems, _fitted(problems[0], choice, core.cores), core)
    one = replace(core, cores=1)
    found = [share((problem,), _fitted(problem, choice, 1), one) for problem in problems]
    return [starts for (starts,), _ in found], max(cycles for _, cycles in found)


def _fitted(problem: Contraction, choice: Choice, cores: int) -> Choice:
    """The choice for a problem that may have fewer rows than the one it was made for."""
    rows = len(problem.rows[0])
    numbers = dict(choice.items)
    numbers["rows"] = min(numbers["rows"], rows)
    while numbers["row_parts"] > rows or cores % numbers["row_parts"]:
        numbers["row_parts"] -= 1  # parts of rows times parts of columns are all cores
    return Choice.of(**numbers)


def _touched(shared: Sequence[Sequence[Sequence[Start]]]) -> dict[str, list[Elements]]:
    """The elements that each core reads and writes, per operand."""
    names = {
        name
        for starts in shared
        for calls in starts
        for start in calls
        for name, _ in start.arguments[:4]
    } - {"NULL", ""}
    if not all(name.isidentifier() for name in names):
        return {}  # an operand with an offset of its own is a part, and the others are not known
    cores = len(shared[0])
    found: dict[str, list[list[Elements]]] = {name: [[] for _ in range(cores)] for name in names}
    for starts in shared:
        for core, calls in enumerate(starts):
            for start in calls:
                for name, elements in _elements(start):
                    if name in names:
                        found[name][core].append(elements)
    nothing = np.zeros(0, np.int64)
    return {
        name: [np.concatenate([nothing, *parts]) for parts in by_core]
        for name, by_core in found.items()
    }


def _elements(start: Start) -> Iterator[tuple[str, Elements]]:
    block = start.micro
    assert isinstance(block, Block)
    (a, at_a), (b, at_b), (c, at_c), (bias, at_bias) = start.arguments[:4]
    rows, outer, inner = (start.arguments[n][1] for n in (4, 5, 6))
    walk, taps = block.walk, block.taps
    spans_a, spans_b = [np.array(taps.a)], [np.array(taps.b)]
    for count, step_a, step_b in taps.loops:
        spans_a.append(np.array([0, (count - 1) * step_a]))
        spans_b.append(np.array([0, (count - 1) * step_b]))
    row_walk = np.arange(rows)
    columns = [np.arange(outer) * walk.outer[0], np.arange(inner) * walk.inner[0]]
    yield a, at_a + _span(np.array(block.rows), row_walk * walk.rows[0], *spans_a)
    if block.columns:
        yield b, at_b + _span(np.array(block.columns), *columns, *spans_b)
        places = np.add.outer(np.array(block.c_rows), np.array(block.c_columns)).reshape(-1)
        for step, count in ((walk.rows[1], rows), (walk.outer[1], outer), (walk.inner[1], inner)):
            if step:
                places = np.add.outer(np.arange(count) * step, places).reshape(-1)
        yield c, at_c + places // 4
    if block.result.bias or block.result.sums:
        by_row = block.result.sums or block.result.bias == "rows"
        lines = np.arange(len(block.rows) if by_row else len(block.columns)) * 4
        steps = [row_walk * walk.rows[2], np.arange(outer) * walk.outer[2]]
        yield bias, at_bias + _span(lines, *steps, np.arange(inner) * walk.inner[2])


def _span(*parts: Elements) -> Elements:
    """All elements between the first and the last one that a sum of offsets reaches."""
    low = sum(int(part.min()) for part in parts)
    high = sum(int(part.max()) for part in parts)
    return np.arange(low // 4, high // 4 + 1)


def scaled(
    dy: str, words: int, at: int, before: Sequence[Statement | Barrier], core: Core
) -> list[Statement | Barrier]:
    """-lr dy in the scratch: sums of it begin with the weights, and end as the new ones.

    Args:
        dy: C of the gradient.
        words: of it.
        at: where in the scratch.
        before: what else is prepared; cores meet once for both.
        core: the machine.
    """
    share = f"core, {core.cores}" if core.cores > 1 else "0, 1"
    place = f"scratch + {at}" if at else "scratch"
    text = f"ac_scale_f32({place}, {dy}, {words}, -lr, {share});"
    cycles = _SCALE_CYCLES[0] + _SCALE_CYCLES[1] * words / core.cores
    return [Statement(text, cycles), *before, *(() if before else (Barrier(),))]


def loops(*counts: tuple[int, int, int]) -> tuple[tuple[int, int, int], ...]:
    """Loops over taps, innermost first, from (count, step of a, step of b) in words.

    Those that run once are left out.
    """
    kept = [(n, a * _WORD, b * _WORD) for n, a, b in counts if n > 1]
    return tuple(kept) or ((1, 0, 0),)


def most_taps(core: Core) -> int:
    """Taps of a loop body: as many as the instruction cache of a core holds, where it is small."""
    if not core.icache_bytes:
        return _MOST_TAPS
    return max(1, min(_MOST_TAPS, core.icache_bytes // _TAP_BYTES))


def unrolled(
    a: Sequence[int],
    b: Sequence[int],
    around: tuple[tuple[int, int, int], ...],
    unroll: int,
    most: int = _MOST_TAPS,
) -> Taps:
    """Taps of a body, several times over where the innermost count is a multiple.

    Args:
        a: offsets of the taps in words.
        b: of the other operand.
        around: of `loops`.
        unroll: how often.
        most: taps of a body.
    """
    count, step_a, step_b = around[0]
    if count % unroll or len(a) * unroll > most:
        unroll = 1
    times = range(unroll)
    return Taps(
        tuple(offset * _WORD + n * step_a for n in times for offset in a),
        tuple(offset * _WORD + n * step_b for n in times for offset in b),
        ((count // unroll, step_a * unroll, step_b * unroll), *around[1:]),
    )
