# SPDX-License-Identifier: Apache-2.0
"""Frozen weights that wait in l3 where l2 is too small for them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from torch import nn

import acclimate as ac
from acclimate.emit.kits.pulp_sdk import stored_image
from acclimate.errors import DoesNotFit, NoSchedule
from acclimate.program import Role
from acclimate.report.shortfall import cost_of
from acclimate.simulate.compiler import WARNINGS
from streamed import (
    Network,
    check_channels,
    check_cluster,
    check_numpy,
    check_plan,
    cluster,
    compare_devices,
    used_bytes,
)
from test_emit import run
from test_kits import BARE, PULP, RV32, STANDINS, compile_c, pulp_sources
from test_stream_l3 import target

KIB = 1024
L1_BYTES, L2_BYTES = 6000, 27 * KIB  # weights alone take 39 kB


@cache
def network(seed: int = 6) -> Network:
    """A frozen body with many weights between layers that learn: they are read in both passes."""
    torch.manual_seed(seed)
    body: list[nn.Module] = [nn.Conv2d(2, 8, 3, padding=1), nn.ReLU()]
    for width in (16, 24, 24):
        previous = next(layer for layer in reversed(body) if isinstance(layer, nn.Conv2d))
        body += [nn.Conv2d(previous.out_channels, width, 3, stride=2, padding=1), nn.ReLU()]
    model = nn.Sequential(*body, nn.Flatten(), nn.Linear(24, 3))
    for layer in model[2:-1]:
        layer.requires_grad_(False)
    x, y = torch.randn(1, 2, 8, 8), torch.tensor([1])
    return Network(model, x, y, loss="cross_entropy")


@cache
def compiled(
    l1: int = L1_BYTES, l2: int = L2_BYTES, cores: int = 8, page: str = "auto", **options: Any
) -> ac.Firmware:
    options = {"target": target(cores), **options}
    return network().compile(budget={"l1": l1, "l2": l2}, solver_seconds=0.5, page=page, **options)


@cache
def host() -> ac.Firmware:
    return network().compile("host")


def stored(firmware: ac.Firmware) -> dict[str, int]:
    """Weights in l3, and their bytes."""
    buffers = firmware.program.buffers.values()
    return {b.name: b.size_bytes for b in buffers if b.role is Role.STORED}


def test_weights_wait_where_l2_is_too_small() -> None:
    firmware = compiled()
    weights = stored(firmware)
    assert weights and used_bytes(firmware, "l2") <= L2_BYTES
    check_plan(firmware, L1_BYTES)
    for name, entry in firmware.program.entries.items():
        check_channels(entry, firmware.plan.entries[name])
        read = {view.buffer for call in entry.calls for view in call.reads} & weights.keys()
        fetched = [c for c in entry.calls if firmware.program.copies_l3(c)]
        assert {c.reads[0].buffer for c in fetched if c.attrs.inward} >= read
    (l3,) = (r for r in cost_of(firmware, firmware.target, {}).rooms if r.memory == "l3")
    assert l3.taken_bytes >= sum(weights.values())


def test_the_largest_wait_first_and_no_more_than_must() -> None:
    few, many = stored(compiled(l2=36 * KIB)), stored(compiled())
    assert few.keys() < many.keys()
    assert min(few.values()) >= max(many[name] for name in many.keys() - few.keys())
    assert not stored(compiled(l2=KIB * KIB))
    assert not stored(network().compile(target(), page="auto"))


def test_numbers_are_those_of_the_whole_with_copies_as_late_as_they_may_be() -> None:
    check_numpy(compiled(), network().data)


@pytest.mark.parametrize("cores", [1, 8])
def test_the_cluster_computes_what_the_host_computes(cores: int) -> None:
    """With canaries around all three memories, and no race."""
    firmware = compiled(cores=cores)
    assert stored(firmware)
    check_cluster(firmware, host(), network().data, L1_BYTES)


@pytest.mark.parametrize("weights", ["c", "binary"])
def test_c_on_the_host_computes_the_same(weights: str) -> None:
    firmware = compiled(cores=3).in_c()
    assert "AC_L3_PLACE(" in firmware.sources(weights=weights)["net.c"].decode()
    compare_devices(firmware.run("host"), host().run("host"), network().data)


def test_weights_can_be_read_and_are_part_of_no_checkpoint() -> None:
    firmware = compiled()
    device = firmware.run("host")
    (name, *_) = stored(firmware)
    path = firmware.program.buffers[name].path
    np.testing.assert_array_equal(device.weights[path], host().run("host").weights[path])
    device.reset()
    learned = sum(
        b.size_bytes for b in firmware.program.buffers.values() if b.role is Role.PARAMETER
    )
    header = firmware.sources()["net.h"].decode()
    assert f"NET_CHECKPOINT_BYTES {20 + learned}" in header


def test_other_frozen_weights_have_another_hash() -> None:
    """What was learned beside some frozen weights is worth nothing beside others."""
    hashes = set()
    for seed in (6, 8):
        firmware = network(seed).compile(
            target(), budget={"l1": L1_BYTES, "l2": L2_BYTES}, page="auto", solver_seconds=0.5
        )
        assert stored(firmware).keys() == stored(compiled()).keys()
        hashes.add(re.findall(r"NET_MODEL_HASH (\w+)", firmware.sources()["net.h"].decode())[0])
    assert len(hashes) == 2


def test_without_pages_or_an_l3_it_is_refused() -> None:
    with pytest.raises(DoesNotFit) as refused:
        compiled(page="never")
    (hint,) = re.findall(r"page='auto'  # the same step, ([\d,]+) B of it wait", str(refused.value))
    assert int(hint.replace(",", "")) > 20_000
    with pytest.raises(DoesNotFit):
        compiled(target=cluster())


def test_an_l3_with_room_for_some_of_them() -> None:
    """34,560 B of two weights; one alone would be in l2 whenever the other one is."""
    firmware = compiled(l2=30 * KIB, target=target(size_bytes=36 * KIB))
    assert len(stored(firmware)) == 2 and firmware.program.l3_bytes <= 36 * KIB
    with pytest.raises(NoSchedule):
        compiled(l2=30 * KIB, target=target(size_bytes=33 * KIB))


def test_the_kit_of_pulp_brings_a_file_to_the_ram_of_the_board(tmp_path: Path) -> None:
    firmware = compiled(cores=3).in_c()
    folder = firmware.export(tmp_path / "c", kit="pulp-sdk")
    image = (folder / "net_l3.bin").read_bytes()
    assert image == stored_image(firmware.program) and len(image) >= sum(stored(firmware).values())
    assert "READFS_FILES += net_l3.bin" in (folder / "Makefile").read_text()
    assert "net_l3.bin" in (folder / "README.md").read_text()
    host_c = STANDINS / "pulp" / "pmsis_host.c"
    flags = (*WARNINGS, *PULP, "-I.", "-lm", "-lpthread")
    program = compile_c(folder, [*pulp_sources(folder), host_c], flags)
    losses = [float(v) for v in re.findall(r"loss ([\d.]+)", run(program))]
    x = (np.arange(network().x.numel()) % 7 * np.float32(0.1)).astype(np.float32)
    device = host().run("host")
    wanted = [device.train(x.reshape(network().x.shape), np.array([0]), lr=0.01) for _ in range(10)]
    np.testing.assert_allclose(losses, wanted, atol=2e-6)


def test_the_kit_compiles_for_riscv(tmp_path: Path) -> None:
    folder = compiled(cores=3).in_c().export(tmp_path / "c", kit="pulp-sdk")
    compile_c(folder, pulp_sources(folder), (*WARNINGS, *RV32, *BARE, *PULP, "-I."))


@pytest.mark.slow
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # shrinking would compile a hundred times
    suppress_health_check=[HealthCheck.too_slow],
)
@example(2 * KIB, 26 * KIB)
@given(st.integers(1024, 16 * KIB), st.integers(24 * KIB, 48 * KIB))
def test_any_budget_fits_or_is_refused(l1: int, l2: int) -> None:
    try:
        firmware = compiled(l1, l2)
    except DoesNotFit as refused:
        assert "B" in str(refused)
        return
    check_plan(firmware, l1)
    assert used_bytes(firmware, "l2") <= l2
    check_numpy(firmware, network().data)
    check_cluster(firmware, host(), network().data, l1)
