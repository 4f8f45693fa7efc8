# SPDX-License-Identifier: Apache-2.0
"""The networks of the latent replay recipe: pretrained on the base classes alone, then cut in two.

NOTE: the published ResNet8 was trained on all ten classes, so it cannot show how new ones are
learned; this one has never seen an image of a class that comes later. MobileNetV1 begins with
weights of another task, as the published one does, and learns the base classes from there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from vww import find_weights, load_weights

from acclimate.cache import replacing
from acclimate.data.clips import F32
from acclimate.data.images import CLASSES, SIDE, Images
from acclimate.models.mobilenet_v1 import BLOCKS, MobileNetV1
from acclimate.models.resnet8 import ResNet8
from acclimate.models.separable import global_average

THREADS = 1  # the order of float additions, so the weights, depends on it
_WEIGHT_DECAY, _WARM_UP = 0.01, 0.2
_READ_AT_ONCE = 250
_LARGEST = 0.9999  # quantile of latents: what is above is clipped, which costs less than wide steps
_VWW = "Visual Wake Words (MLPerf Tiny)"


@dataclass(frozen=True)
class Kind:
    """What the recipe has to know of a network.

    Attributes:
        title: for tables.
        stages: attribute with the stages between its first layer and its last one.
        splits: where what the device learns begins, and how many stages are before it.
        side: of an image [pixels].
        lr: peak of the pretraining.
    """

    title: str
    stages: str
    splits: Mapping[str, int]
    side: int
    lr: float


KINDS = {
    "resnet8": Kind("ResNet8", "stacks", {"pool": 3, "stack 3": 2, "stack 2": 1}, SIDE, 0.01),
    "mobilenet": Kind("MobileNetV1-0.25", "blocks",
                      {"pool": len(BLOCKS), "block 12": 11, "block 5": 4}, 3 * SIDE, 0.003),
}  # fmt: skip


def start_of(kind: str) -> str:
    """What a network knows before the base classes."""
    return _VWW if kind == "mobilenet" and find_weights() is not None else ""


@dataclass(frozen=True)
class Training:
    """How a network is pretrained; every field is part of its name.

    Attributes:
        kind: of `KINDS`.
        start: see `start_of`.
        data: description of the images.
        base: classes that it learns.
        epochs: over their images.
        held_back: training images of each class that it does not see.
        seed: of weights and order.
    """

    kind: str
    start: str
    data: str
    base: tuple[int, ...]
    epochs: int
    held_back: int
    seed: int


def pretrained(images: Images, training: Training, folder: Path) -> nn.Module:
    """The network in eval mode; trained once, kept in a folder."""
    text = json.dumps(asdict(training), sort_keys=True)
    name = f"{training.kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.safetensors"
    path = folder / name
    network = _new(training)
    if path.exists():
        network.load_state_dict(load_file(path))
        return network.eval()
    x, y = _of_classes(images, training)
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        _train(network, x, y, training)
    finally:
        torch.set_num_threads(before)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as new:
        save_file(network.state_dict(), new)
    return network.eval()


def _new(training: Training) -> nn.Module:
    torch.manual_seed(training.seed)
    if training.kind == "resnet8":
        return ResNet8(classes=CLASSES)
    network = MobileNetV1(classes=CLASSES)
    path = find_weights()
    if training.start and path is not None:
        load_weights(network, path)
    return network


def _of_classes(images: Images, training: Training) -> tuple[Tensor, Tensor]:
    chosen = [np.flatnonzero(images.y == k)[: -training.held_back or None] for k in training.base]
    at = np.concatenate(chosen)
    return torch.from_numpy(images.x[at]), torch.from_numpy(images.y[at])


def _train(network: nn.Module, x: Tensor, y: Tensor, training: Training, batch: int = 64) -> None:
    """AdamW with one cycle; images are mirrored and moved by up to four pixels."""
    peak, epochs = KINDS[training.kind].lr, training.epochs
    optimizer = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=_WEIGHT_DECAY)
    steps = epochs * (len(y) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, steps, pct_start=_WARM_UP)
    network.train()
    for _ in range(epochs):
        order = torch.randperm(len(y))
        for at in range(0, len(y) // batch * batch, batch):
            chosen = order[at : at + batch]
            loss = F.cross_entropy(network(_seen(_moved(x[chosen]), training.kind)), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def _moved(x: Tensor) -> Tensor:
    if torch.rand(()) < 0.5:
        x = x.flip(3)
    down, right = (int(n) for n in torch.randint(-4, 5, (2,)))
    return torch.roll(x, (down, right), (2, 3))


def _seen(x: Tensor, kind: str) -> Tensor:
    """Images [N,3,32,32] of -1 .. 1 as the network wants them."""
    if kind == "resnet8":
        return x
    side = KINDS[kind].side
    larger = F.interpolate((x + 1) / 2, size=(side, side), mode="bilinear", align_corners=False)
    return larger.flip(2, 3)  # turned, as `load_weights` says


def _stages(network: nn.Module, kind: str) -> list[nn.Module]:
    return list(network.get_submodule(KINDS[kind].stages).children())


class _Front(nn.Module):
    """x[N,3,side,side] -> latents of a split."""

    def __init__(self, network: nn.Module, kind: str, split: str) -> None:
        super().__init__()
        self.conv1, self.bn1 = network.get_submodule("conv1"), network.get_submodule("bn1")
        stages = _stages(network, kind)
        self.stages = nn.Sequential(*stages[: KINDS[kind].splits[split]])
        self.pools = len(self.stages) == len(stages)

    def forward(self, x: Tensor) -> Tensor:
        """Latents of images."""
        y: Tensor = self.stages(F.relu(self.bn1(self.conv1(x))))
        return global_average(y) if self.pools else y


class _Tail(nn.Module):
    """Latents of a split -> logits[N,classes]."""

    def __init__(self, network: nn.Module, kind: str, split: str) -> None:
        super().__init__()
        self.stages = nn.Sequential(*_stages(network, kind)[KINDS[kind].splits[split] :])
        self.fc1 = network.get_submodule("fc1")

    def forward(self, x: Tensor) -> Tensor:
        """Logits of latents."""
        if len(self.stages):
            x = global_average(self.stages(x))
        logits: Tensor = self.fc1(x)
        return logits


def cut(network: nn.Module, kind: str, split: str) -> tuple[nn.Module, nn.Module]:
    """Frozen front and tail that learns, both in eval mode."""
    front = _Front(network, kind, split).eval().requires_grad_(False)
    return front, _Tail(network, kind, split).eval().requires_grad_(True)


@torch.no_grad()
def latents(front: nn.Module, x: F32, kind: str) -> F32:
    """What the front makes of images x[N,3,32,32]."""
    parts = [front(_seen(torch.from_numpy(x[at : at + _READ_AT_ONCE]), kind))
             for at in range(0, len(x), _READ_AT_ONCE)]  # fmt: skip
    return np.ascontiguousarray(torch.cat(parts).numpy())


def greatest_of(x: F32) -> float:
    """The value that the largest number of a memory stands for."""
    return float(np.quantile(x, _LARGEST))
