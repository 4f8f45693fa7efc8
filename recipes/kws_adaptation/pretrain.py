# SPDX-License-Identifier: Apache-2.0
"""Trains the keyword spotters that devices start from: DS-CNN, noise-aware, on Speech Commands.

    python recipes/kws_adaptation/pretrain.py

It needs the recordings (`acclimate data get speech-commands`) and, for size S, five minutes of one
core. It learns from the speakers of folds 0 and 1 and the places of the noise pool, looks at fold 2
while it runs, and measures fold 3 once at the end. Coffee shop, city and mixed voices are never
heard: they are for the adaptation on the device.

Source: noise-aware pretraining of the on-device domain adaptation system
(pulp-platform/odda-for-kws); augmentation, schedule and averaging are ours.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor, nn

from acclimate.data.clips import CLASSES, F32, Clips
from acclimate.data.features import FrontEnd, MfccSpec, Normalisation, mfcc
from acclimate.data.mixing import MixSpec, mix_clips
from acclimate.data.noise import QUIET, NoiseRecording
from acclimate.data.source import SpeechSource, keyword_speech
from acclimate.errors import DataError
from acclimate.learn import Survey, TorchDevice, survey
from acclimate.models import DSCNN
from acclimate.models.pretrained import CHECKPOINTS, KwsCheckpoint, KwsTraining, save_dscnn_kws
from acclimate.models.separable import DepthwiseSeparable

THREADS = 1  # the order of float additions, so the weights, depends on it
SURVEY_BATCH = 64
REPORT_EVERY = 20  # epochs


def noise_pool(source: SpeechSource, quiet_share: float) -> list[NoiseRecording]:
    """The training part of every place in the pool, and quiet as often as its share asks for."""
    places = [place.train for place in source.pool()]
    return [QUIET] * round(len(places) * quiet_share / (1 - quiet_share)) + places


def change_speed(samples: F32, factors: F32) -> F32:
    """Plays row i of x[N,T] factors[i] times as fast about its middle, by linear interpolation."""
    N, T = samples.shape
    out = np.empty_like(samples)
    grid = np.arange(T, dtype=np.float32) - T / 2
    for i in range(N):
        out[i] = np.interp(grid * factors[i] + T / 2, np.arange(T), samples[i], left=0, right=0)
    return out


class Augmentation:
    """Makes every epoch another one: speed, noise, shift, gain, microphone."""

    def __init__(
        self, clips: Clips, noises: list[NoiseRecording], front_end: FrontEnd, training: KwsTraining
    ) -> None:
        self._clips, self._noises, self._front_end = clips, noises, front_end
        self._training = training
        self._rng = np.random.default_rng(training.seed)

    def epoch(self) -> tuple[Tensor, Tensor]:
        """x[N,1,49,10] and y[N] of all clips in random order."""
        t, rng, N = self._training, self._rng, len(self._clips)
        clips = self._clips.take(rng.permutation(N))
        factors = rng.uniform(1 - t.speed, 1 + t.speed, N).astype(np.float32)
        mix = MixSpec(t.snr_low_db, t.snr_high_db, t.shift_ms)
        mixed = mix_clips(
            change_speed(clips.samples, factors), clips.labels, self._noises, mix, rng
        )
        gain_db = rng.uniform(t.gain_low_db, t.gain_high_db, (N, 1))
        mixed *= (10 ** (gain_db / 20)).astype(np.float32)
        x = self._front_end(mixed)
        # Another microphone multiplies the spectrum, so it adds to the cepstrum of every frame.
        x += t.channel * rng.standard_normal((N, 1, 1, x.shape[-1]), dtype=np.float32)
        return torch.from_numpy(x), torch.from_numpy(clips.labels)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The whole batches of one epoch."""
        x, y = self.epoch()
        for at in range(0, len(y) - self._training.batch + 1, self._training.batch):
            yield x[at : at + self._training.batch], y[at : at + self._training.batch]


def measure_front_end(
    clips: Clips, noises: list[NoiseRecording], training: KwsTraining
) -> FrontEnd:
    """Normalisation over one pass of noisy training clips."""
    mix = MixSpec(training.snr_low_db, training.snr_high_db, training.shift_ms)
    rng = np.random.default_rng(training.seed)
    mixed = mix_clips(clips.samples, clips.labels, noises, mix, rng)
    return FrontEnd(MfccSpec(), Normalisation.measure(mfcc(mixed, MfccSpec())))


