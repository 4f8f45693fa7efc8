# SPDX-License-Identifier: Apache-2.0
"""Activations that wait in another memory: asked of `compile`, with the same numbers as before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.errors import BadOption, DoesNotFit, NoSchedule
from acclimate.estimate import call_cost, copy_cycles_per_byte, entry_cycles
from acclimate.estimate.copies import LOOP_CYCLES
from acclimate.firmware import Firmware
from acclimate.kernels.copy.op import Copy
from acclimate.program import Interpreter, Role, verify
from acclimate.report.shortfall import cost_of
from acclimate.targets import Memory, Target, find_target
from streamed import with_lazy_copies

STEPS = 3
LR = 0.05
ENTRIES = ("train", "accumulate", "apply")


class Net(nn.Module):
    """Layers of little work and large activations, the last one strided, and a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1)
        self.deep = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, groups=8) for _ in range(3))
        self.wide = nn.ModuleList(nn.Conv2d(8, 8, 1) for _ in range(3))
        self.low = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.sigmoid(self.stem(x))
        for number, (deep, wide) in enumerate(zip(self.deep, self.wide, strict=True)):
            z = torch.sigmoid(wide(torch.tanh(deep(y))))
            y = y + z if number == 1 else z
        return self.head(torch.relu(self.low(y)).mean((2, 3)))


DATA = (torch.randn(1, 2, 12, 12, generator=torch.Generator().manual_seed(1)), torch.tensor([1]))


def compiled(target: str | Target = "stm32l476", **options: Any) -> Firmware:
    torch.manual_seed(3)
    return ac.compile(
        Net(), example=DATA, target=target, optimizer=ac.SGD(lr=LR), solver_seconds=1.0, **options
    )


@pytest.fixture(scope="module")
def kept() -> Firmware:
    """Everything stays."""
    return compiled()


@pytest.fixture(scope="module")
def paged() -> Firmware:
    """No more than 60 % of the arena, and nothing is computed again."""
    return compiled(page="60%")


def pages(firmware: Firmware) -> list[Any]:
    return [b for b in firmware.program.buffers.values() if b.role is Role.PAGE]


def copies(firmware: Firmware, entry: str = "train") -> list[Any]:
    calls = firmware.program.entries[entry].calls
    return [call for call in calls if isinstance(call.attrs, Copy)]


def train_c(firmware: Firmware, device: str | None = "host") -> tuple[list[float], Any]:
    machine = firmware.run(device)
    losses = [machine.train(*(t.numpy() for t in DATA), lr=LR) for _ in range(STEPS)]
    return losses, machine


def check_numpy(after: Firmware, before: Firmware) -> None:
    """Planned memory; copies when they begin, and as late as the waits allow: the same bits."""
    verify(after.program)
    programs = (before.program, after.program, with_lazy_copies(after))
    plans = (before.plan, after.plan, after.plan)
    machines = [Interpreter(p, offsets=x.offsets()) for p, x in zip(programs, plans, strict=True)]
    for machine in machines:
        for _ in range(STEPS):
            machine.run("train", x=DATA[0].numpy(), y=DATA[1].numpy(), lr=LR)
    for name, value in machines[0].persistent.items():
        for other in machines[1:]:
            np.testing.assert_array_equal(other.persistent[name], value, err_msg=name)


def test_pages_lie_in_the_other_memory(kept: Firmware, paged: Firmware) -> None:
    assert pages(paged) and not pages(kept)
    for buffer in pages(paged):
        assert buffer.memory == paged.plan.places[buffer.name] == "ram2"
    assert paged.plan.places["arena"] == "ram"
    assert paged.plan.arena_bytes <= 0.6 * kept.plan.arena_bytes
    outward, inward = (sum(c.attrs.inward is way for c in copies(paged)) for way in (False, True))
    assert outward == len(pages(paged)) <= inward
    macs = [sum(call.macs for call in f.program.calls()) for f in (kept, paged)]
    assert macs[0] == macs[1]  # nothing is computed again
    assert "in ram2" in paged.stages[-1].changes[0]


