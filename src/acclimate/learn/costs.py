# SPDX-License-Identifier: Apache-2.0
"""Cycles of every piece of an adaptation, measured by a short session on a simulated device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from acclimate.device.adapt.plan import Did, Phase
from acclimate.errors import BadOption
from acclimate.firmware import Firmware
from acclimate.learn.session import CLASSIFIED, FirmwareDevice
from acclimate.learn.timeline import Costs

S16 = NDArray[np.int16]


def measure_costs(
    firmware: Firmware,
    words: Sequence[tuple[int, S16]],
    noise: S16,
    *,
    frames: int = 60,
    erase_ms: float = 0.0,
    progress: Callable[[str], None] | None = None,
) -> Costs:
    """Runs one word through a whole session, eight times, and classifies one window.

    What mixing costs depends on the shift, which is drawn each time.

    Args:
        firmware: for a device that counts cycles.
        words: label and pcm[samples]: the first is held out, the second learned.
        noise: that the microphone hears; at least a window more than `frames` of it.
        frames: of noise that are recorded, enough for two utterances.
        erase_ms: of a sector of the flash, which is not simulated.
        progress: told what was done.

    Returns:
        The most cycles that each kind of turn took.

    Raises:
        BadOption: the device counts no cycles.
    """
    chip = firmware.target
    device = FirmwareDevice(firmware, words=len(words))
    if not hasattr(device.device, "cycles") or not chip.clock_hz:
        raise BadOption(f"{chip.name} counts no cycles", hint="target='gap9'")
    found: dict[int, int] = defaultdict(int)
    for label, pcm in words:
        assert device.store(label, pcm) == 0
    settings = device.defaults()
    settings.held_out, settings.epochs, settings.score_clean = 1, 8, 0
    settings.heard_frames, settings.held_out_noise, settings.clean_share = frames, 0, 0.0
    settings.noise.shortest, settings.limits.margin = 1, -1.0
    frame, heard = settings.noise.frame, 0

    def turn() -> int:
        did = device.turn()
        found[did] = max(found[did], int(device.device.cycles))  # type: ignore[attr-defined]
        if progress is not None:
            progress(f"{did}: {found[did]:,} cycles")
        return did

    assert device.adapt(settings) == Did.NOTHING
    while device.report().phase != Phase.IDLE:
        if device.report().phase == Phase.RECORDING and heard < frames:
            device.hear(noise[heard * frame : (heard + 1) * frame])
            heard += 1
        turn()
    # Enough for a window is there now, if the recording did not bring one.
    at = heard * frame
    while found[CLASSIFIED] == 0:
        device.hear(noise[at : at + frame])
        at += frame
        turn()
    found.pop(Did.NOTHING, None)
    power = chip.energy_uj(chip.clock_hz)  # of a second: uW
    source = f"{chip.name}, simulated cycle by cycle"
    return Costs(dict(found), chip.clock_hz, (power or 0.0) / 1000, erase_ms, source)
