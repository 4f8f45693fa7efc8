# SPDX-License-Identifier: Apache-2.0
"""The numbers of a report are sums over the program; its three forms say the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import acclimate as ac
from acclimate.program import Entry, Phase, Program, Role
from acclimate.report import Kind, Report, Use, build_report, published_classifier_bytes
from acclimate.report.charts import memory_map, nice_steps, stack

C, N = 24, 5


class Net(nn.Module):
    """A frozen convolution, a trained one, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, stride=2)
        self.fc = nn.Linear(6 * 3 * 3, N)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        logits: Tensor = self.fc(x.flatten(1))
        return logits


def classifier() -> nn.Module:
    model = nn.Sequential(nn.Linear(8, C), nn.ReLU(), nn.Linear(C, N))
    model[0].requires_grad_(False)
    return model


@pytest.fixture(scope="module")
def firmware() -> ac.Firmware:
    torch.manual_seed(0)
    model = Net()
    model.conv1.requires_grad_(False)
    return ac.compile(
        model,
        example=(torch.randn(1, 1, 8, 8), torch.tensor([2])),
        optimizer=ac.Adam(lr=0.01),
        name="tiny",
        entries=("predict", "train", "accumulate", "apply"),
    )


@pytest.fixture(scope="module")
def report(firmware: ac.Firmware) -> Report:
    return build_report(firmware, milliseconds={"train": 1.25})


@pytest.fixture(scope="module")
def head() -> ac.Firmware:
    """Only the last linear layer learns."""
    torch.manual_seed(0)
    return ac.compile(
        classifier(), example=(torch.randn(1, 8), torch.tensor([1])), optimizer=ac.SGD(lr=0.1)
    )


