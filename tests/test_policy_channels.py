# SPDX-License-Identifier: Apache-2.0
"""Channels of weights learn: numbers are PyTorch's, and what is kept is as small as promised."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import acclimate as ac
from acclimate.capture import Update
from acclimate.errors import BadOption
from acclimate.program import Interpreter, Role
from ladder import data_of
from policies import check_policy, chosen, convolutional, images

OPTIMIZERS = [
    ac.SGD(),
    ac.SGD(weight_decay=0.1),
    ac.SGD(momentum=0.9, weight_decay=0.01),
    ac.SGD(momentum=0.9, nesterov=True),
    ac.Adam(weight_decay=0.01),
    ac.AdamW(weight_decay=0.1),
]
SPARSE = ac.SparseChannels({"2": 0.5, "5": 0.25})


class Pick:
    """Trains these channels of these weights, and nothing else."""

    def __init__(self, **channels: tuple[int, ...]) -> None:
        self.channels = {f"{name}.weight": numbers for name, numbers in channels.items()}

    def choose(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> Update:
        update = ac.All().choose(model, inputs)
        for name, parameter in update.model.named_parameters():
            parameter.requires_grad_(name in self.channels)
        return Update(update.model, self.channels)


class Shared(nn.Module):
    """A recurrent layer and a convolution over time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 5, 3)
        self.step = nn.Linear(5, 5)
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.tanh(self.conv(x)).mean(2)
        for _ in range(3):
            z = torch.tanh(self.step(z))
        y: Tensor = self.fc(z)
        return y


class Scaled(nn.Module):
    """A layer whose weight is computed from its parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.fc.weight
        return nn.functional.linear(x, weight / (1 + weight.abs().sum()))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.describe())
@pytest.mark.parametrize("accumulate", [False, True])
def test_channels_learn_as_in_pytorch(optimizer: object, accumulate: bool) -> None:
    check_policy(SPARSE, convolutional(), images(), optimizer=optimizer, accumulate=accumulate)


@pytest.mark.parametrize("by", ["magnitude-", "random"])
def test_other_rules_and_batches(by: str) -> None:
    policy = ac.SparseChannels({"0": 0.67, "2": 0.5, "7": 0.5}, by=by, seed=3, bias=False)
    check_policy(policy, convolutional(), images(4), optimizer=ac.SGD(momentum=0.9))


def test_channels_of_a_layer_with_a_folded_norm() -> None:
    policy = ac.SparseChannels({"3": 0.5}) | ac.Head()
    check_policy(policy, convolutional(norm=True), images())


@pytest.mark.parametrize("runs", [(0, 1, 2), (1, 3), (4,), (0, 2, 4)])
@pytest.mark.parametrize("entry", [False, True])
def test_shared_layers_and_convolutions_in_time(runs: tuple[int, ...], entry: bool) -> None:
    torch.manual_seed(0)
    data = (torch.randn(2, 4, 9), torch.tensor([0, 2]))
    policy = Pick(step=runs, conv=tuple(c for c in runs if c < 4))
    if not policy.channels["conv.weight"]:
        del policy.channels["conv.weight"]
    if runs == (4,):
        policy = Pick(step=runs)
    optimizer = ac.Adam()
    firmware = check_policy(policy, Shared(), data, optimizer=optimizer, lr=0.01, accumulate=entry)
    written = [b for b in firmware.program.buffers.values() if b.name.startswith("train.d_step_")]
    assert all(b.shape[1] == len(runs) for b in written if b.shape[:1] == (5,))


def test_gradient_that_no_kernel_computes_is_read_in_slices() -> None:
    torch.manual_seed(0)
    data = (torch.randn(2, 6), torch.tensor([0, 2]))
    check_policy(Pick(fc=(1, 4, 5)), Scaled(), data, optimizer=ac.SGD(momentum=0.9))


def test_every_later_pass_keeps_the_numbers() -> None:
    data = images()
    named = data_of((data[0],), data[1])
    firmware = ac.compile(convolutional(), example=data, update=SPARSE, optimizer=ac.Adam())
    names = [stage.name for stage in firmware.stages]
    losses = []
    for stage in firmware.stages[names.index("update_slices") :]:
        machine = Interpreter(stage.program)
        losses.append([machine.run("train", **named, lr=0.1)["loss"] for _ in range(4)])
    np.testing.assert_allclose(losses, losses[:1] * len(losses), rtol=1e-5)


def test_gradient_state_and_kept_input_are_slices() -> None:
    model, data = convolutional(), images()
    options = {"optimizer": ac.Adam(), "entries": ("predict", "train", "accumulate", "apply")}
    firmware = ac.compile(model, example=data, update=SPARSE, **options)
    buffers = firmware.program.buffers
    assert buffers["v_2_weight"].channels == chosen(SPARSE, model, data[0]).channels["2.weight"]
    for name in ("v_2_weight_moment1", "v_2_weight_moment2", "v_2_weight_grad"):
        assert buffers[name].shape == (6, 4, 3, 3)
    assert buffers["v_5_weight_moment1"].shape == (12, 14)  # round(54 / 4)
    assert buffers["train.v_2_weight_x"].shape == (1, 4, 8, 8)
    (change, other) = next(s for s in firmware.stages if s.name == "update_slices").changes
    assert change.startswith("2.weight: 4 of 8 channels")
    assert other.startswith("5.weight: 14 of 54 channels")


def test_input_of_the_layer_dies_early() -> None:
    """The map between the convolutions is the largest; a quarter of it is kept for backward."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.Conv2d(16, 4, 3, stride=2),
        nn.Conv2d(4, 32, 3, padding=1),
        nn.Flatten(),
        nn.Linear(1568, 2),
    )
    example = (torch.randn(1, 1, 16, 16), torch.tensor([0]))
    sparse = ac.compile(model, example=example, update=ac.SparseChannels({"1": 0.25}))
    full = ac.compile(model, example=example, update=ac.Layers("1"))
    lives = {life.buffer.name: life for life in sparse.plan.entries["train"].lives}
    kept, whole = lives["train.v_1_weight_x"], lives["train.v_0_conv"]
    assert kept.buffer.size_bytes * 4 == whole.buffer.size_bytes == 16 * 256 * 4
    assert whole.last < kept.last
    assert sparse.plan.arena_bytes < full.plan.arena_bytes