@torch.no_grad()
def move_average(average: DSCNN, model: DSCNN, decay: float) -> None:
    """average <- decay * average + (1 - decay) * model, running statistics included."""
    for kept, fresh in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(fresh, 1 - decay)
        else:
            kept.copy_(fresh)  # the number of batches seen


def train(source: SpeechSource, training: KwsTraining, console: Console) -> tuple[DSCNN, FrontEnd]:
    """Trains one network and returns it with averaged weights, and the features it expects."""
    torch.manual_seed(training.seed)
    clips, noises = source.train_clips(), noise_pool(source, training.quiet_share)
    front_end = measure_front_end(clips, noises, training)
    augmentation = Augmentation(clips, noises, front_end, training)
    model = DSCNN(training.size)
    average = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.lr, weight_decay=training.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        training.lr,
        total_steps=training.epochs * (len(clips) // training.batch),
        pct_start=0.1,
    )
    start, step = time.monotonic(), 0
    for epoch in range(1, training.epochs + 1):
        model.train()
        losses = []
        for x, y in augmentation.batches():
            loss = F.cross_entropy(model(x), y, label_smoothing=training.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            # Early weights are far from the last ones: the average is short at first.
            step += 1
            move_average(average, model, min(training.weight_average, step / (step + 10)))
            losses.append(loss.item())
        if epoch % REPORT_EVERY == 0 or epoch == training.epochs:
            seen = measure(average, front_end, source, source.validation_clips(), pool=True)
            pool = np.mean([accuracy for _, accuracy in seen.places])
            console.print(
                f"epoch {epoch:3d}  {time.monotonic() - start:4.0f} s  loss {np.mean(losses):.3f}  "
                f"fold 2: clean {seen.clean:.1%}, pool at 0 dB {pool:.1%}"
            )
    return average, front_end


@torch.no_grad()
def fold_batch_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Moves what a batch norm does in eval mode into the convolution; it stays as the identity.

    The network computes the same. But trained scales reach 90, and would multiply the gradient of
    the convolution: SGD on the device diverges with rates that are right for the other layers.
    """
    assert conv.bias is not None and norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    conv.weight.mul_(scale.view(-1, 1, 1, 1))
    conv.bias.sub_(norm.running_mean).mul_(scale).add_(norm.bias)
    norm.weight.fill_(1.0)
    norm.bias.zero_()
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)


def fold_network(model: DSCNN) -> None:
    """Folds every batch norm of the network."""
    fold_batch_norm(model.conv1, model.bn1)
    for block in model.blocks:
        assert isinstance(block, DepthwiseSeparable)
        fold_batch_norm(block.depthwise, block.bn1)
        fold_batch_norm(block.pointwise, block.bn2)


def measure(
    model: DSCNN, front_end: FrontEnd, source: SpeechSource, clips: Clips, pool: bool = False
) -> Survey:
    """Accuracy on clean clips and in the test noise of every place (or of the pool) at 0 dB."""
    places = source.pool() if pool else source.noises.values()
    return survey(TorchDevice(model), clips, front_end, places, batch=SURVEY_BATCH)


def pretrain(source: SpeechSource, training: KwsTraining, folder: Path, console: Console) -> None:
    """Trains, measures on fold 3, writes weights and sidecar.

    Raises:
        DataError: there are no recordings.
    """
    if not source.recorded:
        raise DataError("pretraining needs recordings", hint="acclimate data get speech-commands")
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    model, front_end = train(source, training, console)
    fold_network(model)
    found = measure(model, front_end, source, source.test_clips())
    info = KwsCheckpoint(
        classes=CLASSES,
        data=source.description,
        noises=tuple(f"{place.name}: {place.origin}" for place in source.pool()),
        training=training,
        front_end=front_end,
        snr_db=found.snr_db,
        accuracy=tuple((k, round(v, 4)) for k, v in (("clean", found.clean), *found.places)),
        sha256="",
    )
    save_dscnn_kws(model, info, folder)
    for name, accuracy in info.accuracy:
        console.print(f"fold 3  {name:14s} {accuracy:.1%}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=CHECKPOINTS, help="folder of the checkpoint")
    parser.add_argument("--size", choices=("S", "M", "L"), default=KwsTraining.size)
    parser.add_argument("--epochs", type=int, default=KwsTraining.epochs)
    parser.add_argument("--seed", type=int, default=KwsTraining.seed)
    given = parser.parse_args()
    training = replace(KwsTraining(), size=given.size, epochs=given.epochs, seed=given.seed)
    pretrain(keyword_speech(), training, given.out, Console(stderr=True))


if __name__ == "__main__":
    main()
