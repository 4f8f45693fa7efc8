# SPDX-License-Identifier: Apache-2.0
"""Cuts planes into strips, and finds the strips that share code."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from math import gcd

from acclimate.kernels.pulp.depthwise_axis import Axis, Lane, depth_of, lanes, roll_of, steps_of
from acclimate.kernels.pulp.depthwise_strip import Pair, Run
from acclimate.kernels.pulp.isa import IMMEDIATE
from acclimate.kernels.pulp.partition import even, walks

_WORD = 4
_BANKS = 16
_CONFLICTS = 0.01  # of the time, where a strip touches all banks
_STRIP_SLOTS = 14.0  # pointers and loops of a strip
_FAR_SLOTS = 2.0  # a step of a pointer that no immediate holds
_FORMS = 2  # lanes of an axis whose code differs, at most, about


@cache
def cut(lane: Lane, width: int) -> tuple[Lane, ...]:
    """Strips of at most `width` targets: cut evenly, or with what is left over at both borders.

    Borders see less than others and need code of their own anyway, so that the second way often
    needs less code.
    """
    count = len(lane.targets)
    cuts = [even(count, width)]
    if len(cuts[0]) > 2:
        rest = count - (len(cuts[0]) - 2) * width
        cuts.append([rest // 2, *[width] * (len(cuts[0]) - 2), rest - rest // 2])
        cuts.append([*[width] * (len(cuts[0]) - 1), rest - width])
    found = []
    for sizes in cuts:
        parts, at = [], 0
        for size in sizes:
            parts.append(lane.part(at, at + size))
            at += size
        found.append(tuple(part for part in parts if part.targets))
    return min(found, key=lambda parts: len({relative(part)[0] for part in parts}))


@cache
def relative(lane: Lane) -> tuple[Lane, int, int]:
    """The lane counted from its first source and target, and where these are."""
    source, target = next(iter(lane.sources), 0), lane.targets[0]
    targets = tuple(t - target for t in lane.targets)
    return Lane(targets, tuple(s - source for s in lane.sources), lane.meets), source, target


@cache
def runs_of(
    walk: Axis, across: Axis, width: int, every: bool, source: Pair, target: Pair
) -> tuple[Pair, tuple[Run, ...]]:
    """All strips of a plane.

    Args:
        walk: axis along the strips.
        across: axis that is cut.
        width: most targets of a strip.
        every: with targets that meet nothing.
        source: bytes from cell to cell, along and across.
        target: the same.

    Returns:
        The place (source, target) of the first strip in bytes, and runs relative to it.
    """
    places: dict[tuple[Lane, Lane], list[Pair]] = defaultdict(list)
    for long in lanes(walk, every):
        along, *from_long = relative(long)
        for wide in lanes(across, every):
            for strip in cut(wide, width):
                form, *from_wide = relative(strip)
                places[along, form].append(
                    (
                        from_long[0] * source[0] + from_wide[0] * source[1],
                        from_long[1] * target[0] + from_wide[1] * target[1],
                    )
                )
    if not places:
        return (0, 0), ()
    base = next(iter(places.values()))[0]
    runs = []
    for (along, form), all_of_form in places.items():
        for first, outer, inner, outer_step, step in walks(all_of_form):
            at = all_of_form[first]
            runs.append(
                Run(
                    along,
                    form,
                    (at[0] - base[0], at[1] - base[1]),
                    (outer, (outer_step[0], outer_step[1])),
                    (inner, (step[0], step[1])),
                )
            )
    return base, tuple(runs)


@cache
def depth(walk: Axis, every: bool) -> int:
    """Targets of a column that are open at once."""
    return max((depth_of(lane) for lane in lanes(walk, every)), default=0)


@cache
def estimate(
    walk: Axis,
    across: Axis,
    width: int,
    every: bool,
    per_target: float,
    source: Pair,
    target: Pair,
) -> float:
    """Issue slots of a plane.

    Args:
        walk: axis along the strips.
        across: axis that is cut.
        width: most targets of a strip.
        every: with targets that meet nothing.
        per_target: loads, stores and other instructions of a target.
        source: bytes from cell to cell, along and across.
        target: the same.
    """
    total = 0.0
    (far_row, far_source), (far_line, far_target) = (
        [_FAR_SLOTS * (step not in IMMEDIATE) for step in steps] for steps in (source, target)
    )
    for long in lanes(walk, every):
        turns, lines = len(long.sources), len(long.targets)
        for wide in lanes(across, every):
            strips, loads = _loads(wide, width)
            total += long.pairs * wide.pairs + turns * loads * (1 + far_source)
            total += lines * len(wide.targets) * (per_target + far_target)
            total += strips * (turns * far_row + lines * far_line + _STRIP_SLOTS)
    # Cores that walk over few banks meet in them.
    return total * (1 + _CONFLICTS * gcd(source[1] // _WORD, _BANKS))


@cache
def _loads(lane: Lane, width: int) -> tuple[int, int]:
    """Strips of a lane, and sources of all of them together."""
    sizes = even(len(lane.targets), width)
    at = total = 0
    for size in sizes:
        seen = [n for met in lane.met[at : at + size] for n in met[:1] + met[-1:]]
        total += max(seen) - min(seen) + 1 if seen else 0
        at += size
    return len(sizes), total


@cache
def written(walk: Axis, across: Axis, width: int, every: bool, per_target: float) -> float:
    """Instructions of the code for a plane, about: a strip at each border and one between."""
    total = 0.0
    for long in lanes(walk, every)[:_FORMS]:
        share = roll_of(long).written(len(steps_of(long))) / max(1, len(steps_of(long)))
        for wide in lanes(across, every)[:_FORMS]:
            strips, loads = _loads(wide, width)
            once = long.pairs * wide.pairs + len(long.sources) * loads
            once += int(per_target * len(long.targets) * len(wide.targets))
            total += min(strips, 3) * (share * once / strips + _STRIP_SLOTS)
    return total
