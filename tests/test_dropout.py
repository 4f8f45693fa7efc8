# SPDX-License-Identifier: Apache-2.0
"""Dropout: gone in predict, seeded and reproducible in train."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import acclimate as ac
from acclimate.program import Interpreter


def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(8, 400), nn.Dropout(0.3), nn.Linear(400, 3)).train()


X, Y = torch.randn(2, 8), torch.tensor([0, 2])


def test_predict_has_no_dropout() -> None:
    net = model()
    device = ac.compile(net, example=(X, Y)).run()
    with torch.no_grad():
        expected = net.eval()(X).numpy()
    np.testing.assert_allclose(device.predict(X), expected, rtol=1e-5, atol=1e-6)


def test_eval_mode_has_no_dropout_at_all() -> None:
    firmware = ac.compile(model().eval(), example=(X, Y))
    assert "random_seed" not in firmware.program.buffers


def test_c_draws_the_masks_of_the_numpy_program() -> None:
    firmware = ac.compile(model(), example=(X, Y), seed=11)
    device, machine = firmware.run(), Interpreter(firmware.program)
    for _ in range(5):
        expected = machine.run("train", x=X.numpy(), y=Y.numpy(), lr=0.1)["loss"]
        np.testing.assert_allclose(device.train(X, Y, lr=0.1), expected, rtol=1e-5)


def test_seed_decides_the_masks() -> None:
    firmware = ac.compile(model(), example=(X, Y), seed=11)

    def losses(seed: int) -> list[float]:
        device = firmware.run()
        device.reset(seed)
        return [device.train(X, Y, lr=0.0) for _ in range(4)]

    assert losses(5) == losses(5)
    assert losses(5) != losses(6)
    assert len(set(losses(5))) == 4  # every step draws anew


def test_share_of_kept_values() -> None:
    """Over 40 steps the mean of the scaled activations is that without dropout."""

    class Only(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.drop = nn.Dropout(0.3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.drop(x * self.scale)

    x = torch.ones(1, 2000)
    device = ac.compile(Only().train(), example=(x, x), loss=lambda o, _: o.mean()).run()
    means = np.array([device.train(x, x, lr=0.0) for _ in range(40)])
    # Standard deviation of one mean: sqrt(0.3 / 0.7 / 2000) = 0.0146.
    assert abs(means.mean() - 1.0) < 5 * 0.0146 / np.sqrt(40)
    assert 0.5 * 0.0146 < means.std() < 2 * 0.0146
