# SPDX-License-Identifier: Apache-2.0
"""Whole networks: one training step on the cluster with 1 to 8 cores and on Cortex-M = on the host.

Loss and every parameter after the step; the bound is that of the ladder. The step is the one that
is exported: float32, batch 1, SGD.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.models import REGISTRY
from acclimate.report.bench import example_of
from acclimate.simulate import Device
from acclimate.targets import Target, find_target
from ladder import FORWARD_BOUND, STEPS_BOUND, assert_close

NETWORKS = ("gru", "deep_autoencoder", "dscnn_s", "resnet8")
PROCESSORS = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
# Soft float takes ten times the instructions: the two largest networks are left out there.
SOFT = ("cortex-m0plus", "cortex-m3")
LR = 0.01


class SmallGRU(nn.Module):
    """Eight steps of a recurrent layer and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.GRU(6, 10, batch_first=True)
        self.classify = nn.Linear(10, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classify(self.recurrent(x)[0][:, -1])


def network(name: str) -> tuple[nn.Module, torch.Tensor, torch.Tensor, str]:
    if name == "gru":
        torch.manual_seed(0)
        return SmallGRU().eval(), torch.randn(1, 8, 6), torch.tensor([2]), "cross_entropy"
    case = REGISTRY[name]
    return (*example_of(case), case.loss)


@cache
def on_host(name: str) -> tuple[ac.Firmware, Device, float]:
    """The network after one step on the host, from one capture for all devices."""
    model, x, y, loss = network(name)
    firmware = ac.compile(model, example=(x, y), loss=loss, entries=("train",), name="net")
    device = firmware.run("host")
    return firmware, device, device.train(x, y, lr=LR)


def one_step(name: str, target: Target, on: str) -> Device:
    """Takes the step on a device and compares it with the host."""
    firmware, host, expected = on_host(name)
    _, x, y, _ = network(name)
    device = ac.retarget(firmware, target).run(on)
    loss = device.train(x, y, lr=LR)
    assert_close(loss, expected, FORWARD_BOUND, f"{name} on {target.machine}: loss")
    for path, value in host.weights.items():
        assert_close(
            device.weights[path], value, STEPS_BOUND, f"{name} on {target.machine}: {path}"
        )
    return device


@pytest.mark.parametrize("cores", [8, 4, 2, 1])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_on_the_cluster(name: str, cores: int) -> None:
    target = find_target("pulp-cluster").with_cores(cores).with_memory("l1", 8 * 1024 * 1024)
    one_step(name, target, "cluster")


@pytest.mark.parametrize(
    ("name", "processor"),
    [(n, p) for n in NETWORKS for p in PROCESSORS if not (n in NETWORKS[2:] and p in SOFT)],
)
def test_a_step_on_cortex_m(name: str, processor: str) -> None:
    one_step(name, find_target("portable"), processor)


def test_the_cycles_are_the_same_in_every_run() -> None:
    target = find_target("gap9").with_memory("l1", 2 * 1024 * 1024)
    cycles = {one_step("gru", target, "cluster").cycles for _ in range(3)}  # type: ignore[attr-defined]
    assert len(cycles) == 1
