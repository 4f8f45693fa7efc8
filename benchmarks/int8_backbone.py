# SPDX-License-Identifier: Apache-2.0
"""The frozen int8 backbone with a float classifier: accuracy, and cycles of a step that trains it.

    python benchmarks/int8_backbone.py accuracy             # pretrained DS-CNN-S, needs recordings
    python benchmarks/int8_backbone.py cycles [S M L] [--target gap9] [--float]

Accuracy is that of fold 3 of Speech Commands, whose speakers and noises nobody has learned from or
calibrated on, clean and at 0 dB in every place. A step is the forward pass of DS-CNN and the
update of fc1, batch 1, on the simulated cluster.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor

import acclimate as ac
from acclimate.data.mixing import MixSpec, mix_clips
from acclimate.data.noise import QUIET
from acclimate.data.source import SpeechSource, keyword_speech
from acclimate.errors import DataError
from acclimate.learn import learning_step, survey
from acclimate.models import DSCNN
from acclimate.models.pretrained import KwsCheckpoint, load_dscnn_s_kws

CALIBRATION = 256  # utterances
BATCH = 64
PUBLISHED_MS = {"S": 10.89, "M": 24.16, "L": 55.04}  # Cioflan, slide deck: GAP9 at 240 MHz


def calibration(source: SpeechSource, info: KwsCheckpoint) -> Tensor:
    """Utterances of the training speakers, a quarter clean and the others in noise of the pool."""
    rng = np.random.default_rng(0)
    clips = source.train_clips()
    clips = clips.take(rng.permutation(len(clips))[:CALIBRATION])
    places = [place.train for place in source.pool()]
    noises = [QUIET] * (len(places) // 3) + places
    mixed = mix_clips(clips.samples, clips.labels, noises, MixSpec(0.0, 10.0, 100.0), rng)
    return torch.from_numpy(info.front_end(mixed))


def accuracy() -> None:
    """Prints accuracies of the C on the host, in floats and with the int8 backbone."""
    source = keyword_speech()
    if not source.recorded:
        raise DataError("accuracy needs recordings", hint="acclimate data get speech-commands")
    model, info = load_dscnn_s_kws()
    x = torch.zeros(BATCH, 1, 49, 10)
    schemes = {"float": None, "int8": ac.Int8(calibration(source, info))}
    clips, found = source.test_clips(), {}
    for name, scheme in schemes.items():
        device = learning_step(model, ["fc1"], x, scheme=scheme).run()
        places = source.noises.values()
        found[name] = survey(device, clips, info.front_end, places, batch=BATCH)
    print(f"{len(clips)} clips of fold 3     float    int8   points")
    rows = [("clean", *(f.clean for f in found.values()))]
    rows += [
        (f"{name} 0 dB", value, found["int8"].at(name)) for name, value in found["float"].places
    ]
    rows.append(("mean", *(float(np.mean([row[n] for row in rows])) for n in (1, 2))))
    for name, exact, integer in rows:
        print(f"{name:24} {exact:7.1%} {integer:7.1%} {100 * (integer - exact):+8.2f}")


def cycles(sizes: list[str], target: str, also_float: bool) -> None:
    """Prints cycles of a step."""
    print("step                 cycles      ms  published ms   loss")
    for size in sizes:
        torch.manual_seed(0)
        model, x = DSCNN(size), torch.randn(CALIBRATION // 8, 1, 49, 10)
        for name, scheme in (("int8", ac.Int8(x)), ("float", None)):
            if scheme is None and not also_float:
                continue
            begin = time.monotonic()
            firmware = learning_step(model, ["fc1"], x[:1], target=target, scheme=scheme)
            device = firmware.run()
            loss = device.train(x[:1], torch.zeros(1, dtype=torch.long))
            counted: int = device.cycles  # type: ignore[attr-defined]  # a cluster counts them
            ms = 1000 * counted / (firmware.target.clock_hz or 1)
            row = f"DS-CNN-{size} {name:6} {counted:12,} {ms:7.3f} {PUBLISHED_MS[size]:13}"
            print(f"{row} {loss:6.3f}   ({time.monotonic() - begin:.0f} s)", flush=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("accuracy", "cycles"))
    parser.add_argument("sizes", nargs="*", default=["S", "M", "L"])
    parser.add_argument("--target", default="gap9")
    parser.add_argument("--float", action="store_true", help="the same step in floats as well")
    given = parser.parse_args()
    if given.what == "accuracy":
        accuracy()
    else:
        cycles(given.sizes, given.target, given.float)


if __name__ == "__main__":
    main()
