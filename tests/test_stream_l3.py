# SPDX-License-Identifier: Apache-2.0
"""Steps that do not fit l2 of a cluster: activations wait in the l3 behind it."""

from __future__ import annotations

import re
from dataclasses import replace
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
from acclimate.errors import BadOption, BadTarget, DoesNotFit, NoSchedule
from acclimate.estimate import entry_cycles
from acclimate.kernels.copy.op import Copy
from acclimate.program import Role
from acclimate.report.shortfall import cost_of
from acclimate.simulate.compiler import WARNINGS
from acclimate.stream import begin_early
from acclimate.targets import L3, Target, find_target
from streamed import (
    Network,
    check_channels,
    check_cluster,
    check_numpy,
    check_plan,
    cluster,
    compare_devices,
    is_streamed,
    used_bytes,
)
from test_emit import run
from test_kits import PULP, STANDINS, compile_c, pulp_sources

L1_BYTES, L2_BYTES = 6000, 32000  # of 38 kB that a step needs at once
KIB = 1024
TARGETS = Path(ac.__file__).parent / "targets"


def target(cores: int = 8, **figures: Any) -> Target:
    """The cluster of the paper with 1 MB behind it."""
    return replace(cluster(cores), l3=replace(L3(KIB * KIB, 0, 300, 0.75), **figures))


@cache
def network() -> Network:
    """Large activations and few weights, so that most of a step can wait."""
    torch.manual_seed(4)
    layers: list[nn.Module] = [nn.Conv2d(2, 8, 3, padding=1), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv2d(8, 8, 1), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 144, 3))
    x, y = torch.randn(1, 2, 12, 12), torch.tensor([1])
    return Network(model, x, y, loss="cross_entropy")


@cache
def compiled(l1: int = L1_BYTES, l2: int = L2_BYTES, cores: int = 8, **options: Any) -> ac.Firmware:
    options = {"page": "auto", "target": target(cores), **options}
    return network().compile(budget={"l1": l1, "l2": l2}, solver_seconds=0.5, **options)


@cache
def host() -> ac.Firmware:
    return network().compile("host")


def pages(firmware: ac.Firmware, inward: bool, entry: str = "train") -> list[Any]:
    """Copies between l3 and l2 in an entry point."""
    program = firmware.program
    calls = program.entries[entry].calls
    return [c for c in calls if program.copies_l3(c) and c.attrs.inward is inward]


def test_activations_wait_in_l3_where_l2_is_too_small() -> None:
    firmware = compiled()
    assert is_streamed(firmware)
    check_plan(firmware, L1_BYTES)
    assert used_bytes(firmware, "l2") <= L2_BYTES
    assert pages(firmware, inward=False)
    assert len(pages(firmware, inward=True)) >= len(pages(firmware, inward=False))
    entry = firmware.program.entries["train"]
    check_channels(entry, firmware.plan.entries["train"])
    assert min(firmware.program.l3_offsets(entry).values()) == 0
    assert not firmware.program.l3_offsets(firmware.program.entries["predict"])
    waiting = sum(4 * call.writes[0].size for call in pages(firmware, inward=False))
    assert firmware.program.l3_bytes == waiting
    (l3,) = (r for r in cost_of(firmware, firmware.target, {}).rooms if r.memory == "l3")
    assert l3.taken_bytes == waiting
    assert f"l3 {waiting:,}" in re.sub(" +", " ", str(firmware.report()))


def test_numbers_are_those_of_the_whole_with_copies_as_late_as_they_may_be() -> None:
    check_numpy(compiled(), network().data)


@pytest.mark.parametrize("cores", [1, 8])
def test_the_cluster_computes_what_the_host_computes(cores: int) -> None:
    """With canaries around all three memories, and no race."""
    firmware = compiled(cores=cores)
    assert pages(firmware, inward=True)
    check_cluster(firmware, host(), network().data, L1_BYTES)


def test_c_on_the_host_computes_the_same() -> None:
    """The port copies within the one memory of this machine."""
    firmware = compiled(cores=3).in_c()
    assert "ac_l3_out(" in firmware.sources()["net.c"].decode()
    compare_devices(firmware.run("host"), host().run("host"), network().data)


def test_computing_again_and_waiting_are_weighed_against_each_other() -> None:
    slow = compiled(target=target(bytes_per_cycle=1 / 64), recompute="auto")
    assert not pages(slow, inward=True)  # 64 cycles a byte: everything is rather computed again
    fast = compiled(target=target(bytes_per_cycle=16.0, setup_cycles=1), recompute="auto")
    assert pages(fast, inward=True)


def test_a_share_of_the_arena() -> None:
    """Everything would fit l1: the activations that are asked for go by way of l2."""
    whole = network().compile(target())
    firmware = network().compile(target(), page="60%")
    assert not is_streamed(whole) and pages(firmware, inward=True)
    check_cluster(firmware, host(), network().data, target().memory("l1").usable_bytes)


