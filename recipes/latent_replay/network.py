# SPDX-License-Identifier: Apache-2.0
"""The network of the latent replay recipe: pretrained on the base classes alone, then cut in two.

NOTE: the published ResNet8 was trained on all ten classes, so it cannot show how new ones are
learned; this one has never seen an image of a class that comes later.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from acclimate.cache import replacing
from acclimate.data.clips import F32
from acclimate.data.images import CLASSES, Images
from acclimate.models.resnet8 import ResNet8
from acclimate.models.separable import global_average

THREADS = 1  # the order of float additions, so the weights, depends on it
SPLITS = ("pool", "stack 3", "stack 2")  # what the device learns begins there
_LR, _WEIGHT_DECAY, _WARM_UP = 0.01, 0.01, 0.2
_READ_AT_ONCE = 250
_LARGEST = 0.9999  # quantile of latents: what is above is clipped, which costs less than wide steps


@dataclass(frozen=True)
class Training:
    """How a network is pretrained; every field is part of its name.

    Attributes:
        data: description of the images.
        base: classes that it learns.
        epochs: over their images.
        held_back: training images of each class that it does not see.
        seed: of weights and order.
    """

    data: str
    base: tuple[int, ...]
    epochs: int
    held_back: int
    seed: int


def pretrained(images: Images, training: Training, folder: Path) -> ResNet8:
    """The network in eval mode; trained once, kept in a folder."""
    text = json.dumps(asdict(training), sort_keys=True)
    path = folder / f"resnet8-{hashlib.sha256(text.encode()).hexdigest()[:16]}.safetensors"
    torch.manual_seed(training.seed)
    network = ResNet8(classes=CLASSES)
    if path.exists():
        network.load_state_dict(load_file(path))
        return network.eval()
    x, y = _of_classes(images, training)
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        _train(network, x, y, training.epochs)
    finally:
        torch.set_num_threads(before)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as new:
        save_file(network.state_dict(), new)
    return network.eval()


def _of_classes(images: Images, training: Training) -> tuple[Tensor, Tensor]:
    chosen = [np.flatnonzero(images.y == k)[: -training.held_back or None] for k in training.base]
    at = np.concatenate(chosen)
    return torch.from_numpy(images.x[at]), torch.from_numpy(images.y[at])


def _train(network: ResNet8, x: Tensor, y: Tensor, epochs: int, batch: int = 64) -> None:
    """AdamW with one cycle; images are mirrored and moved by up to four pixels."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=_LR, weight_decay=_WEIGHT_DECAY)
    steps = epochs * (len(y) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LR, steps, pct_start=_WARM_UP)
    network.train()
    for _ in range(epochs):
        order = torch.randperm(len(y))
        for at in range(0, len(y) // batch * batch, batch):
            chosen = order[at : at + batch]
            loss = F.cross_entropy(network(_moved(x[chosen])), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def _moved(x: Tensor) -> Tensor:
    if torch.rand(()) < 0.5:
        x = x.flip(3)
    down, right = (int(n) for n in torch.randint(-4, 5, (2,)))
    return torch.roll(x, (down, right), (2, 3))


class _Front(nn.Module):
    """x[N,3,32,32] -> latents of a split."""

    def __init__(self, network: ResNet8, split: str) -> None:
        super().__init__()
        self.network, self.split = network, split

    def forward(self, x: Tensor) -> Tensor:
        """Latents of images."""
        net = self.network
        y = F.relu(net.bn1(net.conv1(x)))
        kept = {"pool": 3, "stack 3": 2, "stack 2": 1}[self.split]
        for stack in list(net.stacks)[:kept]:
            y = stack(y)
        return global_average(y) if self.split == "pool" else y


class _Tail(nn.Module):
    """Latents of a split -> logits[N,classes]."""

    def __init__(self, network: ResNet8, split: str) -> None:
        super().__init__()
        begin = {"pool": 3, "stack 3": 2, "stack 2": 1}[split]
        self.stacks = nn.Sequential(*list(network.stacks)[begin:])
        self.fc1 = network.fc1

    def forward(self, x: Tensor) -> Tensor:
        """Logits of latents."""
        if len(self.stacks):
            x = global_average(self.stacks(x))
        logits: Tensor = self.fc1(x)
        return logits


def cut(network: ResNet8, split: str) -> tuple[nn.Module, nn.Module]:
    """Frozen front and tail that learns, both in eval mode."""
    front = _Front(network, split).eval().requires_grad_(False)
    return front, _Tail(network, split).eval().requires_grad_(True)


@torch.no_grad()
def latents(front: nn.Module, x: F32) -> F32:
    """What the front makes of images x[N,3,32,32]."""
    parts = [front(torch.from_numpy(x[at : at + _READ_AT_ONCE]))
             for at in range(0, len(x), _READ_AT_ONCE)]  # fmt: skip
    return np.ascontiguousarray(torch.cat(parts).numpy())


def greatest_of(x: F32) -> float:
    """The value that the largest number of a memory stands for."""
    return float(np.quantile(x, _LARGEST))
