# SPDX-License-Identifier: Apache-2.0
"""The spotter of the recipe: DS-CNN-S trained on some keywords, as features of all of them.

It has never heard the words that come later, not as "unknown" either: that class of Speech Commands
is made of words which are no keywords.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from acclimate.cache import replacing
from acclimate.data.clips import KEYWORDS, SILENCE_CLASS, UNKNOWN_CLASS, Clips
from acclimate.data.features import FrontEnd, MfccSpec, Normalisation, mfcc
from acclimate.data.mixing import MixSpec, mix_clips
from acclimate.data.noise import QUIET
from acclimate.data.source import SpeechSource, keyword_speech
from acclimate.learn.protocol import Labelled
from acclimate.models import DSCNN

THREADS = 1  # the order of float additions, so the weights, depends on it
KNOWN_WORDS = 4
_LR, _WEIGHT_DECAY, _BATCH, _SMOOTHING = 0.01, 0.01, 32, 0.1
_MIX = MixSpec(5.0, 25.0, 100.0)


@dataclass(frozen=True)
class Training:
    """How a spotter is trained; every field is part of its name."""

    data: str
    classes: tuple[int, ...]
    epochs: int
    seed: int


@lru_cache(maxsize=1)
def speech() -> SpeechSource:
    """Of this machine."""
    return keyword_speech()


def words_of(seed: int) -> tuple[int, ...]:
    """The keywords in the order in which they come."""
    order = np.random.default_rng([seed, 5]).permutation(len(KEYWORDS))
    return tuple(int(k) for k in order)


def known_classes(seed: int) -> tuple[int, ...]:
    """What a spotter is trained on: silence, unknown, and the first words."""
    return (SILENCE_CLASS, UNKNOWN_CLASS, *words_of(seed)[:KNOWN_WORDS])


def _of(clips: Clips, classes: tuple[int, ...]) -> Clips:
    return clips.take(np.flatnonzero(np.isin(clips.labels, classes)))


def trained(training: Training, folder: Path) -> tuple[DSCNN, FrontEnd]:
    """The network in eval mode, and its features; trained once, kept in a folder."""
    clips = _of(speech().train_clips(), training.classes)
    front_end = FrontEnd(MfccSpec(), Normalisation.measure(mfcc(clips.samples, MfccSpec())))
    text = json.dumps(asdict(training), sort_keys=True)
    path = folder / f"dscnn-{hashlib.sha256(text.encode()).hexdigest()[:16]}.safetensors"
    torch.manual_seed(training.seed)
    network = DSCNN("S")
    if path.exists():
        network.load_state_dict(load_file(path))
        return network.eval(), front_end
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        _train(network, clips, front_end, training)
    finally:
        torch.set_num_threads(before)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as new:
        save_file(network.state_dict(), new)
    return network.eval(), front_end


def _train(network: DSCNN, clips: Clips, front_end: FrontEnd, training: Training) -> None:
    rng = np.random.default_rng(training.seed)
    noises = [QUIET, *(place.train for place in speech().pool())]
    optimizer = torch.optim.AdamW(network.parameters(), lr=_LR, weight_decay=_WEIGHT_DECAY)
    steps = training.epochs * (len(clips) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LR, steps, pct_start=0.2)
    network.train()
    for _ in range(training.epochs):
        heard = clips.take(rng.permutation(len(clips)))
        x = torch.from_numpy(front_end(mix_clips(heard.samples, heard.labels, noises, _MIX, rng)))
        y = torch.from_numpy(heard.labels)
        for at in range(0, len(y) - _BATCH + 1, _BATCH):
            part = slice(at, at + _BATCH)
            loss = F.cross_entropy(network(x[part]), y[part], label_smoothing=_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


@lru_cache(maxsize=4)
def heard_by(
    seed: int, epochs: int, judged: str, folder: Path
) -> tuple[Labelled, Labelled, nn.Linear]:
    """What the frozen layers make of utterances [N,64], learned and judged, and the last layer."""
    training = Training(speech().description, known_classes(seed), epochs, seed)
    network, front_end = trained(training, folder)
    last = network.fc1
    network.fc1 = nn.Identity()  # type: ignore[assignment]
    learned = speech().train_clips()
    tested = speech().test_clips() if judged == "test" else speech().validation_clips()
    found = []
    for clips in (learned, tested):
        x = torch.from_numpy(front_end(clips.samples))
        with torch.no_grad():
            parts = [network(x[at : at + 256]) for at in range(0, len(x), 256)]
        found.append(Labelled(torch.cat(parts).numpy(), clips.labels))
    return found[0], found[1], last
