# SPDX-License-Identifier: Apache-2.0
"""Models that do something else in training than they answer with, and what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import acclimate as ac
from acclimate.errors import BadExample, UnsupportedModel
from ladder import climb

CLASSES = torch.tensor([0, 2, 1])


class Centred(nn.Module):
    """Follows the mean of what it sees in training, and subtracts it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * x.detach().mean(0))
            self.seen.add_(1)
        return self.layer(x - self.mean)


class SharedNorm(nn.Module):
    """One norm in two places: its statistics change twice in a step."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x)))
        return self.head(F.relu(self.norm(self.second(x))))


class OtherConstants(nn.Module):
    """Another constant in training than in use, one that both have, and a layer for use alone."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.use = nn.Linear(4, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return self.layer(x * torch.tensor([1.0, 2.0, 3.0, 4.0])) + torch.tensor([0.5, 1, 2])
        y = self.layer(x * torch.tensor([4.0, 3.0, 2.0, 1.0])) + torch.tensor([0.5, 1, 2])
        return self.use(y)


class HalfFrozen(nn.Module):
    """One norm learns from its batches, the other one is folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3)
        self.conv2, self.norm2 = nn.Conv1d(3, 3, 3), nn.BatchNorm1d(3)
        self.norm1.running_var.fill_(3.0)
        self.norm2.running_var.fill_(2.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))).mean(2)


class Cells(nn.Module):
    """A loop over time in Python that begins with zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(x.shape[0], 5)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
        return self.head(h)


def half_frozen() -> nn.Module:
    model = HalfFrozen().train()
    model.norm1.eval()
    return model


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "centred": (lambda: Centred().train(), (3, 4)),
    "shared_norm": (lambda: SharedNorm().train(), (3, 4)),
    "other_constants": (lambda: OtherConstants().train(), (3, 4)),
    "half_frozen": (half_frozen, (3, 2, 7)),
    "dropout_of_nothing": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.0)).train(), (3, 4)),
}


@pytest.mark.parametrize("device", ["numpy", "host"])
@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_eval_mode(name: str, device: str) -> None:
    torch.manual_seed(1)
    build, shape = MODELS[name]
    model, x = build(), torch.randn(shape)
    modes = [module.training for module in model.modules()]
    firmware = ac.compile(model, example=(x, CLASSES), name="model")
    assert modes == [module.training for module in model.modules()], "the model stays as it was"
    running, optimizer = firmware.run(device), torch.optim.SGD(model.parameters(), 0.05)
    # What is folded learns another parameter, so steps are compared where nothing is.
    for _ in range(0 if firmware.stages[0].changes else 3):
        loss = F.cross_entropy(model(x), CLASSES)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found = float(running.train(x.numpy(), CLASSES.numpy(), lr=0.05))
        assert found == pytest.approx(loss.item(), rel=2e-5)
    with torch.no_grad():
        expected = model.eval()(x).numpy()
    assert np.allclose(running.predict(x.numpy()), expected, rtol=1e-4, atol=1e-5)
    assert bool(firmware.stages[0].changes) == (name == "half_frozen")


@pytest.mark.parametrize(
    ("norm", "hint"),
    [
        (nn.BatchNorm1d(3, momentum=None), "momentum=0.1"),
        (nn.InstanceNorm1d(3, track_running_stats=True), r"model\.1\.eval\(\)"),
    ],
)
def test_norms_that_no_graph_has_are_said(norm: nn.Module, hint: str) -> None:
    model, x = nn.Sequential(nn.Conv1d(2, 3, 1), norm), torch.randn(2, 2, 4)
    with pytest.raises(UnsupportedModel, match=hint):
        ac.compile(model.train(), example=(x, torch.zeros(2, 3, 4)), loss="mse", name="model")
    norm.eval()
    ac.compile(model, example=(x, torch.zeros(2, 3, 4)), loss="mse", name="model")


def test_cells_in_a_loop_climb() -> None:
    torch.manual_seed(2)
    climb(Cells(), (torch.randn(2, 3, 4), torch.tensor([1, 2])), "cross_entropy", lr=0.05)


class Gated(nn.Module):
    """The gradient of a maximum over everything, and whole numbers that wrap around."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.gate = nn.Linear(4, 6), nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate(x)
        y = self.layer(x) * torch.sigmoid(gate) / (0.1 + gate.abs().max())
        y = y * (torch.arange(6) % 4 - 1) + torch.remainder(y, 0.7) - torch.fmod(y, 0.3)
        z = y.clone()
        z[:, ::2] -= 0.5
        return z


def test_whole_numbers_and_maxima_climb() -> None:
    torch.manual_seed(2)
    climb(Gated(), (torch.randn(3, 4), torch.randn(3, 6)), lr=0.02)


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 2.0, 0.5])])
def test_a_class_that_is_left_out_climbs(weight: Tensor | None) -> None:
    torch.manual_seed(2)
    model, x = nn.Conv1d(2, 3, 1), torch.randn(2, 2, 4)
    target = torch.tensor([[0, 255, 2, 1], [255, 255, 1, 0]])
    loss = nn.CrossEntropyLoss(weight, ignore_index=255)
    firmware = climb(model, (x, target), loss, lr=0.05)
    with pytest.raises(BadExample, match=r"holds classes 0\.\.3; there are 3"):
        firmware.run("numpy").train(x.numpy(), np.where(target == 1, 3, target))


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(label_smoothing=0.1, weight=torch.tensor([1.0, 2.0, 0.5])),
        lambda o, y: -(o.softmax(1).gather(1, y[:, None]).log()).mean(),
    ],
    ids=["smooth_weights", "own"],
)
def test_loss_climbs(loss: Any) -> None:
    torch.manual_seed(2)
    climb(nn.Linear(4, 3), (torch.randn(3, 4), CLASSES), loss, lr=0.05, simulated=False)