def test_numbers_are_those_of_kept_activations(kept: Firmware, paged: Firmware) -> None:
    """Interpreter, C on this machine, and C on a Cortex-M4 with both memories: every bit."""
    check_numpy(paged, kept)
    for device in ("host", None):
        (losses, before), (found, after) = train_c(kept, device), train_c(paged, device)
        assert losses == found
        for name, value in before.weights.items():
            np.testing.assert_array_equal(after.weights[name], value, err_msg=name)


def test_copies_take_the_cycles_that_the_estimate_says(kept: Firmware, paged: Firmware) -> None:
    """`memcpy` of the simulated Cortex-M4 against LOOP_CYCLES and two accesses a word."""
    (_, before), (_, after) = train_c(kept, None), train_c(paged, None)
    moved = sum(4 * call.writes[0].size for call in copies(paged))
    ram, ram2 = (paged.target.memory(name) for name in ("ram", "ram2"))
    assert copy_cycles_per_byte(ram, ram2) == (LOOP_CYCLES + 2) / 4
    counted = after.cycles - before.cycles
    assert counted == pytest.approx(moved * copy_cycles_per_byte(ram, ram2), rel=0.1)


def test_copies_are_part_of_time_and_energy(kept: Firmware, paged: Firmware) -> None:
    costs = [cost_of(firmware, firmware.target, {}) for firmware in (kept, paged)]
    moved = sum(4 * call.writes[0].size for call in copies(paged))
    assert costs[1].cycles - costs[0].cycles == pytest.approx((LOOP_CYCLES + 2) / 4 * moved, abs=1)
    assert costs[0].energy_mj is not None and costs[1].energy_mj is not None
    ratio = costs[1].energy_mj / costs[0].energy_mj
    assert ratio == pytest.approx(costs[1].cycles / costs[0].cycles) and ratio > 1
    # RAM is what the plan says: without what waits elsewhere, which the memory's own column has.
    assert costs[1].ram_bytes == paged.plan.ram_bytes < costs[0].ram_bytes
    taken = {room.memory: room.taken_bytes for room in costs[1].rooms}
    assert taken["ram2"] == sum(b.size_bytes for b in pages(paged))


def test_generated_code_copies_through_the_port(paged: Firmware) -> None:
    files = paged.sources()
    text = files["net.c"].decode()
    assert text.count("ac_copy_out(") == len(pages(paged))
    assert "port_copies.c" in files and "AC_IN(ram2)" in text + files["net_weights.c"].decode()
    assert "DMA copies parts" not in files["net.h"].decode()
    assert paged.report().text()


