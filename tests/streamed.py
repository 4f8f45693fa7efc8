# SPDX-License-Identifier: Apache-2.0
"""Checks of programs that run from an outer memory in tiles, in NumPy and on the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import nn

import acclimate as ac
from acclimate.firmware import Firmware
from acclimate.fit import ORDERED
from acclimate.kernels.copy.op import Copy
from acclimate.plan import EntryPlan, Team
from acclimate.program import Call, Entry, Interpreter, Program
from acclimate.simulate.cluster import ClusterDevice
from acclimate.simulate.cluster.machine import L3_BASE
from acclimate.targets import Target, find_target
from ladder import STEPS_BOUND, assert_close

LR = 0.05
EXACT = 1e-9  # float64
STEPS = 3
PATTERN = 0xA5
STREAM = "stream"


@dataclass(frozen=True)
class Network:
    """A model with one batch, compiled for anything."""

    model: nn.Module
    x: torch.Tensor
    y: torch.Tensor
    loss: str = "mse"
    optimizer: Any = field(default_factory=lambda: ac.SGD(lr=LR))
    entries: tuple[str, ...] = ("predict", "train")

    def compile(self, target: str | Target = "pulp-cluster", **options: Any) -> Firmware:
        return ac.compile(
            self.model,
            example=(self.x, self.y),
            loss=self.loss,
            optimizer=self.optimizer,
            target=target,
            entries=self.entries,
            name="net",
            **options,
        )

    @property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """The batch."""
        return self.x.numpy(), self.y.numpy()


def is_streamed(firmware: Firmware) -> bool:
    """True if the firmware has tiles and copies."""
    return firmware.stages[-1].name == STREAM


def used_bytes(firmware: Firmware, memory: str) -> int:
    """What the plan puts into a memory, arena and static."""
    static = sum(
        -(-b.size_bytes // 8) * 8
        for b in firmware.program.buffers.values()
        if b.role.persistent and firmware.plan.places[b.name] == memory
    )
    names = ["arena", f"arena_{memory}"]
    arenas = [n for n in names if firmware.plan.places.get(n) == memory]
    sizes = {(f"arena_{m}" if m else "arena"): n for m, n in firmware.plan.arenas.items()}
    return static + sum(sizes[name] for name in arenas)


# ---- the plan


def check_plan(firmware: Firmware, budget: int) -> None:
    """The fast memory is large enough, and no two live buffers share a byte."""
    assert used_bytes(firmware, "l1") <= budget
    for entry in firmware.plan.entries.values():
        for memory, arena in entry.arenas.items():
            lives = [life for life in entry.lives if life.buffer.memory == memory]
            places = {life.buffer.name: entry.offsets[life.buffer.name] for life in lives}
            for one, other in combinations(lives, 2):
                low, high = places[one.buffer.name], places[other.buffer.name]
                apart = low + one.size_bytes <= high or high + other.size_bytes <= low
                assert apart or not one.overlaps(other), f"{one} {other}"
            ends = [places[life.buffer.name] + life.size_bytes for life in lives]
            assert max(ends) <= arena.size_bytes


def check_channels(entry: Entry, plan: EntryPlan) -> None:
    """A channel has one copy at a time, and every copy is waited for."""
    team = plan.team
    flying: dict[int, int] = {}
    for number, call in enumerate(entry.calls):
        for channel in team.waits.get(number, ()):
            del flying[channel]
        if isinstance(call.attrs, Copy):
            channel = team.channels[number]
            assert channel not in flying
            assert 0 <= channel < 16
            flying[channel] = number
    assert sorted(flying) == sorted(team.last)


# ---- NumPy


def lazy(entry: Entry, team: Team) -> Entry:
    """The calls with every copy made only when somebody waits for it: as late as a DMA may be."""
    calls: list[Call] = []
    flying: dict[int, Call] = {}
    for number, call in enumerate(entry.calls):
        calls += [flying.pop(channel) for channel in team.waits.get(number, ())]
        if isinstance(call.attrs, Copy):
            flying[team.channels[number]] = call
        else:
            calls.append(call)
    return replace(entry, calls=(*calls, *(flying[channel] for channel in team.last)))


def with_lazy_copies(firmware: Firmware) -> Program:
    """The program of a DMA that is as slow as the plan allows."""
    plans = firmware.plan.entries
    entries = firmware.program.entries.items()
    made = {name: lazy(entry, plans[name].team) for name, entry in entries}
    return replace(firmware.program, entries=made)


def untiled(firmware: Firmware) -> Program:
    """The program before it was cut."""
    (found,) = (stage.program for stage in firmware.stages if stage.name == ORDERED)
    return found


def history(program: Program, data: Sequence[np.ndarray], **options: Any) -> dict[str, np.ndarray]:
    """Outputs, losses and all that persists, through every entry point."""
    machine = Interpreter(program, **options)
    found: dict[str, np.ndarray] = {}
    for number, entry in enumerate(("predict", "train", "train", "accumulate", "apply", "predict")):
        if entry not in program.entries:
            continue
        names = [b.name for b in program.interface(entry) if b.role in ("input", "target")]
        named = dict(zip(("x", "y"), data, strict=True))
        given = {name: named[name] for name in names}
        found |= {f"{number} {n}": v for n, v in machine.run(entry, **given, lr=LR).items()}
        if entry in ("train", "apply", "accumulate"):
            found |= {f"{number} {name}": machine.value(name) for name in machine.persistent}
    return found


def check_numpy(firmware: Firmware, data: Sequence[np.ndarray]) -> None:
    """Tiles in planned memory, with fast copies and with slow ones = the program before."""
    tiled, places = firmware.program, firmware.plan.offsets()
    whole = history(untiled(firmware), data, real=np.float64)
    for name, value in history(tiled, data, real=np.float64).items():
        assert_close(value, whole[name], EXACT, name)
    planned = history(tiled, data, offsets=places)
    for name, value in planned.items():
        assert_close(value, whole[name], STEPS_BOUND, f"{name} in planned memory")
    for name, value in history(with_lazy_copies(firmware), data, offsets=places).items():
        np.testing.assert_array_equal(value, planned[name], f"{name} with lazy copies")


# ---- devices


@dataclass
class Canaries:
    """A pattern in all memory of a simulated cluster that the program does not own."""

    device: ClusterDevice
    given: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        place = self.device._scratch  # inputs and outputs lie there

        def noted(size: int) -> int:
            self.given.append((place(size), size))
            return self.given[-1][0]

        self.device._scratch = noted  # type: ignore[method-assign]
        for free in self._free():
            free[...] = PATTERN

    def check(self) -> None:
        """Everything is as it was."""
        for free in self._free():
            np.testing.assert_array_equal(free, PATTERN)

    def _free(self) -> list[np.ndarray]:
        image, outer = self.device.image, self.device.target.memory("l2")
        ends = [
            (image.symbol("ac_l1_end"), image.symbol("ac_stacks")),
            (image.symbol("ac_l2_end"), outer.address + outer.size_bytes),
        ]
        if self.device.target.l3 is not None:
            ends.append((image.symbol("ac_l3_end"), L3_BASE + self.device.target.l3.size_bytes))
        found = []
        for low, high in ends:
            inside = [at + size for at, size in self.given if low <= at < high]
            first = max([low, *inside])
            found.append(self.device.machine.memory(first, high - first))
        return found


def check_cluster(
    firmware: Firmware, host: ac.Firmware, data: Sequence[np.ndarray], budget: int
) -> None:
    """Three steps, a mini-batch and outputs on the cluster are those of the host."""
    device = firmware.run("cluster", check_races=True)
    assert isinstance(device, ClusterDevice)
    inner = device.target.memory("l1")
    assert device.image.symbol("ac_l1_end") - inner.address <= budget
    canaries = Canaries(device)
    compare_devices(device, host.run("host"), data)
    assert canaries.given
    canaries.check()


def compare_devices(device: Any, host: Any, data: Sequence[np.ndarray]) -> None:
    """Losses, weights and outputs of two devices through all entry points that they have."""
    results: list[Mapping[str, np.ndarray]] = []
    for one in (device, host):
        found = {f"loss {n}": np.float32(one.train(*data, lr=LR)) for n in range(STEPS)}
        if "accumulate" in one.program.entries:
            found["loss of accumulate"] = np.float32(one.accumulate(*data))
            one.apply(lr=LR)
        if "predict" in one.program.entries:
            found["outputs"] = one.predict(data[0])
        results.append(found | {name: value.copy() for name, value in one.weights.items()})
    for name, expected in results[1].items():
        assert_close(results[0][name], expected, STEPS_BOUND, name)


def cluster(cores: int = 8) -> Target:
    """The cluster of the paper with so many cores."""
    return find_target("pulp-cluster").with_cores(cores)
