# SPDX-License-Identifier: Apache-2.0
"""Programs that compute activations again: less arena, the same numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import acclimate as ac
from acclimate.capture import find_loss
from acclimate.firmware import Firmware
from acclimate.lower import ENTRIES
from acclimate.models import DSCNN, ResNet8
from acclimate.plan import Plan, plan
from acclimate.program import Entry, Interpreter, Program, Role, verify
from acclimate.recompute import (
    Limits,
    Paging,
    apply_schedule,
    build_graph,
    measure,
    recompute,
    solve,
)
from acclimate.recompute.graph import Graph as Recorded
from acclimate.recompute.step import keep_all
from ladder import FORWARD_BOUND, STEPS_BOUND, assert_close, folded, reference
from test_ladder_random import STEPS as LAYERS
from test_ladder_random import Graph, drawn

STEPS = 3


class Skips(nn.Module):
    """Residual blocks of two widths, a long skip, a strided layer and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1)
        self.a = nn.Conv2d(8, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.c = nn.Conv2d(12, 12, 3, padding=1)
        self.up = nn.ConvTranspose2d(12, 8, 2, 2)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stem = torch.relu(self.stem(x))
        mid = torch.relu(stem + self.b(torch.relu(self.a(stem))))
        low = torch.tanh(self.down(mid))
        low = low + torch.sigmoid(self.c(low))
        return self.head(self.drop(torch.relu(self.up(low) + mid * stem)))


class Norms(nn.Module):
    """Attention, whose values are views of one buffer, between layer norms."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList(
            nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True) for _ in range(2)
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.inner:
            x = layer(x)
        return self.head(x.mean(1))


def example(name: str) -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor], str, str]:
    """Model, one sample, loss, target."""
    torch.manual_seed(5)
    if name == "dscnn":
        data = torch.randn(1, 1, 49, 10), torch.tensor([3])
        return DSCNN("S").eval(), data, "cross_entropy", "host"
    if name == "resnet":
        data = torch.randn(1, 3, 32, 32), torch.tensor([3])
        return ResNet8().eval(), data, "cross_entropy", "portable"
    return Skips(), (torch.randn(1, 2, 16, 16), torch.randn(1, 1, 16, 16)), "mse", "portable"


def compiled(name: str, **options: Any) -> Firmware:
    model, data, loss, target = example(name)
    return ac.compile(model, example=data, loss=loss, target=target, **options)


@pytest.fixture(scope="module", params=["dscnn", "resnet", "skips"])
def case(request: pytest.FixtureRequest) -> tuple[str, Firmware]:
    """A model and what it compiles to without recomputation."""
    return request.param, compiled(request.param)


def train(program: Program, placed: Plan, data: tuple[torch.Tensor, ...]) -> Interpreter:
    """Some steps in NumPy, in the planned memory."""
    machine = Interpreter(program, offsets=placed.offsets())
    for _ in range(STEPS):
        machine.run("train", x=data[0].numpy(), y=data[1].numpy(), lr=0.02)
    return machine


def assert_same(program: Program, before: Firmware, data: tuple[torch.Tensor, ...]) -> None:
    """The persistent buffers are equal bit for bit after some steps."""
    verify(program)
    expected = train(before.program, before.plan, data)
    found = train(program, plan(program), data)
    for name, value in expected.persistent.items():
        np.testing.assert_array_equal(found.persistent[name], value, err_msg=name)


# Share of the arena that is asked for, and the extra MACs that this may cost.
SHARES = {"dscnn": (0.5, 0.30), "resnet": (0.8, 0.10), "skips": (0.93, 0.20)}


def test_arena_is_within_the_budget_and_numbers_are_equal(case: tuple[str, Firmware]) -> None:
    name, before = case
    share, most = SHARES[name]
    static = before.plan.ram_bytes - before.plan.arena_bytes
    budget = static + int(share * before.plan.arena_bytes)
    after = compiled(name, budget={"ram": budget}, recompute="auto")
    assert after.plan.ram_bytes <= budget < before.plan.ram_bytes
    assert after.stages[-1].name == "recompute"
    once, again = (sum(c.macs for c in f.program.entries["train"].calls) for f in (before, after))
    assert once < again <= (1 + most) * once
    assert f"MACs {100 * (again / once - 1):+.1f} %" in after.stages[-1].changes[0]
    model, data, loss, _ = example(name)
    assert_same(after.program, before, data)
    check_c(after, before, data)
    if name != "skips":  # the masks of dropout are not those of PyTorch
        eager = folded(model, after.stages[0].changes)
        ref = reference(eager, find_loss(loss), (data[0],), data[1], ac.SGD(lr=0.02), 0.02)
        device = after.run("host")
        losses = [device.train(*(t.numpy() for t in data), lr=0.02) for _ in range(STEPS)]
        assert_close(losses[:1], ref.losses[:1], FORWARD_BOUND, "first loss")
        assert_close(losses, ref.losses[:STEPS], STEPS_BOUND, "losses")


def check_c(after: Firmware, before: Firmware, data: tuple[torch.Tensor, ...]) -> None:
    """The C of both leaves the same bits in all weights."""
    devices = [firmware.run("host") for firmware in (before, after)]
    for device in devices:
        for _ in range(STEPS):
            device.train(*(t.numpy() for t in data), lr=0.02)
    for name, value in devices[0].weights.items():
        np.testing.assert_array_equal(devices[1].weights[name], value, err_msg=name)


def graph_of(firmware: Firmware) -> tuple[Recorded, Entry]:
    entry = firmware.program.entries["train"]
    return build_graph(firmware.program, entry), entry


def test_abstract_step_has_the_bytes_of_the_program(case: tuple[str, Firmware]) -> None:
    """Nothing recomputed: the peak is that of the plan. Least RAM: that of the new plan."""
    _, before = case
    graph, entry = graph_of(before)
    peak = before.plan.entries[entry.name].bound_bytes
    assert measure(graph.step, keep_all(graph.step)).peak_bytes == peak
    least = solve(graph.step, Limits(minimize="ram"))
    assert least is not None
    changed = apply_schedule(before.program, graph, least)
    assert plan(changed).entries["train"].bound_bytes == measure(graph.step, least).peak_bytes
    assert_same(changed, before, example(case[0])[1])


def test_auto_changes_nothing_that_fits(case: tuple[str, Firmware]) -> None:
    name, before = case
    after = compiled(name, budget={"ram": before.plan.ram_bytes}, recompute="auto")
    assert after.program.entries == before.program.entries
    assert [s.name for s in after.stages] == [s.name for s in before.stages]


def test_too_small_a_budget_says_what_would_do(case: tuple[str, Firmware]) -> None:
    name, _ = case
    with pytest.raises(ac.AcclimateError, match="even with activations computed") as caught:
        compiled(name, budget={"ram": 1000}, recompute="auto")
    assert caught.value.hint is not None
    number = int(caught.value.hint.split(":")[1].split("}")[0])
    assert compiled(name, budget={"ram": number}, recompute="auto").plan.ram_bytes == number
    with pytest.raises(ac.AcclimateError):
        compiled(name, budget={"ram": number - 4}, recompute="auto")


def test_pages_give_the_same_numbers(case: tuple[str, Firmware]) -> None:
    """Copies are free here, so the solver pages rather than computes; the C has static pages."""
    name, before = case
    share, _ = SHARES[name]
    static = before.plan.ram_bytes - before.plan.arena_bytes
    budget = static + int(share * before.plan.arena_bytes)
    paged, schedule = recompute(before.program, ram_bytes=budget, paging=Paging(0.0, 0.0))
    assert any(row.paged for row in schedule.entries[0].rows)
    assert "paged" in str(schedule)
    pages = [b for b in paged.buffers.values() if b.role is Role.PAGE]
    assert pages and plan(paged).ram_bytes <= budget
    assert_same(paged, before, example(name)[1])
    firmware = replace(before, program=paged, plan=plan(paged))
    check_c(firmware, before, example(name)[1])
    assert firmware.report()


def test_named_modules_are_dropped() -> None:
    before = compiled("dscnn")
    after = compiled("dscnn", recompute=["blocks.0", "blocks.2.pointwise"])
    assert after.plan.arena_bytes < before.plan.arena_bytes
    text = "\n".join(after.stages[-1].changes)
    dropped = [line for line in text.splitlines() if "computed again 1 x" in line]
    assert len(dropped) == 3 and all("blocks_0" in d or "blocks_2_point" in d for d in dropped)
    assert_same(after.program, before, example("dscnn")[1])
    with pytest.raises(ac.AcclimateError, match="no activation of 'block'"):
        compiled("dscnn", recompute=["block"])
    with pytest.raises(ac.AcclimateError, match="neither 'auto' nor 'never'"):
        compiled("dscnn", recompute="blocks.0")


def test_retarget_and_all_entry_points() -> None:
    """`accumulate` learns too, and has its own schedule."""
    before = compiled("dscnn", entries=ENTRIES)
    budget = {"ram": before.plan.ram_bytes - before.plan.arena_bytes // 3}
    after = ac.retarget(before, "portable", budget=budget, recompute="auto")
    assert after.plan.ram_bytes <= budget["ram"]
    heads = [line for line in after.stages[-1].changes if "arena" in line]
    assert [head.split(":")[0] for head in heads] == ["train", "accumulate"]
    x, y = (t.numpy() for t in example("dscnn")[1])
    one, two = (Interpreter(f.program, offsets=f.plan.offsets()) for f in (before, after))
    for machine in (one, two):
        machine.run("accumulate", x=x, y=y)
        machine.run("apply", lr=0.1)
    for name, value in one.persistent.items():
        assert_close(two.persistent[name], value, 1e-6, name)


def test_random_and_updated_values_are_not_computed_too_late() -> None:
    """The seed of dropout changes in the step, and every weight when its gradient is known."""
    firmware = compiled("skips")
    graph, entry = graph_of(firmware)
    for node, unit in zip(graph.step.nodes, graph.units, strict=True):
        read = {v.buffer for n in unit.calls for v in entry.calls[n].reads}
        kept = {b for b in read if firmware.program.buffers[b].role.persistent}
        changes = [
            n
            for n, call in enumerate(entry.calls)
            if kept & {v.buffer for v in call.writes} and n > unit.calls[-1]
        ]
        if changes and node.last_stage >= 0:
            assert graph.step.stages[node.last_stage].slot <= min(changes)


def test_calls_that_share_a_buffer_are_one_node() -> None:
    """A convolution and the sum and ReLU that work in its memory come back together."""
    graph, entry = graph_of(compiled("resnet"))
    groups = [[entry.calls[n].source.module for n in unit.calls] for unit in graph.units]
    assert ["stacks.1.conv2", "stacks.1", "stacks.1"] in groups
    ends = [unit for unit in graph.units if unit.end is not None]
    assert ends  # their memory becomes that of a gradient
    for unit in ends:
        stages = [s for s in graph.step.stages if s.overwrites]
        assert any(graph.units.index(unit) in s.overwrites for s in stages)


def check_least(before: Firmware, data: tuple[torch.Tensor, ...]) -> int:
    """The abstract step is that of the program, also at the least RAM. Returns the bytes saved."""
    graph, entry = graph_of(before)
    everything = measure(graph.step, keep_all(graph.step)).peak_bytes
    assert everything == before.plan.entries[entry.name].bound_bytes
    least = solve(graph.step, Limits(minimize="ram"))
    assert least is not None
    peak = measure(graph.step, least).peak_bytes
    cheapest = solve(graph.step, Limits(ram_bytes=peak, paging=Paging(0.5, 0.5)))
    assert cheapest is not None
    for solution in (least, cheapest):
        changed = apply_schedule(before.program, graph, solution)
        assert plan(changed, seconds=0).entries["train"].bound_bytes <= peak
        assert_same(changed, before, data)
    return everything - peak


def test_norms_and_attention() -> None:
    torch.manual_seed(1)
    data = torch.randn(1, 12, 8), torch.tensor([1])
    assert check_least(ac.compile(Norms(), example=data), data) > 0


def test_calls_with_two_results() -> None:
    """Max pooling sets the maxima and their places; both may come back, together or alone."""
    torch.manual_seed(2)
    layers: list[nn.Module] = []
    for C in (2, 6, 6, 6):
        layers += [nn.Conv2d(C, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 1, 1)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(6 * 64, 3))
    data = torch.randn(1, 2, 8, 8), torch.tensor([1])
    before = ac.compile(model, example=data, target="portable")
    assert check_least(before, data) > 0
    graph, _ = graph_of(before)
    assert any(unit.others for unit in graph.units)


@drawn(12)
@given(st.lists(LAYERS, min_size=3, max_size=10), st.integers(2, 4))
def test_random_graphs(layers: list[tuple[str, int, int]], channels: int) -> None:
    torch.manual_seed(8)
    data = torch.randn(1, channels, 5, 4), torch.tensor([1])
    check_least(ac.compile(Graph(layers, channels), example=data, target="portable"), data)
