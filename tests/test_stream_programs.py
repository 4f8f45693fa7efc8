# SPDX-License-Identifier: Apache-2.0
"""Networks larger than the fast memory: tiles compute the same, and keep to their budget."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from torch import nn

import acclimate as ac
from acclimate.errors import DoesNotFit
from acclimate.lower import ENTRIES
from acclimate.models import REGISTRY
from acclimate.report.bench import example_of
from acclimate.report.bench_cluster import compile_step
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

KIB = 1024


class Residual(nn.Module):
    """Grouped convolutions with an addition around them, and a maximum pool."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.inner = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.pool, self.last = nn.MaxPool2d(2), nn.Linear(72, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.first(x))
        return self.last(self.pool(torch.relu(self.inner(h) + h)).flatten(1))


class Attention(nn.Module):
    """Matrix products of data with data, between norms."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(4, 4) for _ in range(3))
        self.norm = nn.LayerNorm(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.query(x) @ self.key(x).transpose(1, 2)
        return self.norm(x + torch.softmax(scores, dim=2) @ self.value(x)).sum(dim=1)


class Recurrent(nn.Module):
    """The last output of a GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.last = nn.GRU(6, 10, batch_first=True), nn.Linear(10, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.recurrent(x)[0][:, -1])


def strided() -> nn.Module:
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, padding=1)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(72, 5))


def separable() -> nn.Module:
    layers = [nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4), nn.ReLU6()]
    return nn.Sequential(*layers, nn.Conv2d(4, 12, 1), nn.AvgPool2d(3), nn.Flatten(), nn.Softmax(1))


def norms() -> nn.Module:
    layers = [nn.Conv2d(2, 6, (5, 3), padding=(2, 1), dilation=(2, 1)), nn.GroupNorm(3, 6)]
    return nn.Sequential(*layers, nn.GELU(), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(60, 4))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], bool]] = {
    "strided": (strided, (2, 3, 6, 6), True),
    "separable": (separable, (2, 4, 6, 6), False),
    "residual": (Residual, (1, 3, 6, 6), True),
    "norms": (norms, (2, 2, 6, 5), True),
    "attention": (Attention, (2, 5, 4), False),
    "recurrent": (Recurrent, (2, 3, 6), True),
    "mlp": (lambda: nn.Sequential(nn.Linear(63, 21), nn.Tanh(), nn.Linear(21, 7)), (1, 63), True),
}
OPTIMIZERS = {"residual": ac.SGD(lr=0.05, momentum=0.9), "mlp": ac.Adam(lr=0.05)}
MINI_BATCHES = ("residual", "mlp")


@cache
def network(name: str) -> Network:
    """A model and its data; norms compute the statistics of the batch."""
    torch.manual_seed(0)
    make, shape, classes = MODELS[name]
    model = make().train(name == "norms")
    x = torch.randn(*shape)
    with torch.no_grad():
        y = torch.arange(shape[0]) % 3 if classes else torch.randn_like(model(x))
    loss, optimizer = "cross_entropy" if classes else "mse", OPTIMIZERS.get(name, ac.SGD(lr=0.05))
    entries = ENTRIES if name in MINI_BATCHES else ("predict", "train")
    return Network(model, x, y, loss, optimizer, entries)


@cache
def host(name: str) -> ac.Firmware:
    return network(name).compile("host")


@cache
def needed(name: str) -> int:
    """Bytes of L1 with which a network needs no tiles."""
    resident = network(name).compile(cluster().with_memory("l1", KIB * KIB))
    assert not is_streamed(resident)
    return used_bytes(resident, "l1")


def budget_of(name: str, share: float) -> int:
    """A share of what a network needs, but never less than the runtime does."""
    return max(int(needed(name) * share), KIB)


