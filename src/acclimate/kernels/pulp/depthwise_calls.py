# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolutions as calls of kernels: who does what.

Cores share channels. Where there are too few of them, cores share a channel too, by ranges of
targets; sums of weights are then added up in the end.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from acclimate.kernels.loop.print_c import c_float
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.depthwise import Planes, call_cycles
from acclimate.kernels.pulp.depthwise_axis import lanes
from acclimate.kernels.pulp.depthwise_cut import runs_of
from acclimate.kernels.pulp.depthwise_plan import (
    SUM_SLOTS,
    Pass,
    Problem,
    cut_axis,
    passes,
    steps_of_cells,
    sum_words,
    widest,
)
from acclimate.kernels.pulp.function import OutOfRegisters
from acclimate.kernels.pulp.partition import bounds
from acclimate.kernels.pulp.recipe import BARRIER_CYCLES
from acclimate.kernels.pulp.result import Result
from acclimate.kernels.pulp.work import Choice, Elements, Micro, Start, Work, print_starts

_WORD = 4
_CONFLICTS = 1.02  # cores that meet in a bank, on average


def write(problem: Problem, choice: Choice, core: Core) -> Work:
    """The code of a call.

    Raises:
        OutOfRegisters: this choice does not fit the core.
    """
    parts = choice["parts"]
    groups = core.cores // parts
    cuts = bounds(problem.channels, groups)
    first, end = cut_axis(problem, choice["along"], choice["cut"]).targets
    ranges = [first + at for at in bounds(end - first, parts)]
    reduced = problem.weights and parts > 1
    starts: list[list[Start]] = []
    own: list[tuple[list[Pass], range]] = []
    slowest = 0.0
    for number in range(core.cores):
        group, part = divmod(number, parts)
        channels = range(cuts[group], cuts[group + 1])
        every = passes(problem, choice, (ranges[part], ranges[part + 1]))
        calls = [
            _start(problem, choice, core, one, channels, part if reduced else None)
            for one in every
            if channels
        ]
        starts.append(calls)
        costs = [call_cycles(_planes(call), core) for call in calls]
        slowest = max(slowest, sum(fixed + len(channels) * each for fixed, each in costs))
        own.append((every, channels))
    micros: list[Micro] = []
    text = print_starts(starts, micros)
    slowest *= _CONFLICTS if core.cores > 1 else 1.0
    if not reduced:
        return Work(text, tuple(micros), slowest, 0, partial(_all_touched, problem, choice, own))
    words = sum_words(problem)
    text += f"ac_barrier();\n{_sum_up(problem, parts, core.cores)}"
    slowest += BARRIER_CYCLES + SUM_SLOTS * words / core.cores
    return Work(text, tuple(micros), slowest, words * parts)


def _planes(call: Start) -> Planes:
    assert isinstance(call.micro, Planes)
    return call.micro


def _start(
    problem: Problem, choice: Choice, core: Core, one: Pass, channels: range, part: int | None
) -> Start:
    """The call of one pass by one core; `part` is the place in scratch that its sums go to."""
    source, target, kernel = steps_of_cells(problem, choice["along"])
    width = min(choice["width"], widest(one, core))
    if width < 1:
        raise OutOfRegisters
    base, runs = runs_of(one.walk, one.across, width, one.every, source, target)
    planes = tuple(a * b for a, b in (problem.source, problem.target, problem.taps))
    result = one.result if part is None else replace(Result("set"), sums=one.result.sums)
    micro = Planes(
        problem.weights,
        runs,
        (one.walk.taps, one.across.taps, kernel),
        source,
        target,
        (planes[0] * _WORD, planes[1] * _WORD, planes[2] * _WORD),
        problem.samples,
        (planes[0] * problem.channels * _WORD, planes[1] * problem.channels * _WORD),
        result,
    )
    name_source, name_target, name_w, name_bias, rate = problem.names
    at = channels.start
    w = (name_w, at * planes[2])
    bias = (name_bias, at) if result.bias or result.sums else ("NULL", 0)
    if part is not None:
        first = part * sum_words(problem)
        w = ("scratch", first + w[1])
        bias = ("scratch", first + problem.channels * planes[2] + at) if result.sums else bias
    from_ = (name_source, at * planes[0] + base[0] // _WORD)
    to = (name_target, at * planes[1] + base[1] // _WORD)
    count = ("", len(channels))
    if problem.weights:
        return Start(
            micro, (w, bias, from_, to, count, (rate if part is None and rate else "NULL", 0))
        )
    return Start(micro, (to, from_, w, bias, count))


def _sum_up(problem: Problem, parts: int, cores: int) -> str:
    """C that adds the parts up and ends as the result says."""
    _, _, w, bias, _ = problem.names
    result, words = problem.result, sum_words(problem)
    weights = problem.channels * problem.taps[0] * problem.taps[1]
    lines = []
    for name, first, count in ((w, 0, weights), (bias, weights, words - weights)):
        if not count:
            continue
        places = [first + part * words for part in range(parts)]
        terms = " + ".join(f"scratch[i + {at}]" if at else "scratch[i]" for at in places)
        end = {"set": f"{name}[i] = sum;", "add": f"{name}[i] += sum;"}.get(result.kind)
        if end is None:
            decayed = f"(sum + {c_float(result.decay)} * {name}[i])" if result.decay else "sum"
            end = f"{name}[i] -= lr * {decayed};"
        lines += [
            f"for (int32_t i = core; i < {count}; i += {cores}) {{",
            f"    const float sum = {terms};",
            f"    {end}",
            "}",
        ]
    return "".join(f"{line}\n" for line in lines)


def _all_touched(
    problem: Problem, choice: Choice, own: list[tuple[list[Pass], range]]
) -> dict[str, list[Elements]]:
    """What every core reads and writes, by operand."""
    found: dict[str, list[Elements]] = {}
    for every, channels in own:
        for name, elements in _touched(problem, choice, every, channels).items():
            found.setdefault(name, []).append(elements)
    return found


def _touched(
    problem: Problem, choice: Choice, every: list[Pass], channels: range
) -> dict[str, Elements]:
    """What a core reads and writes, by operand."""
    source, target, _ = steps_of_cells(problem, choice["along"])
    planes = np.arange(problem.samples)[:, None] * problem.channels + np.array(channels, np.int64)
    places: list[list[Elements]] = [[], []]
    for one in every:
        long, wide = lanes(one.walk, one.every), lanes(one.across, one.every)
        for found, (down, right), kind in zip(places, (source, target), (0, 1), strict=True):
            along = [x for lane in long for x in (lane.targets if kind else lane.sources)]
            across = [x for lane in wide for x in (lane.targets if kind else lane.sources)]
            grid = np.add.outer(_array(along) * down, _array(across) * right)
            found.append(grid.reshape(-1) // _WORD)
    elements: dict[str, Elements] = {}
    sizes = (problem.source, problem.target)
    for name, parts, (h, w) in zip(problem.names, places, sizes, strict=False):
        inside = np.unique(np.concatenate(parts))
        elements[name] = np.add.outer(planes.reshape(-1) * (h * w), inside).reshape(-1)
    weights = problem.taps[0] * problem.taps[1]
    elements[problem.names[2]] = np.arange(channels.start * weights, channels.stop * weights)
    if problem.names[3]:
        elements[problem.names[3]] = np.arange(channels.start, channels.stop)
    return elements


def _array(places: list[int]) -> Elements:
    return np.array(places, np.int64)
