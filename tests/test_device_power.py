# SPDX-License-Identifier: Apache-2.0
"""Power fails at every write and erase of the life of a device: words, sessions, their saves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from acclimate.device.adapt.plan import Outcome, Phase, Plan
from acclimate.device.flash.meaning import Flash
from power import FailingFlash, PowerFailed, Torn, garbage, prefix, some_bits
from session import LIMITS, NOISE, S16, Device, Linear, T, hiss, words

SECTOR, GRAIN, MODEL_BYTES, SOUND_BYTES = 512, 8, 1024, 8192
STORED = words(20)
ADPCM = 1
PLAN = Plan(
    held_out=8, epochs=2, lr=0.05, held_out_noise=T, heard_frames=24, snr_high_db=6.0, seed=5,
    piece_bytes=50, noise=NOISE, limits=LIMITS,
)  # fmt: skip


@dataclass
class Part(Flash):
    """A part of a memory that others share, so that power fails for all at once."""

    whole: FailingFlash | None = None
    first: int = 0

    def __post_init__(self) -> None:
        assert self.whole is not None

    def read(self, at: int, size: int) -> bytes:
        assert self.whole is not None and at + size <= self.size
        return self.whole.read(self.first + at, size)

    def write(self, at: int, data: bytes) -> None:
        assert self.whole is not None and at + len(data) <= self.size
        self.whole.write(self.first + at, data)

    def erase(self, at: int, size: int) -> None:
        assert self.whole is not None and at + size <= self.size
        self.whole.erase(self.first + at, size)


def boot(memory: FailingFlash, seed: int) -> Device:
    """Power on: the program begins with the weights that it was made with."""
    model_flash = Part(MODEL_BYTES, SECTOR, GRAIN, whole=memory, first=0)
    sound_flash = Part(SOUND_BYTES, SECTOR, GRAIN, whole=memory, first=MODEL_BYTES)
    device = Device(Linear(), model_flash, sound_flash, hiss(24, seed), format=ADPCM)
    device.boot()
    return device


def fill(device: Device) -> None:
    """Stores the words that are not there yet."""
    if device.log.count == 0 or device.append(STORED[device.log.count :]):
        device.c.ac_utterances_clear(device.log)
        device.append(STORED)


def live(memory: FailingFlash) -> list[tuple[int, bytes]]:
    """Words and two sessions. The models that were saved, after how many writes."""
    device = boot(memory, 1)
    models = [(0, device.model.save())]
    fill(device)
    for seed in (1, 2):
        device.frames = hiss(24, seed)
        device.run(replace(PLAN, seed=seed))
        if memory.off:
            raise PowerFailed
        assert device.outcome == Outcome.ADAPTED
        models.append((memory.writes, device.model.save()))
    return models


def stored_words(device: Device) -> list[tuple[int, S16]]:
    """What the log has."""
    entry = device.c.header.types["ac_utterances_entry"] * 64
    index = entry.from_buffer(device.index)
    found, pcm = [], np.zeros(T, np.int16)
    for number in range(device.log.count):
        if device.c.ac_utterances_read_s16(device.log, number, pcm, T) == 0:
            found.append((index[number].label, pcm.copy()))
    return found


def assert_recovers(memory: FailingFlash, allowed: set[bytes], known: list[S16]) -> None:
    """Boots one of these models, its words are whole, and a new session runs to its end."""
    device = boot(memory, 3)
    assert device.model.save() in allowed
    for number, (label, sound) in enumerate(stored_words(device)):
        assert label == STORED[number][0] and (sound == known[number]).all()
    before = device.model.save()
    fill(device)
    assert device.log.count == len(STORED)
    device.run(PLAN)
    assert device.outcome in (Outcome.ADAPTED, Outcome.ROLLED_BACK)
    assert (device.model.save() == before) == (device.outcome == Outcome.ROLLED_BACK)
    again = boot(memory, 3)
    assert again.model.save() == device.model.save()


@pytest.mark.parametrize("torn", [prefix(0), prefix(5), some_bits(1), garbage(2)])
def test_every_cut_of_a_whole_life_recovers(torn: Torn, capsys: pytest.CaptureFixture[str]) -> None:
    memory = FailingFlash(MODEL_BYTES + SOUND_BYTES, SECTOR, GRAIN)
    models = live(memory)
    known = [sound for _, sound in stored_words(boot(memory, 1))]
    assert len({content for _, content in models}) == 3, "each session changed the model"
    recovered = 0
    for cut in range(memory.writes):
        failing = FailingFlash(MODEL_BYTES + SOUND_BYTES, SECTOR, GRAIN, cut=cut, torn=torn)
        with pytest.raises((PowerFailed, AssertionError)):
            live(failing)
        assert failing.off and failing.writes == cut + 1
        old = max(content_at for content_at in models if content_at[0] <= cut)[1]
        new = next(content for writes, content in models if writes > cut)
        assert_recovers(failing.rebooted(), {old, new}, known)
        recovered += 1
    with capsys.disabled():
        print(f"\n{recovered} of {memory.writes} cut points recover", end="")
    assert recovered == memory.writes > 400


@pytest.mark.parametrize("after", [0, 1, 5, 30, 100, 150])
def test_power_that_fails_between_writes_costs_what_was_learned_and_no_more(after: int) -> None:
    """RAM is lost in any phase, with no write under way."""
    memory = FailingFlash(MODEL_BYTES + SOUND_BYTES, SECTOR, GRAIN)
    device = boot(memory, 1)
    fill(device)
    device.run(PLAN)
    good = device.model.save()
    device.frames = hiss(24, 2)
    device.start(PLAN)
    for _ in range(after):
        device.step()
    assert device.state.phase not in (Phase.IDLE, Phase.SAVING)
    assert boot(memory, 1).model.save() == good
