# SPDX-License-Identifier: Apache-2.0
"""How cores share a step: barriers where they are needed and nowhere else; memories."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import acclimate as ac
from acclimate.errors import BadOption, DoesNotFit, MissingTool
from acclimate.plan.traffic import Touch
from acclimate.targets import find_target


def compiled(model: nn.Module, *shape: int, **options: object) -> ac.Firmware:
    torch.manual_seed(0)
    x = torch.randn(*shape)
    with torch.no_grad():
        y = torch.randn_like(model(x))
    options.setdefault("target", "pulp-cluster")
    return ac.compile(model, example=(x, y), loss="mse", **options)  # type: ignore[arg-type]


def task(firmware: ac.Firmware, entry: str = "train") -> str:
    """The C of the function that all cores run."""
    text = firmware.sources()["net.c"].decode()
    return text[text.index(f"static void net_{entry}_task") :].split("\n}\n")[0]


def test_one_core_needs_no_port() -> None:
    firmware = compiled(nn.Linear(8, 4), 1, 8, cores=1)
    text = firmware.sources()["net.c"].decode()
    assert "ac_fork" not in text
    assert "ac_barrier" not in text


def test_layers_meet_at_a_barrier() -> None:
    body = task(compiled(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4)), 1, 8), "predict")
    assert body.count("ac_barrier();") == 1


def test_loops_over_the_same_elements_do_not_meet() -> None:
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.register_buffer("kept", torch.ones(64, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a = torch.tanh(x) * self.scale
            return torch.sigmoid(a.reshape(64, 4) + self.kept)

    body = task(compiled(Chain(), 256), "predict")
    assert "ac_barrier" not in body


def test_updates_of_different_parameters_do_not_meet() -> None:
    model = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16))
    entries = ("predict", "accumulate", "apply")
    body = task(compiled(model, 1, 16, optimizer="adam", entries=entries), "apply")
    # One after the bias correction that all read, one before the count of samples is cleared.
    assert body.count("ac_barrier();") == 2


def test_the_chain_of_a_small_loss_runs_on_one_core_without_barriers() -> None:
    torch.manual_seed(0)
    model = nn.Linear(16, 10)
    firmware = ac.compile(
        model, example=(torch.randn(1, 16), torch.tensor([3])), target="pulp-cluster"
    )
    alone = re.search(r"    if \(core == 0\) \{\n(.*?)\n    \}\n", task(firmware), re.DOTALL)
    assert alone is not None
    assert alone[1].count("net_loop_") >= 5
    assert "ac_barrier" not in alone[1]


def test_a_size_that_the_cores_do_not_divide() -> None:
    model = nn.Sequential(nn.Linear(7, 33), nn.GELU(), nn.Linear(33, 5))
    firmware = compiled(model, 1, 7, cores=3)
    x, y = np.ones((1, 7), np.float32), np.zeros((1, 5), np.float32)
    cluster, host = firmware.run("cluster", check_races=True), firmware.run("host")
    for _ in range(2):
        assert cluster.train(x, y, lr=0.1) == pytest.approx(host.train(x, y, lr=0.1), rel=1e-5)


def test_threads_on_the_host_compute_what_one_core_computes() -> None:
    model = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(384, 5))
    many, one = (compiled(model, 1, 2, 8, 8, cores=cores).run("host") for cores in (8, 1))
    x, y = np.ones((1, 2, 8, 8), np.float32), np.zeros((1, 5), np.float32)
    for _ in range(20):
        assert many.train(x, y, lr=0.01) == one.train(x, y, lr=0.01)
    for name, value in one.weights.items():
        np.testing.assert_array_equal(many.weights[name], value)


def test_run_without_a_name_takes_the_simulator_of_the_target() -> None:
    assert type(compiled(nn.Linear(3, 2), 1, 3).run()).__name__ == "ClusterDevice"
    assert type(compiled(nn.Linear(3, 2), 1, 3, target="host").run()).__name__ == "HostDevice"
    assert type(compiled(nn.Linear(3, 2), 1, 3, target="rp2040").run()).__name__ == "CortexM"


def test_options_that_a_device_does_not_have() -> None:
    firmware = compiled(nn.Linear(3, 2), 1, 3)
    with pytest.raises(BadOption, match="no option 'check_race'"):
        firmware.run("cluster", check_race=True)
    with pytest.raises(BadOption, match="compiled for 8 cores; cortex-m4 has one"):
        firmware.run("cortex-m4")
    with pytest.raises(BadOption, match="cannot run on 9 cores"):
        compiled(nn.Linear(3, 2), 1, 3, cores=9)


def test_kernels_of_the_host_do_not_run_on_a_cluster() -> None:
    model = nn.Linear(64, 64)
    with pytest.raises(BadOption, match="compiled for host; a cluster has no simd") as error:
        compiled(model, 1, 64, target="host").run("cluster")
    assert "ac.retarget(firmware, 'pulp-cluster')" in str(error.value)
    assert compiled(model, 1, 64, target="portable").run("cluster") is not None


@pytest.mark.parametrize(("module", "device"), [("unicorn", "cortex-m4"), ("elftools", "cluster")])
def test_a_missing_simulator_package_is_named_with_the_line_that_installs_it(
    module: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    firmware = compiled(nn.Linear(3, 2), 1, 3, target="portable")
    loaded = [name for name in sys.modules if name.startswith("acclimate.simulate.")]
    for name in [n for n in loaded if "cluster" in n or "cortex_m" in n or "bare" in n]:
        monkeypatch.delitem(sys.modules, name)
    for name in [n for n in sys.modules if n.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without(module))
    with pytest.raises(MissingTool, match="is not installed") as error:
        firmware.run(device)
    assert "hint: pip install" in str(error.value)


def without(module: str) -> Callable[..., object]:
    """An import that does not find a module."""
    find = builtins.__import__

    def importing(name: str, *args: Any, **kwargs: Any) -> object:
        if name.split(".", maxsplit=1)[0] == module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=module)
        return find(name, *args, **kwargs)

    return importing


# ---- memories


def test_what_does_not_fit_l1_lies_in_l2_and_is_computed_in_tiles() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
    near = compiled(model, 1, 64)
    far = ac.retarget(near, "pulp-cluster", budget={"l1": "4 kB"})
    assert set(near.plan.places.values()) == {"l1"}
    assert set(far.plan.places.values()) == {"l1", "l2"}
    assert not near.program.copies and far.program.copies
    assert far.plan.places["arena_l1"] == "l1" and far.plan.arenas["l1"] <= 4000
    header = far.sources()["net_weights.h"].decode()
    assert "net_v_0_weight[4096] AC_IN(l2)" in header
    x, y = np.ones((1, 64), np.float32), np.zeros((1, 8), np.float32)
    fast, slow = near.run("cluster"), far.run("cluster", check_races=True)
    for _ in range(2):
        assert fast.train(x, y, lr=0.01) == pytest.approx(slow.train(x, y, lr=0.01), rel=1e-6)
    assert slow.cycles > fast.cycles  # type: ignore[attr-defined]
    for name, value in fast.weights.items():
        np.testing.assert_allclose(slow.weights[name], value, atol=1e-6)


def test_the_loss_on_the_stack_is_never_copied() -> None:
    """The stack lies in L1, which is no outer memory of the DMA."""
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
    body = task(compiled(model, 1, 64, budget={"l1": "4 kB"}))
    assert "ac_copy_out(" in body
    assert not re.search(r"ac_copy_\w+\(\d+, (\S+, )?loss\b", body)


def test_frozen_weights_of_a_microcontroller_go_to_flash() -> None:
    model = nn.Sequential(nn.Linear(200, 200), nn.Linear(200, 2))
    model[0].requires_grad_(False)
    firmware = compiled(model, 1, 200, target="rp2350")
    assert firmware.plan.places == {}
    assert "const float net_v_0_weight" in firmware.sources()["net_weights.c"].decode()


def test_a_program_larger_than_all_memories() -> None:
    with pytest.raises(DoesNotFit) as error:
        compiled(nn.Linear(2000, 300), 1, 2000)
    text = str(error.value)
    assert "needs 2,4" in text
    assert "usable are l1 57,344 B, l2" in text
    assert "weight" in text


def test_a_program_larger_than_the_ram_of_a_microcontroller() -> None:
    with pytest.raises(DoesNotFit, match="usable are ram 266,240 B, flash"):
        compiled(nn.Linear(400, 400), 1, 400, target="rp2040")


def test_a_budget_names_a_memory_of_the_target() -> None:
    with pytest.raises(BadOption, match="unknown memory 'l3'"):
        compiled(nn.Linear(3, 2), 1, 3, budget={"l3": "4 kB"})
    with pytest.raises(BadOption, match="is not a size"):
        compiled(nn.Linear(3, 2), 1, 3, budget={"l1": "much"})
    assert find_target("pulp-cluster").memory("l1").usable_bytes == 57344


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=12),
    st.lists(st.integers(0, 30), min_size=1, max_size=12),
    st.booleans(),
    st.integers(0, 20),
    st.integers(1, 12),
)
def test_touches_race_where_they_share_a_word(
    some: list[int], others: list[int], dense: bool, first: int, count: int
) -> None:
    """Whether the words are in one piece or not, sorted or not, twice or not."""
    words = [np.arange(first, first + count) if dense else np.array(some), np.array(others)]
    one, two = (Touch(core, "arena", found, True) for core, found in enumerate(words))
    shared = bool({*map(int, words[0])} & {*others})
    assert one.races(two) is shared and two.races(one) is shared
    assert not replace(one, memory="other").races(two)
    assert not replace(one, writes=False).races(replace(two, writes=False))
