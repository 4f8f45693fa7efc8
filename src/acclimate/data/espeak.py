# SPDX-License-Identifier: Apache-2.0
"""Speaks a list of words with espeak-ng: JSON orders on stdin, 16-bit samples on stdout.

`synthetic.py` runs this file as a program of its own, once per fold: the synthesizer keeps state
from word to word (even through its own restart), so only a new process repeats its samples exactly.
It must import nothing of acclimate, which would load torch.

An order is [voice, words per minute, pitch, text]. The answer is, per order, the number of samples
as little-endian int32, then the samples as little-endian int16, mono, 22 050 Hz.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys

SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: samples come by callback, no audio device, no thread
RATE, PITCH = 1, 3  # espeak_PARAMETER
CHARS_UTF8 = 1
SPOKEN_RATE_HZ = 22_050


class Synthesizer:
    """espeak-ng, started once; raises RuntimeError where a call fails."""

    def __init__(self) -> None:
        import espeakng_loader  # the extra acclimate[speech]

        self._spoken: list[bytes] = []
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        rate_hz = self._library.espeak_Initialize(SYNCHRONOUS, 0, data, 0)
        if rate_hz != SPOKEN_RATE_HZ:
            raise RuntimeError(f"espeak_Initialize gave {rate_hz}, not {SPOKEN_RATE_HZ}")
        # Starting seeds the breath of the voices with the clock.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        prototype = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self._callback = prototype(self._keep)  # held here, or it is freed under the library
        self._library.espeak_SetSynthCallback(self._callback)

    def _keep(self, wave: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
        if wave and count > 0:
            self._spoken.append(ctypes.string_at(wave, 2 * count))
        return 0

    def say(self, voice: str, words_per_minute: int, pitch: int, text: str) -> bytes:
        """Speaks one text; returns int16 samples."""
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise RuntimeError(f"no voice {voice!r}")
        self._library.espeak_SetParameter(RATE, words_per_minute, 0)
        self._library.espeak_SetParameter(PITCH, pitch, 0)
        self._spoken.clear()
        words = text.encode() + b"\0"
        size = ctypes.c_size_t(len(words))
        zero = ctypes.c_uint(0)
        if self._library.espeak_Synth(
            words, size, zero, 0, zero, ctypes.c_uint(CHARS_UTF8), None, None
        ):
            raise RuntimeError(f"cannot say {text!r}")
        return b"".join(self._spoken)


def main() -> None:
    """Reads every order, speaks them in turn, writes the samples."""
    orders = json.load(sys.stdin)
    synthesizer = Synthesizer()
    for voice, words_per_minute, pitch, text in orders:
        samples = synthesizer.say(voice, words_per_minute, pitch, text)
        sys.stdout.buffer.write(struct.pack("<i", len(samples) // 2) + samples)


if __name__ == "__main__":
    main()