@pytest.mark.parametrize(
    ("figure", "value", "what"),
    [
        ("size_bytes", 0, "l3.size_bytes cannot be simulated"),
        ("size_bytes", (64 << 20) + 1, "l3.size_bytes cannot be simulated"),
        ("reserved_bytes", KIB * KIB, "l3.reserved_bytes leaves nothing"),
        ("reserved_bytes", -1, "l3.reserved_bytes leaves nothing"),
        ("setup_cycles", 0, "l3.setup_cycles is less than 1"),
        ("bytes_per_cycle", 0.01, "l3.bytes_per_cycle cannot be simulated"),
        ("bytes_per_cycle", 17, "l3.bytes_per_cycle cannot be simulated"),
        ("latency_cycles", 3, "l3.latency_cycles is not a key"),
    ],
)
def test_a_file_with_an_l3_that_cannot_be(
    figure: str, value: float, what: str, tmp_path: Path
) -> None:
    figures = {"size_bytes": KIB * KIB, "reserved_bytes": 0, "setup_cycles": 300}
    rows = {**figures, "bytes_per_cycle": 0.75, figure: value}
    table = "".join(f'{name} = {{ value = {n}, source = "x" }}\n' for name, n in rows.items())
    for base in ("pulp-cluster", "stm32l476"):
        text = (TARGETS / f"{base}.toml").read_text()
        (tmp_path / "own.toml").write_text(f"{text}\n[l3]\n{table}")
        expected = what if base == "pulp-cluster" or "not a key" in what else "a cluster only"
        with pytest.raises(BadTarget, match=expected):
            find_target(tmp_path / "own.toml")


def test_nothing_waits_where_everything_fits() -> None:
    assert network().compile(target(), page="auto").program.l3_bytes == 0
    assert compiled(l2=2**20).program.l3_bytes == 0


def test_a_step_that_does_not_fit_says_that_pages_would() -> None:
    with pytest.raises(DoesNotFit) as refused:
        compiled(page="never")
    (found,) = re.findall(
        r"page='auto'  # the same step, ([\d,]+) B of it wait", str(refused.value)
    )
    assert int(found.replace(",", "")) == compiled().program.l3_bytes


def test_a_cluster_without_l3_has_no_place_for_pages() -> None:
    with pytest.raises(BadOption, match="no slower memory"):
        compiled(target=cluster(), page="60%")
    with pytest.raises(DoesNotFit) as refused:
        compiled(target=cluster())
    assert "page=" not in str(refused.value)


def test_an_l3_that_is_too_small() -> None:
    with pytest.raises(NoSchedule, match="paged to 4,096 B of l3"):
        compiled(target=target(size_bytes=4096))


def test_copies_begin_early_where_there_is_room() -> None:
    firmware = compiled()
    program, l3 = firmware.program, firmware.target.l3
    assert l3 is not None

    def begins(room: int) -> list[int]:
        moved = begin_early(program, l3, lambda call: 1000.0, "l2", room).entries["train"]
        reads = [call.reads[0].buffer for call in moved.calls if program.copies_l3(call)]
        given = [call.reads[0].buffer for call in pages(firmware, inward=True)]
        assert [name for name in reads if name in given] == given  # in their order
        return [n for n, c in enumerate(moved.calls) if c in pages(firmware, inward=True)]

    tight, roomy = begins(0), begins(2**20)
    assert sum(roomy) < sum(tight)


def test_a_step_waits_less_for_copies_that_begin_early() -> None:
    """As the simulator counts: with more of l2 than they need, they hide behind the cores."""
    x, y = network().data

    def counted(l2: int) -> tuple[int, int]:
        firmware = network().compile(target(), budget={"l1": L1_BYTES, "l2": l2}, page="60%")
        device: Any = firmware.run("cluster")
        device.train(x, y)
        spent = entry_cycles(
            firmware.program, firmware.program.entries["train"], firmware.plan, firmware.target
        )
        assert device.cycles == pytest.approx(spent, rel=0.15)
        return device.cycles, sum(call.events[0]["dma"] for call in device.profile.calls)

    tight, roomy = counted(32000), counted(2**20)
    assert roomy[1] < 0.3 * tight[1]
    assert roomy[0] < tight[0]


def test_the_kit_of_pulp_opens_the_ram_of_the_board(tmp_path: Path) -> None:
    folder = compiled(cores=3).in_c().export(tmp_path / "c", kit="pulp-sdk")
    assert "port_pulp_l3.c" in pulp_sources(folder)
    assert "ac_ram" in (folder / "README.md").read_text()
    host_c = STANDINS / "pulp" / "pmsis_host.c"
    flags = (*WARNINGS, *PULP, "-I.", "-lm", "-lpthread")
    output = run(compile_c(folder, [*pulp_sources(folder), host_c], flags))
    losses = [float(v) for v in re.findall(r"loss ([\d.]+)", output)]
    size = network().x.numel()
    x = (np.arange(size) % 7 * np.float32(0.1)).astype(np.float32).reshape(network().x.shape)
    device = host().run("host")
    wanted = [device.train(x, np.array([0]), lr=0.01) for _ in range(10)]
    np.testing.assert_allclose(losses, wanted, atol=2e-6)


def test_pages_are_part_of_no_checkpoint_and_no_state() -> None:
    firmware = compiled()
    roles = {b.role for b in firmware.program.buffers.values()}
    assert Role.L3 in roles and Role.PAGE not in roles
    assert not any("page" in name for name in firmware.run("host").state)
    assert any(isinstance(call.attrs, Copy) for call in firmware.program.entries["predict"].calls)


@pytest.mark.slow
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # shrinking would compile a hundred times
    suppress_health_check=[HealthCheck.too_slow],
)
@example(2 * KIB, 30000)
@example(12 * KIB, 26000)
@given(st.integers(1024, 16 * KIB), st.integers(24 * KIB, 40 * KIB))
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
