# SPDX-License-Identifier: Apache-2.0
"""Feature extractors of the TinyRCE recipe: trained once per held-out subjects, kept in a folder.

A trained one is the network without its last layer, or a random one that reads no data at all.
Features are standardised on the subjects that it was trained with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from acclimate.cache import replacing
from acclimate.data.motion import Windows
from acclimate.models.har_cnn import HarCNN

F32 = NDArray[np.float32]
THREADS = 1  # the order of float additions, so the weights, depends on it
_WARM_UP, _WEIGHT_DECAY, _SMOOTHING = 0.3, 0.01, 0.05
# Turns by half a circle: how a phone may lie in a pocket.
_HALF_TURNS = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])


@dataclass(frozen=True)
class Training:
    """How an extractor is trained; every field is part of its name.

    Attributes:
        data: name of the windows.
        held_out: subjects that it never sees, or recordings of one subject.
        subject: the only one it learns from; 0: all but those held out.
        hop: samples between windows.
        epochs: over the windows.
        lr: largest learning rate.
        tilt: deviation of the random rotation of the sensor [rad].
        half_turns: also turns the sensor by half a circle about one of its axes.
        seed: of weights and order.
    """

    data: str
    held_out: tuple[int, ...] = ()
    subject: int = 0
    hop: int = 25
    epochs: int = 15
    batch: int = 32
    lr: float = 0.003
    tilt: float = 0.5
    half_turns: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Extractor:
    """A network with the scale of its input and that of its features.

    Attributes:
        model: in eval mode.
        scale: of the channels [C]; x / scale goes in.
        mean: of the features of the training subjects [n].
        deviation: of the same [n].
    """

    model: HarCNN
    scale: F32
    mean: F32
    deviation: F32

    @torch.no_grad()
    def raw(self, x: F32) -> F32:
        """Features[N,n] of x[N,C,T] as the network gives them."""
        torch.set_num_threads(THREADS)
        scaled = torch.from_numpy(x / self.scale[:, None])
        return np.concatenate([self.model.features(part).numpy() for part in scaled.split(256)])

    def features(self, x: F32) -> F32:
        """Standardised features[N,n] of x[N,C,T]."""
        out = (self.raw(x) - self.mean) / self.deviation
        return out.astype(np.float32)

    @torch.no_grad()
    def answers(self, x: F32) -> NDArray[np.int64]:
        """Classes[N] that the network itself gives."""
        torch.set_num_threads(THREADS)
        scaled = torch.from_numpy(x / self.scale[:, None])
        parts = [self.model(part).argmax(1).numpy() for part in scaled.split(256)]
        return np.concatenate(parts)


def channel_scale(x: F32) -> F32:
    """One deviation for every three channels: rotations keep it. x[N,C,T] -> [C]."""
    triples = [x[:, at : at + 3] for at in range(0, x.shape[1], 3)]
    return np.concatenate([np.full(t.shape[1], t.std() or 1, np.float32) for t in triples])


def rotated(x: Tensor, tilt: float, half_turns: bool, random: torch.Generator) -> Tensor:
    """Every window x[N,6,T] as a sensor that is turned another way would measure it."""
    N = len(x)
    axis = F.normalize(torch.randn(N, 3, generator=random), dim=1)
    angle = tilt * torch.randn(N, generator=random)
    cross = torch.zeros(N, 3, 3)
    for i, j, k, sign in ((0, 1, 2, -1), (0, 2, 1, 1), (1, 2, 0, -1)):
        cross[:, i, j], cross[:, j, i] = sign * axis[:, k], -sign * axis[:, k]
    turn = torch.matrix_exp(angle[:, None, None] * cross)
    if half_turns:
        turn = turn * _HALF_TURNS[torch.randint(0, 4, (N,), generator=random)][:, None]
    return torch.cat([turn @ x[:, :3], turn @ x[:, 3:]], 1)


def augmented(x: Tensor, training: Training, random: torch.Generator) -> Tensor:
    """Windows x[N,C,T] louder or softer, shifted, and turned where they have three axes."""
    if training.tilt and x.shape[1] == 6:
        x = rotated(x, training.tilt, training.half_turns, random)
    gain = 1 + 0.1 * torch.randn(len(x), 1, 1, generator=random)
    shift = int(torch.randint(-10, 11, (1,), generator=random))
    return torch.roll(x * gain, shift, 2)


def train(windows: Windows, training: Training, start: HarCNN | None = None) -> HarCNN:
    """Trains all layers with backpropagation.

    Args:
        windows: scaled already.
        training: how.
        start: network to go on from; a new one by default.
    """
    torch.set_num_threads(THREADS)
    torch.manual_seed(training.seed)
    random = torch.Generator().manual_seed(training.seed)
    model = start or HarCNN(len(windows.classes), windows.x.shape[1])
    x, y = torch.from_numpy(windows.x), torch.from_numpy(windows.labels)
    batch = min(training.batch, len(y))
    steps = len(y) // batch
    optimizer = torch.optim.AdamW(model.parameters(), training.lr, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, training.lr, total_steps=steps * training.epochs, pct_start=_WARM_UP
    )
    model.train()
    for _ in range(training.epochs):
        order = torch.randperm(len(y), generator=random)
        for at in range(steps):
            chosen = order[at * batch : (at + 1) * batch]
            logits = model(augmented(x[chosen], training, random))
            loss = F.cross_entropy(logits, y[chosen], label_smoothing=_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def trained_extractor(
    training: Training, windows: Callable[[], Windows], folder: Path
) -> Extractor:
    """The extractor of these settings: read if it was trained before, else trained and kept.

    Args:
        training: how, and the name of the file.
        windows: makes the training windows.
        folder: of the kept ones.
    """
    text = json.dumps(asdict(training), sort_keys=True)
    path = folder / f"{training.data}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        seen = windows()
        scale = channel_scale(seen.x)
        scaled = Windows(
            seen.x / scale[:, None], seen.labels, seen.subjects, seen.recordings, seen.classes
        )
        model = train(scaled, training)
        unit = np.zeros(24, np.float32), np.ones(24, np.float32)
        raw = Extractor(model, scale, *unit).raw(seen.x)
        kept = {f"model.{name}": value for name, value in model.state_dict().items()}
        kept["scale"] = torch.from_numpy(scale)
        kept["mean"] = torch.from_numpy(raw.mean(0))
        kept["deviation"] = torch.from_numpy(raw.std(0).clip(1e-3))
        with replacing(path) as temporary:
            save_file(kept, temporary)
    kept = load_file(path)
    head = kept["model.fc1.weight"].shape[0]
    model = HarCNN(head, kept["model.conv1.weight"].shape[1])
    model.load_state_dict({k[6:]: v for k, v in kept.items() if k.startswith("model.")})
    arrays = (kept[name].numpy() for name in ("scale", "mean", "deviation"))
    return Extractor(model.eval(), *arrays)
