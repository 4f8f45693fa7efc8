# SPDX-License-Identifier: Apache-2.0
"""The complete firmware in the demo: a microphone in, an adapted model out.

The exported C stores words, records the noise of a place, adapts while it goes on classifying,
lets the guard decide, saves, and boots again. It runs on this machine in simulated time: every turn
takes as many cycles as the same turn takes on the simulated cluster of GAP9.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import numpy as np
import torch
from numpy.typing import NDArray

import acclimate as ac
from acclimate.data import Mfcc, SpeechSource
from acclimate.data.clips import CLIP_SAMPLES, I64, choose_balanced
from acclimate.data.noise import QUIET
from acclimate.demo.results import STEPS_BEFORE_THE_CUT, FirmwareResult, Piece
from acclimate.device.adapt.plan import Did
from acclimate.errors import AcclimateError
from acclimate.firmware import Firmware
from acclimate.learn import CLEAN, Conditions, OneByOne, let_learn
from acclimate.learn.costs import measure_costs
from acclimate.learn.evaluation import heard
from acclimate.learn.session import CLASSIFIED, MODULES, FirmwareDevice
from acclimate.learn.timeline import Costs, SimulatedTime, Timeline
from acclimate.models.pretrained import load_dscnn_s_kws

LEARNED, HELD_OUT = 8, 2  # words per class
_CALIBRATION = 8  # words per class, of those that the network was trained with
_HOP = 4000  # samples from window to window: 250 ms
_ERASE_MS = 45.0  # of a sector, usual for NOR flash
_PIECES = {
    Did.READ: "read a word (ADPCM)", Did.MIXED: "mix it with the noise",
    Did.FEATURED: "features (MFCC)", Did.TRAINED: "forward, backward, update",
}  # fmt: skip
S16 = NDArray[np.int16]
Tell = Callable[[str], None]


class _PowerCut(Exception):
    """The device has no power."""


class FirmwareDemo:
    """The pretrained network as a firmware whose classifier learns, int8 in front of it.

    Args:
        source: of speech and noise.
        place: name of the noise.
        snr_db: speech against noise.
        per_class: words of each class that are learned.
    """

    def __init__(
        self, source: SpeechSource, place: str, snr_db: float, per_class: int = LEARNED
    ) -> None:
        self.noise, self.snr_db = source.place(place).train, snr_db
        rng = np.random.default_rng(0)
        clips = source.train_clips()
        chosen = choose_balanced(clips.labels, per_class + HELD_OUT + _CALIBRATION, rng)
        words, calibration = _shared_out(clips.labels[chosen], (HELD_OUT, per_class, _CALIBRATION))
        self.words = clips.take(chosen[words])
        self.held_out = HELD_OUT * len(np.unique(self.words.labels))
        self._calibration = clips.take(chosen[calibration])
        self._pool = source.pool()

    def compile(self, target: str) -> Firmware:
        """The firmware for a target; its int8 scales come from known words in known noises."""
        model, info = load_dscnn_s_kws()
        noises = [QUIET, *(place.train for place in self._pool)]
        every = [heard(self._calibration, info.front_end, n, snr_db=self.snr_db) for n in noises]
        x = np.concatenate([x[k :: len(every)] for k, x in enumerate(every)])
        example = (torch.zeros(1, *x.shape[1:]), torch.zeros(1, dtype=torch.long))
        return ac.compile(
            let_learn(model, ["fc1"]), example=example, target=target, name="kws",
            features=Mfcc.of(info.front_end), entries=("predict", "train"),
            quantize=ac.Int8(calibration=torch.from_numpy(x)),
        )  # fmt: skip

    def booted(self, firmware: Firmware) -> FirmwareDevice:
        """A device with the words in its flash; those that are held out come first."""
        device = FirmwareDevice(firmware, words=len(self.words))
        for label, pcm in zip(self.words.labels, _pcm(self.words.samples), strict=True):
            status = device.store(int(label), pcm)
            if status:
                raise AcclimateError("the firmware did not store a word", found=f"status {status}")
        return device

    def session(self, device: FirmwareDevice, costs: Costs, seed: int = 1) -> Timeline:
        """A whole adaptation in simulated time."""
        return self._time(device, costs).session(self._settings(device, seed))

    def cut(self, device: FirmwareDevice, costs: Costs) -> bool:
        """Cuts the power while it learns; True if it then boots as it was."""
        before, trained = device.learned, 0

        def step(did: int) -> None:
            nonlocal trained
            trained += did == Did.TRAINED
            if trained == STEPS_BEFORE_THE_CUT:
                raise _PowerCut

        try:
            self._time(device, costs).session(self._settings(device, 2), step=step)
        except _PowerCut:
            assert device.learned != before
        device.device.reset()
        return device.boot() == 0 and device.learned == before

    def _time(self, device: FirmwareDevice, costs: Costs) -> SimulatedTime:
        (sound,) = _pcm(self.noise.samples[None])
        return SimulatedTime(device, sound, costs, _HOP)

    def _settings(self, device: FirmwareDevice, seed: int) -> object:
        settings = device.defaults()
        settings.held_out, settings.seed = self.held_out, seed
        settings.snr_low_db = settings.snr_high_db = self.snr_db
        return settings

    def costs(self, firmware: Firmware) -> Costs:
        """Cycles of every turn, of a short session on the simulated chip.

        No piece depends on what is heard, so it hears noise that is never taken for a voice.
        """
        words = [(int(self.words.labels[k]), _pcm(self.words.samples[k])) for k in (0, -1)]
        noise = np.random.default_rng(0).standard_normal(3 * CLIP_SAMPLES)
        sound = (300 * noise).astype(np.int16)
        return measure_costs(firmware, words, sound, erase_ms=_ERASE_MS)


@dataclass(frozen=True)
class Chip:
    """The firmware for a chip, and how long it takes there; without costs nothing takes time.

    The chip is simulated while this machine does other work: a thread waits for it.
    """

    firmware: Firmware
    costs: Future[Costs] | None = None

    @staticmethod
    def simulated(demo: FirmwareDemo, target: str = "gap9") -> Chip:
        """Begins to simulate; an interrupt does not wait for the end of it."""
        firmware, costs = demo.compile(target), Future[Costs]()

        def run() -> None:
            try:
                costs.set_result(demo.costs(firmware))
            except BaseException as error:  # NOTE: raised where the result is asked for
                costs.set_exception(error)

        Thread(target=run, daemon=True).start()
        return Chip(firmware, costs)

    def taken(self) -> Costs:
        """Waits for the costs."""
        if self.costs is None:
            return Costs({}, self.firmware.target.clock_hz or 1.0)
        return self.costs.result()


def run_firmware(
    demo: FirmwareDemo, chip: Chip, tests: Conditions, out: Path, tell: Tell
) -> FirmwareResult:
    """Adapts by the exported firmware, cuts its power, boots it, and tests what it has become.

    Args:
        demo: the network and its place.
        chip: whose time passes.
        tests: utterances without noise and in the place.
        out: folder for the C.
        tell: told what is done.
    """
    tell("firmware: waits for the simulated chip")
    costs, simulated = chip.taken(), chip.firmware
    demo.compile("portable").export(out, modules=MODULES)
    device = demo.booted(demo.compile("host"))
    before = tests.survey(OneByOne(device.device))
    tell("firmware: adapts")
    found = demo.session(device, costs)
    report = found.report
    assert report is not None
    device.device.reset()
    device.boot()
    after = tests.survey(OneByOne(device.device))
    tell("firmware: power cut")
    recovers = demo.cut(device, costs)
    ram = {
        "arena": simulated.plan.arena_bytes,
        "weights and tables": sum(simulated.plan.static_bytes.values()),
        **device.bytes_by_part(),
    }
    pieces = [(name, costs.cycles[did]) for did, name in _PIECES.items() if did in costs.cycles]
    ms, uj = 1e3 / costs.clock_hz, costs.energy_nj(1_000_000) / 1e9  # of a cycle
    return FirmwareResult(
        chip=simulated.target.machine,
        accuracy={place: (one, after.at(place)) for place, one in before.places}
        | {CLEAN: (before.clean, after.clean)},
        words=len(demo.words) - demo.held_out,
        held_out=demo.held_out,
        steps=report.trained,
        outcome=report.outcome.name,
        right_before=report.right_old,
        right_after=report.right_new,
        scored=report.answers,
        seconds=found.seconds,
        energy_mj=found.energy_mj,
        phases=tuple((phase.name, at) for phase, at in found.phases),
        windows=found.turns[CLASSIFIED],
        missed=report.missed,
        latest_ms=found.latest_ms,
        pieces=tuple(Piece(name, n, n * ms, n * uj) for name, n in pieces),
        ram=ram,
        survives_power_cut=recovers,
    )


def _shared_out(labels: I64, parts: tuple[int, int, int]) -> tuple[I64, I64]:
    """Positions by class: first those held out and those learned, in that order; then the rest."""
    held, learned, rest = [], [], []
    for label in np.unique(labels):
        at = np.flatnonzero(labels == label)
        a, b = parts[0], parts[0] + parts[1]
        held.append(at[:a])
        learned.append(at[a:b])
        rest.append(at[b:])
    return np.concatenate(held + learned), np.concatenate(rest)


def _pcm(samples: NDArray[np.float32]) -> S16:
    return np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)