def test_activation_before_sparse_channels_dies_but_for_its_bits() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 4, 3), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(400, 2))
    data = (torch.randn(1, 2, 12, 12), torch.tensor([0]))
    policy = ac.Layers("0") | ac.SparseChannels({"2": 0.25})
    firmware = check_policy(policy, model, data, optimizer=ac.Adam(), lr=0.005)
    lives = {life.buffer.name: life for life in firmware.plan.entries["train"].lives}
    kept, bits = lives["train.v_2_weight_x"], lives["train.v_0_conv_mask"]
    whole = lives["train.v_0_conv"]
    assert kept.size_bytes * 4 == bits.size_bytes * 32 == whole.size_bytes
    assert whole.last < kept.last < bits.last


def test_all_channels_are_the_weight() -> None:
    model, data = convolutional(), images()
    update = chosen(ac.SparseChannels({"2": 1.0}), model, data[0])
    assert update.channels == {}
    joined = ac.SparseChannels({"2": 0.5}) | ac.SparseChannels({"2": 0.5}, by="magnitude-")
    assert chosen(joined, model, data[0]).channels == {}
    assert chosen(ac.SparseChannels({"2": 0.5}) | ac.All(), model, data[0]).channels == {}


def test_channels_are_those_with_the_largest_weights() -> None:
    model, data = convolutional(), images()
    with torch.no_grad():
        model[2].weight[:, [1, 6]] *= 100
        model[2].weight[:, 3] *= 0.01
    pick = {by: ac.SparseChannels({"2": 0.25}, by=by) for by in ("magnitude", "magnitude-")}
    assert chosen(pick["magnitude"], model, data[0]).channels == {"2.weight": (1, 6)}
    assert 3 in chosen(pick["magnitude-"], model, data[0]).channels["2.weight"]
    small = chosen(ac.SparseChannels({"2": 0.01}), model, data[0])
    assert len(small.channels["2.weight"]) == 1


def test_parameters_of_other_roles_stay() -> None:
    firmware = ac.compile(convolutional(), example=images(), update=SPARSE)
    learn = {b.path for b in firmware.program.buffers.values() if b.role is Role.PARAMETER}
    assert learn == {"2.weight", "2.bias", "5.weight", "5.bias"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ac.SparseChannels({}), "fractions by layer"),
        (lambda: ac.SparseChannels({"2": 0.0}), "fraction of 2"),
        (lambda: ac.SparseChannels({"2": 1.5}), "at most 1"),
        (lambda: ac.SparseChannels({"2": 0.5}, by="magnitud"), "did you mean 'magnitude'"),
    ],
)
def test_bad_options(make: object, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        make()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"conv3": 0.5}, "did you mean 'conv2'"),
        ({"conv2": 0.5}, "4 groups"),
        ({"norm": 1}, "Batch"),
    ],
)
def test_layers_that_have_no_channels(layers: dict[str, float], message: str) -> None:
    model = nn.Sequential()
    for name, module in (
        ("conv1", nn.Conv2d(3, 4, 1)),
        ("conv2", nn.Conv2d(4, 4, 3, groups=4)),
        ("norm", nn.BatchNorm2d(4)),
    ):
        model.add_module(name, module)
    with pytest.raises(BadOption, match=message):
        chosen(ac.SparseChannels(layers), model.eval(), images()[0])
