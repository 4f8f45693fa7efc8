# SPDX-License-Identifier: Apache-2.0
"""The adaptation loop drives any device; here a softmax regression in NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from acclimate.data.features import FrontEnd, MfccSpec, Normalisation, mfcc
from acclimate.data.mixing import MixSpec, mix_clips
from acclimate.data.noise import NoiseRecording, Place, split_in_time
from acclimate.errors import BadOption
from acclimate.learn import AdaptationSpec, Epoch, adapt, evaluate, survey
from data_fixtures import tone_clips

CLIPS = tone_clips(per_class=4)
HISS = np.random.default_rng(1).standard_normal(60_000).astype(np.float32)
HUM = split_in_time(NoiseRecording("hum", HISS), "made")
NOISY = mix_clips(CLIPS.samples, CLIPS.labels, [HUM.train], MixSpec(), np.random.default_rng(2))
FRONT_END = FrontEnd(MfccSpec(), Normalisation.measure(mfcc(NOISY, MfccSpec())))


@dataclass
class SoftmaxRegression:
    """A device of N samples a step: scores = x w, trained by SGD on the mean cross entropy."""

    N: int = 1
    w: np.ndarray = field(default_factory=lambda: np.zeros((490, 12)))
    seen: list[np.ndarray] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def train(self, x: np.ndarray, y: np.ndarray, lr: float) -> float:
        assert x.shape == (self.N, 1, 49, 10) and x.dtype == np.float32 and y.shape == (self.N,)
        self.seen.append(x)
        self.rates.append(lr)
        flat = x.reshape(self.N, -1).astype(np.float64)
        scores = flat @ self.w
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        loss = float(-np.log(p[np.arange(self.N), y]).mean())
        p[np.arange(self.N), y] -= 1
        self.w -= lr * flat.T @ p / self.N
        return loss

    def predict(self, x: np.ndarray) -> np.ndarray:
        assert x.shape == (self.N, 1, 49, 10)
        return (x.reshape(self.N, -1) @ self.w).astype(np.float32)


def trained(spec: AdaptationSpec) -> SoftmaxRegression:
    device = SoftmaxRegression(spec.batch)
    adapt(device, CLIPS, HUM.train, FRONT_END, spec)
    return device


def test_adaptation_helps_in_the_noise() -> None:
    device = SoftmaxRegression()
    before = evaluate(device, CLIPS, FRONT_END, HUM.test)
    result = adapt(device, CLIPS, HUM.train, FRONT_END, AdaptationSpec(epochs=5, lr=0.003))
    assert evaluate(device, CLIPS, FRONT_END, HUM.test) > before + 0.4
    assert result.epochs[-1].loss < result.epochs[0].loss


def test_adaptation_repeats_with_the_seed_and_only_then() -> None:
    first, again, other = (trained(AdaptationSpec(epochs=2, seed=seed)).w for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_every_epoch_hears_other_noise() -> None:
    device = SoftmaxRegression()
    spec = AdaptationSpec(epochs=2, utterances_per_class=1, shift_ms=0)
    adapt(device, CLIPS, HUM.train, FRONT_END, spec)
    inputs = {x.tobytes() for x in device.seen}
    assert len(inputs) == len(device.seen) == 24


def test_rate_falls_to_zero_in_a_straight_line() -> None:
    device = trained(AdaptationSpec(epochs=2, utterances_per_class=1, lr=0.48))
    np.testing.assert_allclose(device.rates, 0.48 - 0.02 * np.arange(24))


def test_spec_chooses_how_many_utterances_are_stored() -> None:
    spec = AdaptationSpec(epochs=3, utterances_per_class=2)
    result = adapt(SoftmaxRegression(), CLIPS, HUM.train, FRONT_END, spec)
    assert (result.utterances, result.steps, len(result.epochs)) == (24, 72, 3)
    everything = AdaptationSpec(epochs=1, utterances_per_class=None)
    assert adapt(SoftmaxRegression(), CLIPS, HUM.train, FRONT_END, everything).utterances == 48


def test_device_of_five_gets_whole_batches_and_counts_each_clip_once() -> None:
    device = trained(AdaptationSpec(batch=5, epochs=2, lr=0.01))
    assert len(device.seen) == 2 * 10  # 48 clips: nine batches and a filled one
    alone = SoftmaxRegression(1, device.w)
    for noise in (None, HUM.test):
        assert evaluate(device, CLIPS, FRONT_END, noise, batch=5) == evaluate(
            alone, CLIPS, FRONT_END, noise
        )


def test_clean_share_mixes_clean_utterances_in() -> None:
    device = SoftmaxRegression()
    spec = AdaptationSpec(epochs=1, clean_share=1.0, shift_ms=0, utterances_per_class=None)
    adapt(device, CLIPS, HUM.train, FRONT_END, spec)
    clean = {x.tobytes() for x in FRONT_END(CLIPS.samples)[:, None]}
    assert {x.tobytes() for x in device.seen} == clean


def test_progress_is_told_of_every_epoch() -> None:
    told: list[Epoch] = []
    spec = AdaptationSpec(epochs=3, utterances_per_class=1)
    result = adapt(SoftmaxRegression(), CLIPS, HUM.train, FRONT_END, spec, told.append)
    assert tuple(told) == result.epochs and [e.number for e in told] == [1, 2, 3]


def test_divergence_is_an_error_that_suggests_a_rate() -> None:
    class Explodes(SoftmaxRegression):
        def train(self, x: np.ndarray, y: np.ndarray, lr: float) -> float:
            return float("nan")

    with pytest.raises(BadOption, match=r"diverged in epoch 1 with lr=5(.|\n)*hint: lr=0.5"):
        adapt(Explodes(), CLIPS, HUM.train, FRONT_END, AdaptationSpec(lr=5.0))


@pytest.mark.parametrize(
    "fields", [{"epochs": 0}, {"lr": 0.0}, {"batch": 0}, {"clean_share": 1.5}, {"shift_ms": -1.0}]
)
def test_impossible_spec_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(BadOption):
        trained(AdaptationSpec(**fields))  # type: ignore[arg-type]


def test_survey_measures_clean_and_every_place() -> None:
    quiet = Place("hall", HUM.train, NoiseRecording("hall", 1e-3 * HUM.test.samples), "made")
    found = survey(trained(AdaptationSpec(epochs=2)), CLIPS, FRONT_END, [HUM, quiet], snr_db=5.0)
    assert [name for name, _ in found.places] == ["hum", "hall"]
    assert found.elsewhere("hum") == found.at("hall") and 0 <= found.clean <= 1
