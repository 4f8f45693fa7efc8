# SPDX-License-Identifier: Apache-2.0
"""Code that shares a memory with data: smaller kernels, and loops instead of statements."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.kernels.copy.op import Copy
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.isa import size
from acclimate.plan.channels import Channels
from acclimate.program import Program
from acclimate.targets import find_target
from acclimate.tune.code_size import spare_code

_CLUSTER = find_target("pulp-cluster")


def _firmware() -> ac.Firmware:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 400, 4)
    )
    return ac.compile(
        model,
        example=(torch.zeros(1, 3, 40, 40), torch.tensor([0])),
        target=_CLUSTER,
        budget={"l1": "12 kB"},
        entries=("predict",),
        name="net",
    )


def _code_bytes(program: Program) -> int:
    core = Core.of(_CLUSTER)
    micros = {micro for call in program.calls() if call.work for micro in call.work.micros}
    return 4 * sum(size(micro.write(core)) for micro in micros)


@pytest.fixture(scope="module")
def firmware() -> ac.Firmware:
    """A program of tiles."""
    return _firmware()


def test_code_stays_where_there_is_room_for_it(firmware: ac.Firmware) -> None:
    same, changes = spare_code(firmware.program, _CLUSTER, 0)
    assert same is firmware.program and changes == []


def test_kernels_take_less_code_where_memory_is_short(firmware: ac.Firmware) -> None:
    small, changes = spare_code(firmware.program, _CLUSTER, _CLUSTER.memory("l2").size_bytes)
    assert _code_bytes(small) < 0.7 * _code_bytes(firmware.program)
    assert re.fullmatch(r"kernels of [\d,]+ B take [\d,]+ B: l2 holds code too", changes[-1])
    pairs = zip(firmware.program.calls(), small.calls(), strict=True)
    assert all(a.views == b.views and a.kernel == b.kernel for a, b in pairs)


def test_smaller_kernels_compute_the_same(
    firmware: ac.Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acclimate.tune.code_size._RUNTIME_BYTES", 1 << 22)
    small = _firmware()
    assert _code_bytes(small.program) < _code_bytes(firmware.program)
    x = np.random.default_rng(0).normal(size=(1, 3, 40, 40)).astype(np.float32)
    found = small.run("cluster", check_races=True).predict(x)
    np.testing.assert_allclose(found, firmware.run("cluster").predict(x), rtol=1e-5, atol=1e-6)


def test_places_of_a_tile_have_neighbouring_channels(firmware: ac.Firmware) -> None:
    calls = firmware.program.entries["predict"].calls
    channels = Channels(calls)
    found: dict[tuple[str, bool], dict[int, set[int]]] = {}
    for number, call in enumerate(calls):
        if isinstance(call.attrs, Copy):
            (near,) = call.writes if call.attrs.inward else call.reads
            of = found.setdefault((near.buffer, call.attrs.inward), {})
            of.setdefault(near.offset, set()).add(channels.take(number, set()))
    rings = [of for of in found.values() if len(of) in (2, 3)]
    assert rings
    for of in rings:
        first = min(of[min(of)])
        assert [of[at] for at in sorted(of)] == [{first + n} for n in range(len(of))]


def test_channels_in_use_are_not_taken(firmware: ac.Firmware) -> None:
    calls = firmware.program.entries["predict"].calls
    first = next(n for n, call in enumerate(calls) if isinstance(call.attrs, Copy))
    assert Channels(calls).take(first, {*range(15)}) == 15
