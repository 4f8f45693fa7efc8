# SPDX-License-Identifier: Apache-2.0
"""What tiles do not move, how rings follow each other, and steps that just fit the outer memory."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch import nn

from acclimate.fit import ORDERED
from acclimate.kernels.copy.op import Copy
from acclimate.program import Buffer, Program, Role
from acclimate.stream.expand import Ring
from acclimate.targets import Target, find_target
from acclimate.tune.code_size import code_bytes, spare_code
from streamed import Network, check_cluster, check_numpy

_CLUSTER = find_target("pulp-cluster")


def _convolutions() -> Network:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 24 * 24, 3))
    return Network(model, torch.randn(1, 3, 24, 24), torch.randn(1, 3), entries=("train",))


def _with_l2(size_bytes: int) -> Target:
    return _CLUSTER.with_memory("l2", size_bytes)


def _outer_bytes(program: Program, arena_bytes: int) -> int:
    """What a program takes of L2, its code by estimate."""
    static = sum(b.size_bytes for b in program.buffers.values() if b.role.external)
    static += sum(b.size_bytes for b in program.buffers.values() if b.memory == "l2")
    arena = [b for b in program.buffers.values() if b.memory == "l2" and b.role.in_arena]
    static -= sum(b.size_bytes for b in arena)
    return static + arena_bytes + code_bytes(program, _CLUSTER)


def test_what_only_the_tiles_of_a_unit_use_is_not_stored() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 256))
    network = Network(model, torch.randn(1, 256), torch.randn(1, 256), entries=("train",))
    firmware = network.compile(budget={"l1": "16 kB"})
    calls = firmware.program.entries["train"].calls
    read: set[str] = set()
    for call in reversed(calls):
        if isinstance(call.attrs, Copy) and not call.attrs.inward:
            (target,) = call.writes
            inside = firmware.program.buffers[target.buffer].role.in_arena
            assert not inside or target.buffer in read, f"{target.buffer} is stored for nobody"
        read |= {view.buffer for view in call.reads}
    check_numpy(firmware, network.data)


def _ring(slots: int, slot: int) -> Ring:
    return Ring(Buffer("ring", (slots * slot,), "f32", Role.TILE), slots, slot)


def test_ring_of_the_same_slots_goes_on_behind_the_last_run() -> None:
    old = _ring(3, 100).after(4)  # runs 0 to 3: the last one lies in slot 0
    new = replace(_ring(3, 100), buffer=Buffer("new", (300,), "f32", Role.TILE)).follow(old)
    assert new is not None and new.buffer is old.buffer
    assert [new.place(run) for run in range(3)] == [100, 200, 0]


def test_small_ring_lies_behind_the_last_run_of_a_large_one() -> None:
    new = _ring(1, 30).follow(_ring(3, 100).after(1))
    assert new is not None and new.place(0) == 100


def test_ring_of_other_slots_begins_where_the_older_one_is_free_first() -> None:
    new = _ring(4, 75).follow(_ring(3, 100).after(1))
    assert new is not None
    assert [new.place(run) for run in range(4)] == [150, 225, 0, 75]


def test_longer_ring_does_not_follow() -> None:
    assert _ring(4, 100).follow(_ring(3, 100)) is None


def test_activations_are_computed_again_where_the_outer_memory_lacks_room_for_code() -> None:
    network = _convolutions()
    kept = network.compile(_CLUSTER, budget={"l1": "16 kB"}, recompute="auto")
    assert [stage.name for stage in kept.stages][-2:] == [ORDERED, "stream"]
    needed = _outer_bytes(kept.program, kept.plan.arenas["l2"])
    # Arena and weights have room, but not with their code, even the smallest.
    target = _with_l2((needed - 24 * 1024) // 16 * 16)
    firmware = network.compile(target, budget={"l1": "16 kB"}, recompute="auto")
    assert "recompute" in [stage.name for stage in firmware.stages]
    assert firmware.plan.arenas["l2"] < kept.plan.arenas["l2"]
    assert (
        _outer_bytes(firmware.program, firmware.plan.arenas["l2"]) <= target.memory("l2").size_bytes
    )
    check_cluster(firmware, network.compile("host"), network.data, 16 * 1024)


def test_calls_are_compiled_for_size_before_kernels_change() -> None:
    firmware = _convolutions().compile(budget={"l1": "16 kB"})
    room = _CLUSTER.memory("l2").size_bytes - code_bytes(firmware.program, _CLUSTER)
    small, (change,) = spare_code(firmware.program, _CLUSTER, room + 64)
    assert small.compact and change.startswith("calls of ")
    assert [call.work for call in small.calls()] == [call.work for call in firmware.program.calls()]
    text = replace(firmware, program=small).sources(kit="pulp-sdk")["net.c"].decode()
    assert re.search(r"\nAC_COMPACT\s+static void net_train_task", text)
    assert b"AC_COMPACT" not in firmware.sources(kit="pulp-sdk")["net.c"]
