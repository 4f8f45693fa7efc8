# SPDX-License-Identifier: Apache-2.0
"""What the tests of the update policies share: models, and PyTorch with some channels held."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import acclimate as ac
from acclimate.capture import Update, UpdatePolicy, find_loss
from acclimate.program import Role
from ladder import STEPS, STEPS_BOUND, assert_close, folded, torch_optimizer


def convolutional(norm: bool = False) -> nn.Module:
    """Two convolutions and two fully connected layers; names are of the kind 0, 2, 5, 7."""
    torch.manual_seed(0)
    first: list[nn.Module] = [nn.Conv2d(3, 8, 3, padding=1)]
    first += [nn.BatchNorm2d(8)] if norm else []
    return nn.Sequential(
        *first,
        nn.ReLU(),
        nn.Conv2d(8, 6, 3, stride=2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(54, 12),
        nn.GELU(),
        nn.Linear(12, 4),
    ).eval()


def images(N: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(N, 3, 8, 8, generator=generator), torch.arange(N) % 4


def chosen(policy: UpdatePolicy, model: nn.Module, x: Tensor) -> Update:
    return policy.choose(model, (x,))


def learning(policy: UpdatePolicy, model: nn.Module, x: Tensor) -> set[str]:
    """Names of what requires grad."""
    named = chosen(policy, model, x).model.named_parameters()
    return {name for name, parameter in named if parameter.requires_grad}


def trained_in_torch(
    update: Update, loss: str, data: tuple[Tensor, Tensor], optimizer: Any, lr: float
) -> tuple[list[float], dict[str, np.ndarray]]:
    """Losses and parameters of ten steps; channels that do not learn are put back each time."""
    model, criterion = update.model, find_loss(loss)
    parameters = dict(model.named_parameters())
    start = {name: p.detach().clone() for name, p in parameters.items()}
    step = torch_optimizer(optimizer, [p for p in parameters.values() if p.requires_grad], lr)
    losses = []
    for _ in range(STEPS):
        step.zero_grad()
        value = criterion(model(data[0]), data[1])
        value.backward()
        losses.append(value.item())
        step.step()
        with torch.no_grad():
            for name, learn in update.channels.items():
                held = [c for c in range(parameters[name].shape[1]) if c not in learn]
                parameters[name][:, held] = start[name][:, held]
    return losses, {name: p.detach().numpy() for name, p in parameters.items()}


def check_policy(
    policy: UpdatePolicy,
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    *,
    loss: str = "cross_entropy",
    optimizer: Any = None,
    lr: float = 0.02,
    accumulate: bool = False,
) -> ac.Firmware:
    """C after ten steps = PyTorch; what does not learn is bit-identical; the model is unchanged."""
    optimizer = optimizer or ac.SGD(lr=lr)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [p.requires_grad for p in model.parameters()]
    entries = ("predict", "train", "accumulate", "apply")
    firmware = ac.compile(
        model, example=data, loss=loss, optimizer=optimizer, update=policy, entries=entries
    )
    update = chosen(policy, model, data[0])
    reference = Update(folded(update.model, firmware.stages[0].changes), update.channels)
    losses, parameters = trained_in_torch(reference, loss, data, optimizer, lr)
    device = firmware.run("host")
    start = {name: array.copy() for name, array in device.weights.items()}
    if accumulate:
        found = []
        for _ in range(STEPS):
            found.append(device.accumulate(*data))
            device.apply(lr=lr)
    else:
        found = [device.train(*data, lr=lr) for _ in range(STEPS)]
    assert_close(found, losses, STEPS_BOUND, "losses")
    for name, array in device.weights.items():
        if name in parameters:
            assert_close(array, parameters[name], STEPS_BOUND, name)
    check_held(firmware, device.weights, start)
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert flags == [p.requires_grad for p in model.parameters()]
    return firmware


def check_held(firmware: ac.Firmware, weights: Any, start: dict[str, np.ndarray]) -> None:
    """What does not learn has the same bits as before; what learns has changed."""
    for buffer in firmware.program.buffers.values():
        if buffer.path not in start:
            continue
        old, new = start[buffer.path], weights[buffer.path]
        learn = list(buffer.channels) if buffer.channels else slice(None)
        if buffer.role is Role.FROZEN:
            assert np.array_equal(old, new), buffer.path
        elif buffer.channels:
            held = [c for c in range(buffer.shape[1]) if c not in buffer.channels]
            old, new = old.reshape(buffer.shape), new.reshape(buffer.shape)
            assert np.array_equal(old[:, held], new[:, held]), buffer.path
            assert not np.array_equal(old[:, learn], new[:, learn]), buffer.path
