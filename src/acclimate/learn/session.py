# SPDX-License-Identifier: Apache-2.0
"""The exported firmware of a model (`NAME_firmware.c`), driven from Python on any device.

device = FirmwareDevice(firmware)            # modules adapt and listen, features=Mfcc()
device.store(3, pcm)
settings = device.defaults()
device.adapt(settings)
while device.report().phase:
    device.turn()
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acclimate.device import find_modules
from acclimate.device.adapt.plan import Did, Outcome, Phase
from acclimate.device.guard.meaning import Reason
from acclimate.device.noise.meaning import Status as NoiseStatus
from acclimate.device.utterances.meaning import Format, encoded_bytes
from acclimate.errors import BadOption
from acclimate.firmware import Firmware
from acclimate.simulate.host import HostDevice

S16 = NDArray[np.int16]
CLASSIFIED = 100  # what a turn did besides the codes of adapt.h
MODULES = ("adapt", "listen")
_NUMBERS = 13
_PARTS = ("microphone ring", "noise ring", "utterance", "features and scores", "index of words",
          "states of modules")  # fmt: skip


@dataclass(frozen=True)
class FlashSpec:
    """A flash memory in RAM: its size, what is erased at once, what is written at once [B]."""

    size: int
    sector: int = 4096
    grain: int = 8


@dataclass(frozen=True)
class Report:
    """What the firmware knows, as `NAME_firmware.h` explains it."""

    phase: Phase
    outcome: Outcome
    reason: Reason
    noise: NoiseStatus
    trained: int
    skipped: int
    disturbed: int
    answers: int
    right_old: int
    right_new: int
    windows: int
    missed: int
    words: int


class FirmwareDevice:
    """The firmware with its flash, on a device that was just switched on for the first time.

    Args:
        firmware: with the entry points features, predict and train.
        device: as for `Firmware.run`.
        words: that the flash has room for.

    Attributes:
        device: runs the C; its entry points must not be called in between.
        boot_status: of the store and the words: 1, nothing was ever saved.

    Raises:
        BadOption: the model is not for such a firmware.
    """

    def __init__(self, firmware: Firmware, device: str | None = None, words: int = 128) -> None:
        files = firmware.sources(modules=MODULES)
        if f"{firmware.program.name}_firmware.c" not in files:
            raise BadOption(
                f"{firmware.program.name} cannot get a firmware",
                found=f"entry points {', '.join(firmware.program.entries)}",
                hint="ac.compile(..., features=Mfcc(), entries=('predict', 'train'))",
            )
        self.firmware = firmware
        self.device = firmware.run(device, modules=MODULES)
        self._name = firmware.program.name
        self.samples = firmware.program.buffers["pcm"].size
        self.settings_type = find_modules(["adapt"])[0].header.types["ac_adapt_settings"]
        record = -(-(encoded_bytes(Format.ADPCM, self.samples) + 64) // 64) * 64
        header = files[f"{firmware.program.name}.h"].decode()
        checkpoint = int(re.findall(r"CHECKPOINT_BYTES (\d+)", header)[0])
        saved = -(-(checkpoint + 128) // 4096) * 4096
        self.model_flash = FlashSpec(2 * saved)
        self.sound_flash = FlashSpec(-(-words * record // 4096) * 4096)
        self._place()
        for at, flash in self._memories():
            self._memory[at : at + flash.size] = 0xFF
        self.boot_status = self.boot()

    def _place(self) -> None:
        """Where structs, samples and both memories lie."""
        sizes = {
            "model": 64, "sound": 64, "settings": 256, "numbers": 4 * _NUMBERS + 12,
            "pcm": 2 * self.samples + 32, "model memory": self.model_flash.size,
            "sound memory": self.sound_flash.size,
        }  # fmt: skip
        self._at: dict[str, int] = {}
        end = 0
        for name, size in sizes.items():
            self._at[name] = end
            end += -(-size // 16) * 16
        self._base, self._memory = self.device.reserve(end)

    def _memories(self) -> tuple[tuple[int, FlashSpec], ...]:
        return (
            (self._at["model memory"], self.model_flash),
            (self._at["sound memory"], self.sound_flash),
        )

    def _put(self, name: str, content: bytes) -> int:
        at = self._at[name]
        self._memory[at : at + len(content)] = np.frombuffer(content, np.uint8)
        return self._base + at

    def _call(self, function: str, *arguments: int) -> int:
        return self.device.call(f"{self._name}_firmware_{function}", *arguments)

    # ---- what the firmware does

    def boot(self) -> int:
        """Power on, with what the memories hold."""
        word = "Q" if isinstance(self.device, HostDevice) else "I"
        functions = [
            self.device.symbol(f"ac_flash_ram_{name}") for name in ("read", "write", "erase")
        ]
        places = []
        for name, (at, flash) in zip(("model", "sound"), self._memories(), strict=True):
            fields = (*functions, self._base + at, flash.size, flash.sector, flash.grain)
            places.append(self._put(name, struct.pack(f"<4{word}3I", *fields)))
        return self._call("boot", *places)

    def store(self, label: int, pcm: S16) -> int:
        """Stores a word pcm[samples]; 0, or a status of the log."""
        return self._call("store", label, self._put("pcm", pcm.astype("<i2").tobytes()))

    def hear(self, pcm: S16) -> None:
        """The microphone has pcm[count], at most an utterance."""
        self._call("hear", self._put("pcm", pcm.astype("<i2").tobytes()), len(pcm))

    def defaults(self) -> Any:
        """Settings of a session: an `ac_adapt_settings` to change."""
        at = self._put("settings", bytes(256))
        self._call("defaults", at)
        first = self._at["settings"]
        return self.settings_type.from_buffer_copy(self._memory[first : first + 256].tobytes())

    def adapt(self, settings: Any, now: int = 0) -> Did:
        """Begins a session."""
        return Did(self._call("adapt", self._put("settings", bytes(settings)), now))

    def turn(self, now: int = 0, energy_nj: int = 0) -> int:
        """One piece of work: a code of `Did`, or CLASSIFIED."""
        return self._call("turn", now, energy_nj)

    def report(self) -> Report:
        """What it knows."""
        self._call("report", self._base + self._at["numbers"])
        first = self._at["numbers"]
        numbers = np.frombuffer(self._memory[first : first + 4 * _NUMBERS].tobytes(), "<u4")
        phase, outcome, reason, noise, *counts = (int(n) for n in numbers)
        known = (Phase(phase), Outcome(outcome), Reason(reason), NoiseStatus(noise))
        return Report(*known, *counts)

    @property
    def learned(self) -> bytes:
        """All that learns, as it is in RAM now."""
        return b"".join(array.tobytes() for array in self.device.weights.values())

    def bytes_by_part(self) -> dict[str, int]:
        """RAM of the firmware by part [B]; that of the model is not among them."""
        self._call("bytes", self._base + self._at["numbers"])
        first = self._at["numbers"]
        sizes = np.frombuffer(self._memory[first : first + 4 * len(_PARTS)].tobytes(), "<u4")
        return {name: int(size) for name, size in zip(_PARTS, sizes, strict=True)}