def test_a_budget_is_met_by_the_cheaper_way(kept: Firmware) -> None:
    """Slow copies are left alone, fast ones are taken; together never dearer than either."""
    budget = {"ram": kept.plan.ram_bytes - kept.plan.arena_bytes // 4}
    extra = {}
    for name, options in {
        "recompute": {"recompute": "auto"},
        "page": {"page": "auto"},
        "both": {"recompute": "auto", "page": "auto"},
    }.items():
        found = compiled(budget=budget, **options)
        assert found.plan.ram_bytes <= budget["ram"]
        check_numpy(found, kept)
        entry = found.program.entries["train"]
        extra[name] = entry_cycles(found.program, entry, found.plan, found.target)
    assert extra["both"] <= min(extra["recompute"], extra["page"])
    far = with_memory_cycles("ram2", 2000)
    assert not pages(compiled(far, budget=budget, recompute="auto", page="auto"))


def with_memory_cycles(name: str, cycles: int) -> Target:
    device = find_target("stm32l476")
    memories = [replace(m, latency_cycles=cycles) if m.name == name else m for m in device.memories]
    return replace(device, memories=tuple(memories))


def test_the_device_itself_is_a_budget(kept: Firmware) -> None:
    """No budget is given: the arena is too large for one memory, but not for both."""
    size = kept.plan.ram_bytes - kept.plan.arena_bytes // 4
    device = find_target("stm32l476")
    small = Memory("ram", device.memories[0].address, size // 8 * 8, 0, 1)
    other = replace(device.memories[1], size_bytes=20480)
    target = replace(device, memories=(small, other, device.memories[2]))
    with pytest.raises(DoesNotFit):
        compiled(target)
    for options in ({"page": "auto"}, {"recompute": "auto"}):
        found = compiled(target, **options)
        assert found.plan.places["arena"] == "ram"
        check_numpy(found, kept)
        assert bool(pages(found)) is ("page" in options)
    full = replace(target, memories=(small, replace(other, size_bytes=64), device.memories[2]))
    with pytest.raises(NoSchedule, match="kept, for want of a place") as error:
        compiled(full, page="auto")
    assert "--target with more memory" in str(error.value.hint)


@pytest.mark.parametrize("target", ["stm32l476", "stm32h743", "host", "pulp-cluster"])
def test_what_fits_is_left_alone(target: str) -> None:
    """With nothing too large there is nothing to compute again, and nothing to page."""
    before, after = compiled(target), compiled(target, recompute="auto", page="auto")
    assert after.program.entries == before.program.entries
    assert not pages(after)


def test_entry_points_share_the_room_for_pages() -> None:
    """`train` and `accumulate` have pages of their own; together they fit."""
    before = compiled(entries=ENTRIES)
    device = find_target("stm32l476")
    first = compiled(entries=ENTRIES, page="60%")
    needed = sum(-(-b.size_bytes // 8) * 8 for b in pages(first))
    room = replace(device.memories[1], size_bytes=needed)
    target = replace(device, memories=(device.memories[0], room, device.memories[2]))
    found = compiled(target, entries=ENTRIES, page="60%")
    assert len(copies(found, "accumulate")) >= 2
    machines = [Interpreter(f.program, offsets=f.plan.offsets()) for f in (before, found)]
    for machine in machines:
        machine.run("accumulate", x=DATA[0].numpy(), y=DATA[1].numpy())
        machine.run("apply", lr=LR)
    for name, value in machines[0].persistent.items():
        np.testing.assert_array_equal(machines[1].persistent[name], value, err_msg=name)
    tight = replace(room, size_bytes=needed - 8)
    memories = (device.memories[0], tight, device.memories[2])
    less = compiled(replace(target, memories=memories), entries=ENTRIES, page="60%")
    rooms = cost_of(less, less.target, {}).rooms
    assert pages(less) and not any(room.over_bytes for room in rooms)


def test_retarget_pages_too(kept: Firmware) -> None:
    found = ac.retarget(kept, "stm32h743", page="60%")
    assert pages(found)
    check_numpy(found, kept)


def test_time_and_energy_are_budgets(kept: Firmware) -> None:
    device = kept.target
    assert device.clock_hz is not None
    cycles = entry_cycles(kept.program, kept.program.entries["train"], kept.plan, device)
    ms = 1000.0 * cycles / device.clock_hz
    mj = (device.energy_uj(cycles) or 0.0) / 1000.0
    compiled(budget={"ms": 1.01 * ms, "mj": f"{1.01 * mj} mJ"})
    for budget in ({"ms": 0.99 * ms}, {"mj": 0.99 * mj}):
        with pytest.raises(DoesNotFit, match="takes about") as error:
            compiled(budget=budget)
        assert "estimate" in str(error.value)
    # What is computed again or copied counts: with no time to spare nothing can be saved.
    ram = kept.plan.ram_bytes - kept.plan.arena_bytes // 4
    for options in ({"recompute": "auto"}, {"page": "auto"}):
        compiled(budget={"ram": ram, "ms": 2 * ms}, **options)
        with pytest.raises(NoSchedule, match=r"within [\d,]+ cycles"):
            compiled(budget={"ram": ram, "ms": 1.0001 * ms}, **options)


def test_costs_of_the_solver_are_those_of_the_plan(paged: Firmware) -> None:
    """What a schedule adds in the solver's cycles is what the estimate of the step adds."""
    head = paged.stages[-1].changes[0]
    entry = paged.program.entries["train"]
    once = sum(map(call_cost(paged.target), entry.calls))
    whole = entry_cycles(paged.program, entry, paged.plan, paged.target)
    assert f"cycles {100 * (whole / once - 1):+.1f} %" in head


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"page": "ram2"}, "neither 'auto' nor 'never' nor a share"),
        ({"page": "60%", "target": "host"}, "no slower memory"),
        ({"page": "60%", "target": "pulp-cluster"}, "no slower memory"),
        ({"budget": {"ms": "soon"}}, "not a positive number"),
        ({"budget": {"ms": 3}, "target": "host"}, "known clock"),
        ({"budget": {"mj": 3}, "target": "stm32h743"}, "known power"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(BadOption, match=match):
        compiled(**options)
