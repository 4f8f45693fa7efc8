# SPDX-License-Identifier: Apache-2.0
"""Cycles of a simulated step: they add up, fold, stay below the roofs, and fit on a page."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.errors import BadOption
from acclimate.report import CallCycles, Report, StepCycles, build_report, step_cycles
from acclimate.report.cycles import CYCLE_EVENTS, KINDS, Roofs
from acclimate.report.cycles_charts import cycle_bars
from acclimate.report.cycles_text import WIDTH, cost_text, cycles_text
from acclimate.report.roofline import roofline
from acclimate.simulate import Device
from acclimate.simulate.cluster import machine

CORES = 2


def example() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    return model, (torch.randn(1, 1, 4, 4), torch.tensor([1]))


def built(target: str, cores: int | None = None) -> ac.Firmware:
    model, data = example()
    return ac.compile(model, example=data, target=target, cores=cores, name="tiny")


def trained(firmware: ac.Firmware, on: str | None = None) -> Device:
    device = firmware.run(on)
    device.train(*example()[1])
    return device


@pytest.fixture(scope="module")
def firmware() -> ac.Firmware:
    return built("pulp-cluster", CORES)


@pytest.fixture(scope="module")
def device(firmware: ac.Firmware) -> Device:
    return trained(firmware)


@pytest.fixture(scope="module")
def step(firmware: ac.Firmware, device: Device) -> StepCycles:
    return step_cycles(firmware, device)


@pytest.fixture(scope="module")
def report(firmware: ac.Firmware, step: StepCycles) -> Report:
    return build_report(firmware, profile=step)


def made(number: int, cycles: int, label: str = "fc.linear_fwd", macs: int = 100) -> CallCycles:
    """A call of two cores that does every kind of thing."""
    core = {event: cycles // len(CYCLE_EVENTS) + i for i, event in enumerate(CYCLE_EVENTS)}
    core |= {"fpu_ops": macs, "loads": 50, "stores": 10}
    return CallCycles(number, label, macs, cycles, 2 * core["instructions"], (core, core))


def made_step(*calls: CallCycles) -> StepCycles:
    cycles = sum(call.cycles for call in calls)
    return StepCycles("train", "a cluster", 2, True, cycles, calls, {"clock": "450 MHz"})


def test_every_cycle_of_the_simulator_has_a_kind() -> None:
    assert set(CYCLE_EVENTS) == set(machine.CYCLE_EVENTS)
    assert all(len(kind.head) <= 3 for kind in KINDS)


def test_calls_add_up_to_the_whole_step(firmware: ac.Firmware, step: StepCycles) -> None:
    whole = step.whole()
    assert whole.cycles == step.cycles
    assert whole.macs == sum(call.macs for call in firmware.program.entries["train"].calls)
    assert sum(whole.shares().values()) == pytest.approx(1.0)
    assert len(whole.events) == step.cores == CORES
    for core in whole.events:  # the other core starts late and waits at the end
        assert sum(core[event] for event in CYCLE_EVENTS) == pytest.approx(step.cycles, rel=0.01)


def test_time_is_that_of_the_clock_and_power_is_not_invented(step: StepCycles) -> None:
    assert step.time_ms == pytest.approx(step.cycles / 450e3)
    assert step.energy_uj is None
    assert cost_text(step) == f"{step.cycles:,} cycles, exact; {step.time_ms:.3f} ms at 450 MHz"


def test_conditions_say_what_ran_where(step: StepCycles) -> None:
    assert step.conditions["machine"].startswith("pulp-cluster, 2 cores: ")
    assert "2 x cv32e40p, 2 FPUs" in step.conditions["cores"]
    assert "16 banks" in step.conditions["memories"]
    assert re.fullmatch(r"arena of [\d,]+ B in l1; tensors [\d,]+ B in l1", step.conditions["data"])
    assert step.conditions["compiler"].endswith("-O3")


def test_small_neighbours_fold_into_one_line() -> None:
    around, small = replace(made(-1, 10), label="around the calls"), 5
    calls = [around, made(0, 9000), made(1, small), made(2, small), made(3, small), made(4, 9000)]
    step = made_step(*calls, made(5, small), made(6, small))
    rows = step.folded()
    assert [(row.number, row.count) for row in rows] == [
        (-1, 1), (0, 1), (1, 3), (4, 1), (5, 1), (6, 1),
    ]  # fmt: skip
    assert rows[2].label == "3 small calls" and rows[2].macs == 300
    assert rows[2].total("loads") == 300
    assert sum(row.cycles for row in rows) == step.cycles
    text = "\n".join(cycles_text(step))
    assert re.search(r"^1-3  3 small calls +300 +15 ", text, re.MULTILINE)
    assert "small" not in "\n".join(cycles_text(step, fold=False))


def test_tables_keep_to_their_width_whatever_stands_in_them(step: StepCycles) -> None:
    labels = ["blocks.12.inner.residual.conv_pointwise.conv2d_bwd_x", "x"]
    calls = [made(100 + i, 10**9 + i, labels[i % 2], 10**9) for i in range(9)]
    for lines in (cycles_text(made_step(*calls)), cycles_text(step)):
        assert max(map(len, lines)) <= WIDTH == 110
        assert all(line == line.rstrip() for line in lines)
    assert any("  ...conv2d_bwd_x  " in line for line in cycles_text(made_step(*calls)))


def test_table_has_a_line_per_call_and_core(step: StepCycles) -> None:
    lines = cycles_text(step, fold=False)
    heads = lines[1].split()
    assert heads[:6] == ["#", "call", "MACs", "cycles", "%", "MAC/c"] and heads[6] == "ins"
    assert len([line for line in lines if re.match(r" *\d+  \w", line)]) == len(step.calls) - 1
    cores = lines.index("") + 1
    assert lines[cores].split()[:4] == ["core", "instructions", "IPC", "FPU"]
    assert lines[cores].index(" ins use") == lines[1].index(" ins use")
    assert lines[cores + CORES].split()[0] == str(CORES - 1)
    assert f"sum of the calls {step.cycles:,} cycles of core 0" in "\n".join(lines)


def test_shares_are_whole_percents_and_a_dot_is_nothing() -> None:
    events = dict.fromkeys(CYCLE_EVENTS, 0) | {"fpu_ops": 0, "loads": 0, "stores": 0}
    core = events | {"instructions": 998, "l2": 2}
    busy, idle = CallCycles(0, "a", 0, 1000, 998, (core,)), events | {"l2": 100, "idle": 900}
    waits = CallCycles(1, "b", 0, 1000, 0, (idle,))
    lines = cycles_text(made_step(busy, waits))
    assert [kind.head for kind in made_step(busy, waits).kinds()] == ["ins", "L2", "idl"]
    assert lines[2].split()[-3:] == ["100", "0", "."]
    assert lines[3].split()[-3:] == [".", "10", "90"]


def test_kinds_that_are_nearly_nothing_have_no_column() -> None:
    core = dict.fromkeys([*CYCLE_EVENTS, "fpu_ops", "loads", "stores"], 0)
    lines = cycles_text(
        made_step(CallCycles(0, "a", 0, 1000, 999, (core | {"instructions": 999, "l2": 1},)))
    )
    assert lines[1].split()[-2:] == ["MAC/c", "ins"]
    assert "below 0.5 % in every call: L2" in lines


def test_roofs_are_those_of_the_machine(step: StepCycles) -> None:
    assert step.roofs == Roofs(cores=2, fpus=2, dma_bytes_per_cycle=8)
    roofs = Roofs(cores=8, fpus=4, dma_bytes_per_cycle=8)
    assert roofs.l1_bytes_per_cycle == 32
    assert roofs.reachable(0.05) == pytest.approx(1.6)  # L1
    assert roofs.reachable(10.0) == 4.0  # FPUs
    # One load per MAC is 1/4 MAC per byte: half of the instructions are MACs.
    assert Roofs(1, 1, 8).issue(0.25) == 0.5


def test_roofline_draws_the_calls_with_macs_below_the_roofs(
    report: Report, step: StepCycles
) -> None:
    entry = next(e for e in report.entries if e.name == "train")
    drawn = roofline(entry, step)
    assert drawn is not None and step.roofs is not None
    with_macs = [call for call in step.calls if call.macs]
    assert sorted(n for dot in drawn.dots for n in dot.calls) == [c.number for c in with_macs]
    assert drawn.left_out_cycles == step.cycles - sum(call.cycles for call in with_macs)
    for call in with_macs:
        assert 0 < call.mac_per_cycle <= step.roofs.issue(call.intensity)
    for dot in drawn.dots:
        assert 64 <= dot.x <= 992 and 0 <= dot.y <= drawn.bottom
    longest = max(with_macs, key=lambda call: call.cycles)
    assert longest.number in drawn.dots[0].calls and "MAC/cycle" in drawn.dots[0].tip
    assert not any(line.style == "l2-roof" for line in drawn.lines)  # all data are in L1


def test_calls_of_one_shape_share_a_dot_and_data_in_l2_have_a_roof(
    report: Report, step: StepCycles
) -> None:
    entry = next(e for e in report.entries if e.name == "train")
    calls = [made(number, 1000, f"blocks.{number}.fc.linear_fwd") for number in range(3)]
    roofs = Roofs(cores=2, fpus=2, dma_bytes_per_cycle=8, l2_bytes_per_cycle=0.5)
    drawn = roofline(entry, replace(made_step(*calls), roofs=roofs))
    assert drawn is not None
    (dot,) = drawn.dots
    assert dot.calls == (0, 1, 2) and dot.label == "3 × fc.linear_fwd"
    assert dot.tip.startswith("3 × fc.linear_fwd: calls 0, 1, 2\n0.100 MAC/cycle")
    assert any(line.style == "l2-roof" and line.path for line in drawn.lines)


def test_bars_have_the_height_of_their_cycles(report: Report, step: StepCycles) -> None:
    entry = next(e for e in report.entries if e.name == "train")
    chart = cycle_bars(entry, step)
    hits = [box for box in chart.boxes if box.style == "hit"]
    assert len(hits) == len(entry.calls)
    parts = [box for box in chart.boxes if box.style in CYCLE_EVENTS]
    assert all(box.y >= 0 and box.y + box.height <= chart.bottom + 0.1 for box in parts)
    longest = max(call.cycles for call in step.calls)
    tallest = max(
        sum(part.height for part in parts if hit.x <= part.x < hit.x + hit.width) for hit in hits
    )
    scale = tallest / longest  # pixels per cycle
    assert scale * longest * 1.05 == pytest.approx(chart.bottom - 10.0, rel=0.02)


def test_report_of_a_simulated_step_says_it_in_three_forms(
    firmware: ac.Firmware, report: Report, step: StepCycles
) -> None:
    assert f"cycles of train: {step.cycles:,} cycles, exact" in report.text()
    document = json.loads(report.json())["profile"]
    assert document["cycles"] == step.cycles == sum(call["cycles"] for call in document["calls"])
    assert document["roofs"]["l1_bytes_per_cycle"] == 8
    call = document["calls"][1]
    assert len(call["barrier_cycles"]) == len(call["loads"]) == CORES
    page = report.html()
    for wanted in ("Roofline", "Cycles per call", "2 FPUs: 2 MAC/cycle", "L1 8 B/cycle"):
        assert wanted in page
    assert 0 < page.count("<circle") <= len([call for call in step.calls if call.macs])
    assert page.count("<svg") == build_report(firmware).html().count("<svg") + 2
    for foreign in ("http://", "https://", "@import", "url(", "<link", "Nothing on this page"):
        assert foreign not in page


def test_static_report_has_no_cycles(firmware: ac.Firmware) -> None:
    report = firmware.report()
    assert report.profile is None and json.loads(report.json())["profile"] is None
    assert "<circle" not in report.html() and "cycles of train" not in report.text()


def test_report_takes_the_profile_of_a_cluster(
    firmware: ac.Firmware, device: Device, report: Report
) -> None:
    assert build_report(firmware, profile=device.profile).html() == report.html()


def test_profile_of_another_machine_is_refused(device: Device) -> None:
    with pytest.raises(BadOption, match="compiled for host; the profile is of pulp-cluster"):
        build_report(built("host"), profile=device.profile)


def test_host_has_no_cycles() -> None:
    firmware = built("host")
    with pytest.raises(BadOption, match="counts no cycles"):
        step_cycles(firmware, trained(firmware))


def test_cortex_m_has_estimated_cycles_of_every_call() -> None:
    firmware = built("stm32f407")
    device = trained(firmware)
    step = step_cycles(firmware, device)
    assert not step.exact and not step.counted and step.roofs is None
    assert step.whole().cycles == step.cycles > step.whole().instructions > 0
    assert step.whole().macs == sum(c.macs for c in firmware.program.entries["train"].calls)
    assert step.time_ms == pytest.approx(step.cycles / 168e3)
    assert step.energy_uj == pytest.approx(132 * step.time_ms)
    text = "\n".join(cycles_text(step))
    assert "instructions" in text and "an estimate" in text
    page = build_report(firmware, profile=step).html()
    assert "Cycles per call" in page and "Roofline" not in page and "an estimate" in page
