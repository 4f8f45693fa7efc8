# SPDX-License-Identifier: Apache-2.0
"""Which calls are computed tile by tile together, so that what they share is moved once."""

from __future__ import annotations

from collections.abc import Sequence

from acclimate.kernels.copy.op import Copy
from acclimate.plan import dependencies
from acclimate.program import Call, Entry
from acclimate.stream.options import Options
from acclimate.stream.tiling import Unit

_REACH = 3  # a call joins a unit over so many calls that wait until the unit is done
_MOST_CALLS = 4
_SMALL = 16  # a buffer of less than this share of the memory is thought to lie there
_WORTH = 0.05  # of the cycles of the calls: what a copy less has to save
_GAIN = 0.97


def units_of(entry: Entry, options: Options) -> list[Unit]:
    """Joins calls where that saves copies; calls that are passed over come after the unit.

    Args:
        entry: with kernels, in execution order.
        options: tilings of units.
    """
    needs = dependencies(entry.calls)
    calls = entry.calls
    small = {
        name for name, b in options.buffers.items() if b.size_bytes * _SMALL <= options.forms.room
    }
    waiting = list(range(len(calls)))
    found: list[Unit] = []
    while waiting:
        unit = [waiting.pop(0)]
        passed: list[int] = []
        for number in waiting[: _REACH + _MOST_CALLS]:
            if _takes_away(calls[number]):
                break  # the sooner it begins, the sooner there is room for something else
            more = [*_between(number, passed, needs), number]
            if len(unit) + len(more) > _MOST_CALLS:
                break
            if _joins([calls[n] for n in unit], [calls[n] for n in more], small, options):
                unit += more
                passed = [n for n in passed if n not in more]
            else:
                passed.append(number)
        waiting = [number for number in waiting if number not in unit]
        found.append(tuple(calls[number] for number in unit))
    return found


def _takes_away(call: Call) -> bool:
    """True for a copy into l3."""
    return isinstance(call.attrs, Copy) and not call.attrs.inward


def _between(number: int, passed: Sequence[int], needs: Sequence[set[int]]) -> list[int]:
    """The calls that were passed over and that must come before a call."""
    wanted = {number}
    for other in reversed(passed):
        if any(other in needs[n] for n in wanted):
            wanted.add(other)
    return sorted(wanted - {number})


def _joins(unit: Sequence[Call], more: Sequence[Call], small: set[str], options: Options) -> bool:
    """True if a unit and further calls take less time together than each of them alone."""
    if any(isinstance(call.attrs, Copy) for call in (*unit, *more)):
        return False
    here = {view.buffer for call in unit for view in call.views} - small
    shared = here & {view.buffer for call in more for view in call.views}
    saved = sum(options.forms.costs.copy(options.buffers[name].size_bytes) for name in shared)
    work = sum(options.forms.costs.cycles(call) for call in (*unit, *more))
    if saved < _WORTH * work:
        return False
    apart = [_best(tuple(unit), small, options), *(_best((c,), small, options) for c in more)]
    return _best((*unit, *more), small, options) < _GAIN * sum(apart)


def _best(unit: Unit, small: set[str], options: Options) -> float:
    found = options.refined(unit, small, options.forms.room * 3 // 4)
    return found.cycles if found.tiling is not None else float("inf")
