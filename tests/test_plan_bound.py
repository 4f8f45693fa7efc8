# SPDX-License-Identifier: Apache-2.0
"""What is alive in every order of the calls, and that too much of it is refused without tiles."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.errors import DoesNotFit
from acclimate.firmware import Firmware
from acclimate.fit import ORDERED
from acclimate.plan import dependencies, least_live, peak_bytes
from acclimate.program import Program


def step() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.Sigmoid(), nn.Conv2d(8, 8, 3, padding=1), nn.Sigmoid(),
        nn.Flatten(), nn.Linear(8 * 24 * 24, 2),
    )  # fmt: skip


EXAMPLE = torch.zeros(1, 1, 24, 24), torch.tensor([1])


def ordered(firmware: Firmware) -> Program:
    return next(stage.program for stage in firmware.stages if stage.name == ORDERED)


def test_no_order_of_calls_takes_less() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Sigmoid(), nn.Linear(4, 3))
    example = torch.zeros(1, 5), torch.zeros(1, 3)
    program = ordered(ac.compile(model, example=example, loss="mse"))
    entry = program.entries["train"]
    calls, needs = entry.calls[:8], dependencies(entry.calls[:8])
    short = replace(entry, calls=calls)
    peaks = []
    for order in itertools.permutations(range(len(calls))):
        place = {number: at for at, number in enumerate(order)}
        if all(place[other] < place[n] for n, before in enumerate(needs) for other in before):
            peaks.append(peak_bytes(program, [calls[number] for number in order]))
    assert len(peaks) > 1
    assert 0 < least_live(program, short).size_bytes <= min(peaks)


def test_a_chain_has_one_order_and_its_peak_is_the_bound() -> None:
    model = nn.Sequential(nn.Linear(6, 40), nn.Sigmoid(), nn.Linear(40, 3))
    example = torch.zeros(1, 6), torch.tensor([0])
    program = ordered(ac.compile(model, example=example, entries=("predict",)))
    entry = program.entries["predict"]
    assert least_live(program, entry).size_bytes == peak_bytes(program, entry.calls)


@pytest.fixture
def no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: object, **__: object) -> None:
        raise AssertionError("tiles are made")

    monkeypatch.setattr("acclimate.fit.tiles.Streaming", made)


@pytest.mark.usefixtures("no_tiles")
def test_what_is_larger_than_all_memories_is_refused_without_tiles() -> None:
    with pytest.raises(DoesNotFit) as error:
        ac.compile(
            step(), example=EXAMPLE, target="pulp-cluster", budget={"l1": "8kB", "l2": "30kB"}
        )
    assert re.search(
        r"needs [\d,]+ B or more .* usable are l1 8,000 B, l2 30,000 B", str(error.value)
    )
    assert "alive in every order of the calls" in str(error.value)


@pytest.mark.usefixtures("no_tiles")
def test_a_budget_of_ram_is_refused_without_tiles_and_names_what_fits() -> None:
    with pytest.raises(DoesNotFit, match=r"of RAM; the budget is 105,000 B") as error:
        ac.compile(
            step(), example=EXAMPLE, target="pulp-cluster", budget={"l1": "8kB", "ram": 105_000}
        )
    assert str(error.value.hint).startswith("update=ac.Head()")


@pytest.mark.usefixtures("no_tiles")
def test_what_fits_by_the_bound_gets_tiles() -> None:
    with pytest.raises(AssertionError, match="tiles are made"):
        ac.compile(step(), example=EXAMPLE, target="pulp-cluster", budget={"l1": "8kB"})