@pytest.mark.parametrize("share", [pytest.param(0.1, marks=pytest.mark.slow), 0.5])
@pytest.mark.parametrize("name", MODELS)
def test_tiles_compute_in_their_budget_what_the_whole_computes(name: str, share: float) -> None:
    budget = budget_of(name, share)
    net = network(name)
    firmware = net.compile(budget={"l1": budget})
    assert is_streamed(firmware)
    check_plan(firmware, budget)
    for entry in firmware.program.entries.values():
        check_channels(entry, firmware.plan.entries[entry.name])
    check_numpy(firmware, net.data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "share", "cores"),
    [
        ("strided", 0.3, 8),
        ("separable", 0.6, 3),
        ("residual", 0.9, 8),
        ("norms", 0.4, 5),
        ("attention", 0.3, 8),
        ("recurrent", 0.5, 1),
        ("mlp", 0.2, 3),
    ],
)
def test_the_cluster_computes_what_the_host_computes(name: str, share: float, cores: int) -> None:
    budget = budget_of(name, share)
    firmware = network(name).compile(cluster(cores), budget={"l1": budget})
    assert is_streamed(firmware)
    check_cluster(firmware, host(name), network(name).data, budget)


@pytest.mark.parametrize("name", ["strided", "mlp"])
def test_tiles_in_c_compute_on_the_host_what_the_whole_computes(name: str) -> None:
    """Without assembly, the copies made by the port with threads."""
    budget = budget_of(name, 0.4)
    firmware = network(name).compile(cluster(3), budget={"l1": budget}).in_c()
    assert is_streamed(firmware)
    assert used_bytes(firmware, "l1") <= budget
    compare_devices(firmware.run("host"), host(name).run("host"), network(name).data)


def test_a_small_l1_leaves_data_and_stacks_alone() -> None:
    """A machine whose L1 ends where the budget does: the stacks follow, inputs lie in L2."""
    room = budget_of("strided", 0.5) // 64 * 64  # a word in each of the 16 banks
    target = cluster().with_memory("l1", cluster().memory("l1").reserved_bytes + room)
    firmware = network("strided").compile(target)
    assert is_streamed(firmware)
    check_plan(firmware, room)
    check_cluster(firmware, host("strided"), network("strided").data, room)


@pytest.mark.parametrize("name", ["ae_tiny", "deep_autoencoder"])
def test_a_network_larger_than_l1(name: str) -> None:
    firmware = compile_step(name, cluster())
    assert is_streamed(firmware)
    check_plan(firmware, cluster().memory("l1").usable_bytes)
    check_channels(firmware.program.entries["train"], firmware.plan.entries["train"])
    _, x, y = example_of(REGISTRY[name])
    check_numpy(firmware, (x.numpy(), y.numpy()))


def test_a_budget_that_holds_all_needs_no_tiles() -> None:
    exact = network("mlp").compile(budget={"l1": needed("mlp")})
    assert not is_streamed(exact)
    assert is_streamed(network("mlp").compile(budget={"l1": needed("mlp") - 8}))


def test_less_than_the_copies_themselves_need() -> None:
    with pytest.raises(DoesNotFit, match=r"may take 700 B of l1; copies alone need 768 B"):
        network("mlp").compile(budget={"l1": 700})


@pytest.mark.slow
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # shrinking would compile a hundred times
    suppress_health_check=[HealthCheck.too_slow],
)
@example("mlp", 0, 0.0)
@example("mlp", 0, 0.47)  # L1 that is no whole number of words of the banks
@example("norms", 0, 0.2)
@example("strided", 0, 0.5)
@given(st.sampled_from(("mlp", "norms", "strided")), st.integers(0, 9), st.floats(0.0, 1.0))
def test_any_budget_fits_or_is_refused(name: str, doublings: int, more: float) -> None:
    budget = int(KIB * 2**doublings * (1 + more))
    net = network(name)
    try:
        firmware = net.compile(budget={"l1": budget})
    except DoesNotFit as refused:
        assert "B" in str(refused)
        return
    check_plan(firmware, budget)
    assert is_streamed(firmware) == (budget < needed(name))
    if is_streamed(firmware):
        check_numpy(firmware, net.data)
        check_cluster(firmware, host(name), net.data, budget)


def test_the_excerpt_of_the_documentation_is_what_is_generated() -> None:
    text = (Path(__file__).parents[1] / "docs" / "memories.md").read_text()
    example, paged = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, ac.Firmware] = {}
    exec(example, names)
    written = " ".join(names["firmware"].sources()["net.c"].decode().split())
    excerpts = re.findall(r"```c\n(.*?)```", text, re.DOTALL)
    assert len(excerpts) == 2
    for excerpt in excerpts:
        assert " ".join(excerpt.split()) in written
    exec(paged, names)
    assert names["firmware"].target.l3 is not None
