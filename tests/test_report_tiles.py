# SPDX-License-Identifier: Apache-2.0
"""A report speaks of layers, also where each of them is computed in tiles with copies between."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.kernels.copy.op import Copy
from acclimate.report import Kind, Report, Use, build_report
from acclimate.report.charts import memory_map
from acclimate.report.simulated import conditions
from acclimate.targets import find_target


def compiled(budget: dict[str, str | int] | None) -> ac.Firmware:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
    example = (torch.randn(1, 64), torch.tensor([3]))
    return ac.compile(model, example=example, target="pulp-cluster", name="net", budget=budget)


@pytest.fixture(scope="module")
def tiled() -> ac.Firmware:
    return compiled({"l1": "6 kB"})


@pytest.fixture(scope="module")
def report(tiled: ac.Firmware) -> Report:
    return build_report(tiled)


def test_only_what_ran_is_listed_as_a_pass(tiled: ac.Firmware) -> None:
    """The loops in place, which other firmware gets at the end, are not for tiles."""
    assert [stage.name for stage in tiled.stages[-2:]] == ["order_calls", "stream"]
    assert tiled.stages[-1].program is tiled.program
    whole = compiled(None)
    assert "stream" not in [stage.name for stage in whole.stages]
    assert whole.stages[-1].program is whole.program


def test_a_layer_is_one_row_with_the_work_of_its_tiles(tiled: ac.Firmware, report: Report) -> None:
    for entry in report.entries:
        calls = tiled.program.entries[entry.name].calls
        copies = [call for call in calls if isinstance(call.attrs, Copy)]
        assert [row.number for row in entry.calls] == list(range(len(entry.calls)))
        assert not {row.op for row in entry.calls} & {"fetch", "store"}
        assert entry.macs == sum(call.macs for call in calls)
        assert sum(row.tiles for row in entry.calls) == len(calls) - len(copies)
        moved = sum(4 * view.size for copy in copies for view in copy.writes)
        assert sum(row.copied_bytes for row in entry.calls) == moved
        assert max(row.live_bytes for row in entry.calls) <= entry.bound_bytes
        assert all(0 <= b.first <= b.last < len(entry.calls) for b in entry.buffers)
    assert any(row.tiles > 1 for entry in report.entries for row in entry.calls)


def test_rows_have_the_macs_of_the_whole_program(report: Report) -> None:
    whole = {entry.name: entry.macs for entry in build_report(compiled(None)).entries}
    assert {entry.name: entry.macs for entry in report.entries} == whole


def test_both_arenas_are_shown(tiled: ac.Firmware, report: Report) -> None:
    train = next(entry for entry in report.entries if entry.name == "train")
    assert set(train.arenas) == {"l1", "l2"}
    assert sum(train.arenas.values()) == train.arena_bytes
    chart = memory_map(train)
    assert [tick.text for tick in chart.arenas] == ["arena in l1", "arena in l2"]
    assert all(b.y >= 0 and b.y + b.height <= chart.bottom + 0.05 for b in chart.boxes)
    rows = [b for b in train.buffers if b.use is Use.TILE]
    assert rows and {b.memory for b in rows} == {"l1"}
    page = report.html()
    assert "arena in l2" in page and ".tiled {" in page and ".tile {" in page
    text = report.text(calls=True)
    assert f"arena of train: {train.arenas['l1']:,} B in l1 (gap " in text and "copied [B]" in text
    listed = json.loads(report.json())["entries"]["train"]
    assert listed["arenas"]["l1_bytes"] == train.arenas["l1"]
    data = conditions(tiled, find_target("pulp-cluster"))["data"]
    l1, l2 = (tiled.plan.arenas[memory] for memory in ("l1", "l2"))
    assert data.startswith(f"arena of {l1:,} B in l1 and {l2:,} B in l2; tensors ")
    assert data.endswith("; parts copied to l1 by the DMA")


def test_tiles_are_a_part_of_the_training_memory(report: Report) -> None:
    (memory,) = report.training
    assert memory.bytes_by_kind()[Kind.TILE] > 0
    train = next(entry for entry in report.entries if entry.name == "train")
    assert 0 <= memory.peak_call < len(train.calls)
    assert not any("fetch" in part.why or "store" in part.why for part in memory.parts)


def test_the_manifest_lists_layers(tiled: ac.Firmware, report: Report) -> None:
    table = json.loads(tiled.sources(kit="pulp-sdk")["manifest.json"])
    for entry in report.entries:
        calls = table["entries"][entry.name]["calls"]
        assert [call["macs"] for call in calls] == [row.macs for row in entry.calls]
        assert [call.get("tiles", 1) for call in calls] == [row.tiles for row in entry.calls]


def test_cycles_are_those_of_layers(tiled: ac.Firmware) -> None:
    device = tiled.run("cluster", check_races=True)
    device.train(np.ones((1, 64), np.float32), np.array([3]), lr=0.01)
    measured = build_report(tiled, profile=device.profile)  # type: ignore[attr-defined]
    assert measured.profile is not None
    train = next(entry for entry in measured.entries if entry.name == "train")
    by_number = {call.number: call for call in measured.profile.calls}
    for row in train.calls:
        assert by_number[row.number].macs == row.macs
        assert by_number[row.number].label.endswith(row.op)
    assert measured.profile.whole().total("dma") > 0
    assert sum(call.cycles for call in measured.profile.calls) == measured.profile.cycles
    assert "<svg" in measured.html()
