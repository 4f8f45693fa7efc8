# SPDX-License-Identifier: Apache-2.0
"""What the codecs and the noise recorder of the device modules do to recorded speech and noise.

    python benchmarks/device_modules.py [--words 60] [--snr 10]

Needs recordings (`acclimate data`): words of speakers that nobody has learned from, and the noises
of every place. A frame counts as speech if the word has more than a tenth of its mean power there.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numpy.typing import NDArray

from acclimate.data.clips import F32
from acclimate.data.source import SpeechSource, keyword_speech
from acclimate.device import Library, find_modules, load
from acclimate.device.noise.meaning import Settings, Status

_FRAME = Settings().frame
_SPEECH_SHARE = 0.1
S16 = NDArray[np.int16]


def pcm(samples: F32) -> S16:
    """Samples within -1 .. 1 as 16 bits."""
    return np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)


def decibels(x: S16, decoded: S16) -> float:
    """Signal to the noise that a codec adds."""
    error = ((decoded.astype(float) - x) ** 2).sum()
    return float(10.0 * np.log10((x.astype(float) ** 2).sum() / max(error, 1e-9)))


def adpcm(c: Library, x: S16) -> S16:
    """Through the encoder and the decoder."""
    encoder, decoder = c.new("ac_codec_adpcm"), c.new("ac_codec_adpcm")
    codes = [c.ac_codec_adpcm_encode(encoder, int(sample)) for sample in x]
    return np.array([c.ac_codec_adpcm_decode(decoder, code) for code in codes], np.int16)


def mulaw(c: Library, x: S16) -> S16:
    """Through the encoder and the decoder."""
    codes = [c.ac_codec_mulaw_encode(int(sample)) for sample in x]
    return np.array([c.ac_codec_mulaw_decode(code) for code in codes], np.int16)


def kept(c: Library, x: S16) -> NDArray[np.bool_]:
    """Which frames of a recording the recorder keeps; those in its warm-up count as kept."""
    settings, state = c.new("ac_noise_settings"), c.new("ac_noise")
    c.ac_noise_defaults(settings, _FRAME)
    frames = x[: len(x) // _FRAME * _FRAME].reshape(-1, _FRAME)
    ring = np.zeros(frames.size, np.int16)
    c.ac_noise_start(state, settings, ring, len(frames))
    found = [c.ac_noise_push(state, frame) for frame in frames]
    return np.array(found) != Status.VOICE


def report_codecs(c: Library, source: SpeechSource, words: int) -> None:
    """Signal to noise of words that were stored and read again."""
    clips = source.test_clips()
    chosen = np.random.default_rng(0).permutation(len(clips))[:words]
    for name, code in (("ADPCM", adpcm), ("mu-law", mulaw)):
        found = [decibels(x, code(c, x)) for x in map(pcm, clips.samples[chosen]) if x.any()]
        low, middle = np.quantile(found, (0.1, 0.5))
        print(f"{name}: {middle:.0f} dB in the middle, below {low:.0f} dB for one in ten")


def report_recorder(c: Library, source: SpeechSource, words: int, snr_db: float) -> None:
    """Which frames of a place are kept, with words over them and without."""
    clips = source.test_clips()
    chosen = np.random.default_rng(1).permutation(len(clips))[:words]
    speech = np.concatenate(clips.samples[chosen])
    print(f"place: kept of frames with speech at {snr_db:g} dB, of the others, without any speech")
    for place in source.noises.values():
        noise = np.resize(place.test.samples, speech.shape)
        gain = np.sqrt((speech**2).mean() / ((noise**2).mean() * 10.0 ** (snr_db / 10.0)))
        power = (speech[: len(speech) // _FRAME * _FRAME].reshape(-1, _FRAME) ** 2).mean(axis=1)
        voiced = power > _SPEECH_SHARE * power.mean()
        found, alone = kept(c, pcm(speech + gain * noise)), kept(c, pcm(place.test.samples))
        shares = found[voiced].mean(), found[~voiced].mean(), alone.mean()
        print(f"{place.name:20}" + "".join(f"{share:7.0%}" for share in shares))


def main() -> int:
    """Measures and prints; 1 without recordings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--snr", type=float, default=10.0)
    given = parser.parse_args()
    source = keyword_speech()
    print(source.description)
    if not source.recorded:
        print("this needs recordings: acclimate data says where they come from", file=sys.stderr)
        return 1
    c = load(*find_modules(["codec", "noise"]))
    report_codecs(c, source, given.words)
    report_recorder(c, source, given.words, given.snr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