def alive(program: Program, entry: Entry, names: set[str]) -> list[int]:
    """Bytes of the named arena buffers alive during each call, from the calls alone."""
    spans: dict[str, list[int]] = {}
    for number, call in enumerate(entry.calls):
        for view in call.views:
            if view.buffer in names and program.buffers[view.buffer].role.in_arena:
                spans.setdefault(view.buffer, []).append(number)
    sizes = {name: -(-program.buffers[name].size_bytes // 4) * 4 for name in spans}
    return [
        sum(sizes[n] for n, used in spans.items() if min(used) <= number <= max(used))
        for number in range(len(entry.calls))
    ]


def test_report_macs_equal_the_sums_of_the_program(firmware: ac.Firmware, report: Report) -> None:
    for entry in report.entries:
        calls = firmware.program.entries[entry.name].calls
        assert entry.macs == sum(call.macs for call in calls)
        for phase in Phase:
            wanted = sum(call.macs for call in calls if call.phase is phase)
            assert entry.macs_by_phase()[phase] == wanted
    predict = next(e for e in report.entries if e.name == "predict")
    assert predict.macs == 64 * 4 * 9 + 9 * 6 * 36 + 54 * N


def test_report_live_bytes_and_bound_equal_the_lifetimes_of_the_calls(
    firmware: ac.Firmware, report: Report
) -> None:
    everything = set(firmware.program.buffers)
    for entry in report.entries:
        live = alive(firmware.program, firmware.program.entries[entry.name], everything)
        assert [call.live_bytes for call in entry.calls] == live
        assert entry.bound_bytes == max(live)
        assert entry.arena_bytes >= entry.bound_bytes


def test_report_memory_adds_up(firmware: ac.Firmware, report: Report) -> None:
    sizes: dict[Role, int] = {}
    for b in firmware.program.buffers.values():
        sizes[b.role] = sizes.get(b.role, 0) + b.size_bytes
    weights = 4 * (6 * 4 * 9 + 6 + 54 * N + N)
    static = report.memory.static_bytes
    assert static["parameter"] == sizes[Role.PARAMETER] == weights
    assert static["frozen"] == sizes[Role.FROZEN] == 4 * (4 * 9 + 4)
    assert static["gradient"] == weights + 4  # and the number of samples
    assert static["state"] == 2 * weights + 8  # two moments, two corrections
    changing = sum(size for role, size in static.items() if role != "frozen")
    assert report.memory.ram_bytes == report.memory.arena_bytes + changing
    assert report.memory.arena_bytes == max(e.arena_bytes for e in report.entries)
    assert report.memory.flash_bytes == static["frozen"] + weights  # states start at zero


def test_call_bytes_count_every_element_once(head: ac.Firmware) -> None:
    train = next(e for e in build_report(head).entries if e.name == "train")
    first = train.calls[[c.op for c in train.calls].index("linear_fwd")]
    assert first.read_bytes == 4 * (8 + 8 * C + C)
    assert first.written_bytes == 4 * C


def test_training_memory_is_what_backward_and_update_calls_touch(
    firmware: ac.Firmware, report: Report
) -> None:
    program = firmware.program
    for memory in report.training:
        peaks = []
        for name in memory.entries:
            entry = program.entries[name]
            learning = [call for call in entry.calls if call.phase is not Phase.FORWARD]
            touched = {view.buffer for call in learning for view in call.views}
            peaks.append(max(alive(program, entry, touched)))
        kinds = memory.bytes_by_kind()
        arena = sum(kinds[kind] for kind in (Kind.KEPT, Kind.BACKWARD, Kind.SCRATCH))
        assert arena == max(peaks)
        assert memory.total_bytes == sum(kinds.values())
        assert memory.published_bytes is None
    one, many = report.training
    assert one.entries == ("train",)
    assert many.entries == ("accumulate", "apply")
    assert one.bytes_by_kind()[Kind.GRADIENT] == 0
    assert many.bytes_by_kind()[Kind.GRADIENT] == report.memory.static_bytes["gradient"]


def test_training_memory_of_a_classifier_is_below_the_published_model(head: ac.Firmware) -> None:
    (memory,) = build_report(head).training
    kinds = memory.bytes_by_kind()
    assert kinds[Kind.PARAMETER] == 4 * (C * N + N)
    assert kinds[Kind.KEPT] >= 4 * C  # the features that the weight gradient reads
    assert memory.published_bytes == 4 * (3 * C * N + C + N)
    assert memory.total_bytes <= memory.published_bytes


def test_published_model_gives_the_published_sizes() -> None:
    assert [published_classifier_bytes(C, 12) for C in (64, 172, 276)] == [9_520, 25_504, 40_896]


def test_every_buffer_has_one_use(report: Report) -> None:
    predict = next(e for e in report.entries if e.name == "predict")
    assert {b.use for b in predict.buffers} <= {Use.FORWARD, Use.SCRATCH}
    train = next(e for e in report.entries if e.name == "train")
    assert {Use.KEPT, Use.BACKWARD} <= {b.use for b in train.buffers}
    assert all(0 <= b.first <= b.last < len(train.calls) for b in train.buffers)


def test_predict_alone_has_no_training_memory() -> None:
    firmware = ac.compile(
        classifier(), example=(torch.randn(1, 8), torch.tensor([1])), entries=("predict",)
    )
    assert build_report(firmware).training == ()


def test_printing_a_report_gives_aligned_text(report: Report) -> None:
    text = str(report)
    assert text == report.text()
    for wanted in ("tiny: Net", "arena", "RAM", "training memory", "passes", "1.250"):
        assert wanted in text
    assert "conv2d_fwd" not in text.partition("passes")[0]
    full = report.text(calls=True)
    assert "conv2d_fwd" in full
    assert all(line == line.rstrip() for line in full.splitlines())


def numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from numbers(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item, key)
    elif isinstance(value, int | float):
        yield key, value


def test_json_keys_end_in_their_unit(report: Report) -> None:
    document = json.loads(report.json())
    assert document["memory"]["ram_bytes"] == report.memory.ram_bytes
    assert document["entries"]["train"]["host_ms"] == 1.25
    assert document["entries"]["predict"]["host_ms"] is None
    assert document["entries"]["train"]["backward_macs"] > 0
    plain = {"format", "gap", "number", "calls", "peak_call", "first_call", "last_call", "shape"}
    plain |= {"tiles"}
    for key, _ in numbers(document):
        assert key in plain or key.endswith(("_bytes", "_ms", "macs")), key


class Reader(HTMLParser):
    """Checks that tags are closed, and counts them."""

    VOID = frozenset({"meta", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.fetched += [f"{tag} {k}={v}" for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_one_file_that_fetches_nothing(report: Report) -> None:
    text = report.html()
    assert len(text) < 300_000
    for foreign in ("http://", "https://", "@import", "url(", "<link"):
        assert foreign not in text
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert reader.fetched == ["a href=#entries"]
    assert reader.seen.count("svg") == sum(bool(e.buffers) + bool(e.macs) for e in report.entries)


def test_html_escapes_what_the_user_wrote(report: Report) -> None:
    hostile = replace(report, title="<script>alert(1)</script>")
    assert "<script>alert(1)" not in hostile.html()


def test_same_firmware_gives_the_same_html(firmware: ac.Firmware, report: Report) -> None:
    assert build_report(firmware, milliseconds={"train": 1.25}).html() == report.html()


def test_memory_map_draws_every_buffer_inside_the_axes(report: Report) -> None:
    for entry in report.entries:
        chart = memory_map(entry)
        assert len(chart.boxes) == len(entry.buffers)
        for box in chart.boxes:
            assert box.y >= 0 and box.y + box.height <= chart.bottom + 0.1
            assert box.x >= 64 and box.x + box.width <= 992.1


@pytest.mark.parametrize("top", [1, 7, 164, 999, 328_000, 1_759_468])
def test_axis_steps_are_round_and_few(top: int) -> None:
    steps = nice_steps(top)
    assert steps[0] == 0 and steps[-1] <= top
    assert 2 <= len(steps) <= 7


def test_stacked_parts_fill_the_bar() -> None:
    slices = stack({"a": 3, "b": 0, "c": 1}, {"a": "x", "b": "y", "c": "z"})
    assert [(s.name, s.start, s.share) for s in slices] == [("a", 0.0, 75.0), ("c", 75.0, 25.0)]
