# SPDX-License-Identifier: Apache-2.0
"""What a keyword spotter hears, window by window, before and after a moment that is known here.

Every window is one second with one utterance, or none, in a piece of noise at 0 dB. Before the
change each has a noise of the pool, which the network was trained with, in random order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch

from acclimate.data.clips import CLIP_SAMPLES, F32, I64, UNKNOWN_CLASS
from acclimate.data.mixing import MixSpec, mix_clips, random_crops
from acclimate.data.noise import NoiseRecording
from acclimate.data.source import SpeechSource
from acclimate.learn import AdaptationSpec, Conditions, FrozenPrefix, OneByOne, mixtures
from acclimate.models.pretrained import load_dscnn_s_kws

SNR_DB = 0.0
BEFORE, AFTER, STEADY = 600, 400, 2000  # windows
VISIT = 100  # windows in one known place, where a stream walks from one to the next
WORDS, NOTHING, WALK = "unknown words", "nothing changes", "known places in turn"
TARGET = "coffee shop"
TUNED_TARGETS = ("city", "mixed voices")  # places of the streams that choose settings
_PART = 250  # windows that are mixed at once: 16 MB of samples
OTHERS_EVERY = 3  # known noises are judged with every third utterance

# What a detector may watch: columns of `Stream.values`.
CONFIDENCE, LATENTS, SPECTRUM = (0,), (1, 2), tuple(range(3, 13))
WATCHED = {
    "confidence": CONFIDENCE,
    "features of the network": LATENTS,
    "spectrum": SPECTRUM,
    "all of them": CONFIDENCE + LATENTS + SPECTRUM,
}


@dataclass(frozen=True)
class Plan:
    """Which stream.

    Attributes:
        kind: what comes after the change: a place, WORDS; or NOTHING, WALK, which have no change.
        judged: "test": other speakers and other parts of the known noises than "validation" has.
        seed: of everything drawn.
        number: of the stream.
    """

    kind: str
    judged: str
    seed: int
    number: int

    @property
    def changes(self) -> bool:
        """Whether there is a change to be found."""
        return self.kind not in (NOTHING, WALK)

    @property
    def windows(self) -> int:
        """Its length."""
        return BEFORE + AFTER if self.changes else STEADY


@dataclass(frozen=True)
class Stream:
    """What reaches the device: latents[T,64], statistics[T,12], labels[T], noise[T,16000]."""

    latents: F32
    statistics: F32
    labels: I64
    noise: F32

    def values(self, scores: F32) -> F32:
        """v[T,13] for a detector, from scores[T,classes]: confidence, then the statistics."""
        shifted = np.exp(scores - scores.max(1, keepdims=True))
        return np.column_stack([1 / shifted.sum(1), self.statistics]).astype(np.float32)


class Ears:
    """The shipped DS-CNN-S and what it hears.

    Args:
        source: speech and noises.
        every: of the utterances that accuracy is judged with, each so many-th is used.
    """

    def __init__(self, source: SpeechSource, every: int = 1) -> None:
        self.source, self._every = source, every
        model, info = load_dscnn_s_kws()
        self.weights, self._front_end = info.sha256[:16], info.front_end
        self._prefix = FrozenPrefix(model, "fc1", torch.zeros(1, 1, 49, 10))
        self.device: OneByOne = self._prefix.tail(("fc1",))
        self.stream = lru_cache(maxsize=1)(self._stream)

    def _stream(self, plan: Plan) -> Stream:
        """Draws a stream."""
        kinds = (TARGET, WORDS, NOTHING, WALK, *TUNED_TARGETS)
        rng = np.random.default_rng([plan.seed, plan.number, kinds.index(plan.kind), 7])
        test = plan.judged == "test"
        clips = self.source.test_clips() if test else self.source.validation_clips()
        said = self._utterances(plan, clips.labels, rng)
        heard = self._noises(plan, rng)
        pieces = random_crops(heard, len(heard), CLIP_SAMPLES, rng)
        mix, parts = MixSpec(SNR_DB, SNR_DB), list[F32]()
        for at in range(0, plan.windows, _PART):
            part = slice(at, at + _PART)
            # Each window gets the piece that is kept of it, so that the device can record that.
            noises = [NoiseRecording("", piece) for piece in pieces[part]]
            x, y = clips.samples[said[part]], clips.labels[said[part]]
            parts.append(self._front_end(mix_clips(x, y, noises, mix, rng)))
        features = np.concatenate(parts)
        latents = self._prefix(features)
        statistics = np.column_stack([latents.mean(1), latents.std(1), features[:, 0].mean(1)])
        return Stream(latents, statistics.astype(np.float32), clips.labels[said], pieces)

    @staticmethod
    def _utterances(plan: Plan, labels: I64, rng: np.random.Generator) -> I64:
        if plan.kind != WORDS:
            return rng.integers(len(labels), size=plan.windows)
        known, unknown = (np.flatnonzero(is_it) for is_it in
                          (labels != UNKNOWN_CLASS, labels == UNKNOWN_CLASS))  # fmt: skip
        chosen = rng.choice(known, plan.windows)
        new = (np.arange(plan.windows) >= BEFORE) & (rng.random(plan.windows) < 0.5)
        chosen[new] = rng.choice(unknown, int(new.sum()))
        return np.asarray(chosen, np.int64)

    def _noises(self, plan: Plan, rng: np.random.Generator) -> Sequence[NoiseRecording]:
        """One for every window."""
        pool = [p.test if plan.judged == "test" else p.train for p in self.source.pool()]
        which = rng.integers(len(pool), size=plan.windows)
        if plan.kind == WALK:
            turns = -(-plan.windows // (VISIT * len(pool)))
            order = np.concatenate([rng.permutation(len(pool)) for _ in range(turns)])
            which = order[np.arange(plan.windows) // VISIT]
        noises = [pool[i] for i in which]
        if plan.changes and plan.kind != WORDS:
            # The part that may be recorded; the other one judges what was learned from it.
            noises[BEFORE:] = [self.source.place(plan.kind).train] * AFTER
        return noises

    def mixed(self, noise: F32, spec: AdaptationSpec) -> Iterator[tuple[F32, I64]]:
        """Stored utterances in recorded noise n[N,16000], epoch by epoch: latents and labels."""
        recording = NoiseRecording("recorded", noise.ravel())
        stored = self.source.train_clips()
        return mixtures(stored, [recording], lambda x: self._prefix(self._front_end(x)), spec)

    @cached_property
    def judged(self) -> tuple[Conditions, Conditions]:
        """Test utterances, as latents: clean and in the new place, then in the known noises."""
        found = []
        for every, places in (
            (self._every, (self.source.place(TARGET),)),
            (self._every * OTHERS_EVERY, self.source.pool()),
        ):
            clips = self.source.test_clips()
            clips = clips.take(range(0, len(clips), every))
            made = Conditions.make(clips, self._front_end, places, snr_db=SNR_DB)
            found.append(made.through(self._prefix))
        return found[0], found[1]
