# SPDX-License-Identifier: Apache-2.0
"""Units that differ in names alone share what is found out about them, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.firmware import Firmware
from acclimate.kernels.conv2d.op import CONV2D_FWD
from acclimate.program import Call, OpCase, Program, operator_program
from acclimate.stream.alike import Key, Pattern, match
from acclimate.stream.forms import Forms, _forms_of
from acclimate.stream.options import Options
from acclimate.stream.tiling import tilings
from acclimate.targets import find_target
from acclimate.tune import select_kernels
from acclimate.tune.cache import Record, keep_record
from acclimate.tune.workload import Candidate

ROOM = 4096


def program(entries: tuple[str, ...] = ("one", "two")) -> Program:
    case = next(case for case in CONV2D_FWD.cases if case["H"] > 4)
    made = operator_program("net", {name: [OpCase(CONV2D_FWD, case)] for name in entries})
    return select_kernels(made, find_target("gap9"))


def units(made: Program) -> list[tuple[Call, ...]]:
    return [entry.calls for entry in made.entries.values()]


def test_calls_on_other_buffers_have_one_pattern() -> None:
    made, known = program(), dict[Key, Pattern]()
    one, two = (match(unit, made.buffers, known) for unit in units(made))
    assert one.pattern is two.pattern and len(known) == 1
    assert set(one.names) != set(two.names) and [*one.names.values()] == [*two.names.values()]
    assert one.inner(set(one.names)) == two.inner(set(two.names)) == set(one.names.values())


def test_other_numbers_are_another_pattern() -> None:
    known = dict[Key, Pattern]()
    whole = program(("one",))
    (unit,) = units(whole)
    (call,) = unit
    more = replace(call, accumulate=True)
    bound = replace(call, attrs=replace(call.attrs, lo=0.0))
    minus = replace(call, attrs=replace(call.attrs, lo=-0.0))
    found = [match((one,), whole.buffers, known).pattern for one in (call, more, bound, minus)]
    assert len({id(pattern) for pattern in found}) == 4


def test_a_tiling_of_the_pattern_is_that_of_the_unit() -> None:
    made = program()
    for unit in units(made):
        alike = match(unit, made.buffers, {})
        pairs = zip(
            tilings(unit, made.buffers, False),
            tilings(alike.pattern.unit, alike.pattern.buffers, False),
            strict=True,
        )
        for mine, others in pairs:
            for own, other in zip(mine, others, strict=True):
                written = alike.written(other, made.buffers)
                assert (written.cuts, written.streams) == (own.cuts, own.streams)


def test_a_device_has_one_set_of_forms_until_something_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path))
    target = find_target("gap9")
    forms = Forms.of(target, ROOM)
    assert Forms.of(target.with_memory("l2", 2**21), ROOM) is forms
    assert Forms.of(target.with_cores(4), ROOM) is not forms
    forms = Forms.of(target, ROOM)
    keep_record("a machine", "a workload", Record(Candidate("ac_kernel"), 1, 1, 1))
    assert Forms.of(target, ROOM) is not forms


def test_equal_units_are_estimated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = program()
    forms = Forms(Forms.of(find_target("gap9"), ROOM).costs, ROOM)
    one, two = units(made)
    options = Options(made.buffers, forms)
    first = options.refined(one, set(), ROOM)
    monkeypatch.setattr("acclimate.stream.forms.tilings", None)
    second = options.refined(two, set(), ROOM)
    assert first.tiling is not None and second.tiling is first.tiling
    mine = options.written(two, second).tiling
    assert mine is not None
    assert {view.buffer for call in mine.tiles[0] for view in call.views} <= {
        view.buffer for call in two for view in call.views
    }


def compiled(width: int) -> Firmware:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 4, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(4 * 256, 3),
    )  # fmt: skip
    example = torch.zeros(1, 1, 16, 16), torch.tensor([1])
    return ac.compile(model, example=example, target="gap9", budget={"l1": "6kB"})


def test_the_same_program_gets_the_same_tiles_whatever_was_compiled_before() -> None:
    _forms_of.cache_clear()
    alone = compiled(8)
    _forms_of.cache_clear()
    compiled(4)
    compiled(12)
    again = compiled(8)
    assert alone.stages[-1].name == "stream" == again.stages[-1].name
    assert alone.program.entries == again.program.entries
