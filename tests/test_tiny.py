# SPDX-License-Identifier: Apache-2.0
"""The project lives: one small model learns in generated C, in a few seconds."""

from __future__ import annotations

import torch
from torch import nn

import acclimate as ac


def test_a_model_learns_in_c() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([0, 1, 1, 0])
    device = ac.compile(model, example=(x[:1], y[:1]), optimizer=ac.SGD(lr=0.2)).run()
    for _ in range(600):
        for i in range(4):
            device.train(x[i : i + 1], y[i : i + 1])
    assert device.predict(x).argmax(axis=1).tolist() == y.tolist()
