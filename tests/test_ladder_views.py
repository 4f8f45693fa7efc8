# SPDX-License-Identifier: Apache-2.0
"""Random models whose parameters and activations are permuted, flipped, cut, moved and repeated.

What a pass does to a whole buffer in the order of its memory must not be done to another view of
it. Each seed is a model; `python tests/test_ladder_views.py 1000 500` tries as many others.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import acclimate as ac

ELEMENTWISE: tuple[Callable[[Tensor], Tensor], ...] = (
    F.relu, torch.tanh, torch.sigmoid, F.gelu, F.silu, F.hardswish, F.softplus, torch.abs,
    lambda x: x.clamp(-0.6, 0.9), lambda x: F.leaky_relu(x, 0.1),
)  # fmt: skip
POOLS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: F.max_pool2d(x, 2),
    lambda x: F.avg_pool2d(x, 2),
    lambda x: F.max_pool2d(x, 2, 1),
)
FLAT: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x.flatten(2), lambda x: x.mean((2, 3)), lambda x: x.amax(3), lambda x: x.flatten(1),
)  # fmt: skip


class Drawn(nn.Module):
    """A model that is drawn again, from the same seed, whenever it runs."""

    def __init__(self, seed: int, x: Tensor) -> None:
        super().__init__()
        self.seed, self.drawn = seed, nn.ParameterList()
        self.building = True
        with torch.no_grad():
            self(x)
        self.building = False

    def parameter(self, *shape: int) -> Tensor:
        if self.building:
            self.drawn.append(nn.Parameter(torch.randn(shape) * 0.4))
        self.used += 1
        return self.drawn[self.used - 1]

    def seen(self, *shape: int) -> Tensor:
        """A parameter through a view of this shape."""
        rng, axis = self.rng, self.rng.randrange(len(shape))
        sizes = list(shape)
        kind = rng.choice(("plain", "permuted", "flipped", "part", "steps", "spread", "own"))
        if kind == "permuted":
            order = rng.sample(range(len(shape)), len(shape))
            back = [order.index(a) for a in range(len(shape))]
            return self.parameter(*(shape[a] for a in order)).permute(back)
        if kind == "flipped":
            return self.parameter(*shape).flip(axis)
        if kind == "part":
            sizes[axis] += 2
            return self.parameter(*sizes).narrow(axis, 1, shape[axis])
        if kind == "steps":
            sizes[axis] *= 2
            return self.parameter(*sizes)[(slice(None),) * axis + (slice(None, None, 2),)]
        if kind == "spread":
            sizes[axis] = 1
            return self.parameter(*sizes).expand(shape)
        w = self.parameter(*shape)
        return w * w.flip(0) if kind == "own" else w

    def forward(self, x: Tensor) -> Tensor:
        self.rng, self.used = random.Random(self.seed), 0
        kept: list[Tensor] = []
        for _ in range(self.rng.randint(2, 6)):
            choices = [self.elementwise, self.scaled, self.moved, self.normed]
            choices += {4: [self.conv] * 3 + [self.smaller, self.flat, self.padded],
                        3: [self.linear] * 2 + [self.attention, self.conv1d],
                        2: [self.linear, self.gate]}[x.ndim]  # fmt: skip
            step = self.rng.choice(choices)
            if self.rng.random() < 0.2:
                kept.append(x)
            x = step(x)
            if kept and kept[-1].shape == x.shape:
                x = x + kept.pop() if self.rng.random() < 0.6 else x * kept.pop()
        x = x.flatten(1)
        return F.linear(x, self.seen(3, x.shape[1]), self.parameter(3))

    def elementwise(self, x: Tensor) -> Tensor:
        return self.rng.choice(ELEMENTWISE)(x)

    def scaled(self, x: Tensor) -> Tensor:
        return x * self.seen(*x.shape[1:]) + self.seen(*x.shape[1:])

    def moved(self, x: Tensor) -> Tensor:
        axis = self.rng.randrange(1, x.ndim)
        kind = self.rng.choice(("flip", "roll", "transpose", "part", "steps"))
        if kind == "flip":
            return x.flip(axis)
        if kind == "roll":
            return x.roll(1, axis)
        if kind == "transpose" and x.ndim > 2:
            return x.transpose(1, x.ndim - 1)
        if kind == "part" and x.shape[axis] > 2:
            return x.narrow(axis, 1, x.shape[axis] - 1)
        if kind == "steps" and x.shape[axis] > 3:
            return x[(slice(None),) * axis + (slice(None, None, 2),)]
        return x

    def normed(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[1:]) if x[0].numel() > 1 else x

    def conv(self, x: Tensor) -> Tensor:
        K, C, size = self.rng.choice((2, 4)), x.shape[1], self.rng.choice((1, 3))
        if self.rng.random() < 0.3:
            x = F.pad(x, [self.rng.randrange(3) for _ in range(4)])
        if min(x.shape[2:]) < size:
            return x
        stride, pad = self.rng.choice((1, 1, 2)), self.rng.randrange(2) if size == 3 else 0
        if size == 3 and self.rng.random() < 0.3:
            return F.conv2d(x, self.seen(C, 1, 3, 3), self.seen(C), stride, pad, groups=C)
        return F.conv2d(x, self.seen(K, C, size, size), self.seen(K), stride, pad)

    def smaller(self, x: Tensor) -> Tensor:
        return self.rng.choice(POOLS)(x) if min(x.shape[2:]) > 1 else x

    def padded(self, x: Tensor) -> Tensor:
        mode = self.rng.choice(("constant", "reflect", "replicate", "circular"))
        return F.pad(x, (1, 0, 0, 1), mode=mode) if min(x.shape[2:]) > 1 else x

    def flat(self, x: Tensor) -> Tensor:
        return self.rng.choice(FLAT)(x)

    def linear(self, x: Tensor) -> Tensor:
        return F.linear(x, self.seen(self.rng.choice((3, 5)), x.shape[-1]))

    def conv1d(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.seen(3, x.shape[1], 3), padding=1)

    def attention(self, x: Tensor) -> Tensor:
        return (x @ x.transpose(1, 2) / 3).softmax(-1) @ x

    def gate(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(F.linear(x, self.seen(x.shape[1], x.shape[1])))


def learns_as_pytorch(seed: int) -> None:
    """Three steps, in the meaning of the program after all passes."""
    rng = random.Random(-seed)
    torch.manual_seed(seed)
    shape = rng.choice(((2, 6, 6), (3, 5, 4), (4, 6), (7,)))
    x = torch.randn(rng.choice((1, 1, 2, 3)), *shape)
    model, target = Drawn(seed, x), torch.randn(len(x), 3)
    momentum, decay = rng.choice(((0.0, 0.0), (0.0, 0.0), (0.0, 0.1), (0.9, 0.0)))
    sums = rng.random() < 0.25
    firmware = ac.compile(
        model, example=(x, target), loss="mse", name="model", solver_seconds=1.0,
        optimizer=ac.SGD(lr=0.01, momentum=momentum, weight_decay=decay),
        entries=("predict", "accumulate", "apply") if sums else ("predict", "train"),
    )  # fmt: skip
    device = firmware.run("numpy")
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=momentum, weight_decay=decay)
    for _ in range(3):
        loss = F.mse_loss(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if sums:
            found = float(device.accumulate(x.numpy(), target.numpy()))
            device.apply()
        else:
            found = float(device.train(x.numpy(), target.numpy()))
        if loss.item() > 50:  # a step that diverges loses its digits
            return
        assert found == pytest.approx(loss.item(), rel=3e-4, abs=3e-6)


@pytest.mark.parametrize("seed", range(20))
def test_random_views_climb(seed: int) -> None:
    learns_as_pytorch(seed)


if __name__ == "__main__":
    first, count = map(int, sys.argv[1:])
    for number in range(first, first + count):
        print(number, flush=True)
        learns_as_pytorch(number)
