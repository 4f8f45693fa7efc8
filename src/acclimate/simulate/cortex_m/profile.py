# SPDX-License-Identifier: Apache-2.0
"""Where the instructions and the estimated cycles of a call went."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from acclimate.simulate.bare import Image
from acclimate.simulate.cortex_m.counter import Counter


@dataclass(frozen=True)
class Cost:
    """What one line, call or function cost.

    Args:
        name: of the function, or the comment of the call.
        line: of the generated C; 0 for a function.
        instructions: executed, exact.
        cycles: an estimate.
    """

    name: str
    line: int
    instructions: int
    cycles: int


@dataclass(frozen=True)
class Slots:
    """Which line of a function an instruction belongs to.

    Args:
        lines: of the slots; slot 0 is code before the first line.
        numbers: slot per halfword of the code, 0 outside of the function.
    """

    lines: tuple[int, ...]
    numbers: npt.NDArray[np.uint32]


def slots_of(image: Image, function: str, start: int, halfwords: int) -> Slots:
    """The slots of a function in code that begins at `start`."""
    table = image.call_table(function)
    lines = (0, *sorted({line for _, _, line in table}))
    numbers = np.zeros(halfwords, np.uint32)
    for low, high, line in table:
        numbers[(low - start) // 2 : (high - start) // 2] = lines.index(line)
    return Slots(lines, numbers)


def line_costs(counter: Counter, slots: Slots) -> list[Cost]:
    """Cost of every line of the function that was called, with all that the line calls."""
    return [
        Cost("", line, int(instructions), int(cycles))
        for line, instructions, cycles in zip(
            slots.lines, counter.slot_counts, counter.slot_cycles, strict=True
        )
        if instructions
    ]


def function_costs(counter: Counter, image: Image) -> list[Cost]:
    """Cost of every function without those that it calls, the largest first."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for at in np.flatnonzero(counter.counts):
        entry = sums[image.function(counter.code.start + 2 * int(at))]
        entry[0] += int(counter.counts[at])
        entry[1] += int(counter.cycles[at])
    costs = [Cost(name, 0, instructions, cycles) for name, (instructions, cycles) in sums.items()]
    return sorted(costs, key=lambda cost: -cost.cycles)


def call_costs(lines: list[Cost], source: str) -> list[Cost]:
    """Costs of the numbered calls of a generated step.

    Args:
        lines: from `line_costs`.
        source: the C file of the program. A comment that begins with the number of the call stands
            above each.

    Returns:
        One cost per call in the order of the file, named by its comment; a last one named `rest`
        for what belongs to no call, if there is any.
    """
    text = source.splitlines()
    calls, rest = [], [0, 0]
    for cost in lines:
        above = text[cost.line - 2] if 2 <= cost.line <= len(text) else ""
        comment = re.match(r"\s*/\*\s*(\d+\s.*?)\s*\*/\s*$", above)
        if comment:
            calls.append(Cost(comment[1], cost.line, cost.instructions, cost.cycles))
        else:
            rest[0] += cost.instructions
            rest[1] += cost.cycles
    return calls + ([Cost("rest", 0, *rest)] if rest[0] else [])
