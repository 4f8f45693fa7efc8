# SPDX-License-Identifier: Apache-2.0
"""What codec.c computes, in NumPy, integer for integer."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

# Each step is 1.1 times the one before; the values that rounding does not give are IMA's table.
STEPS = (
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66,
    73, 80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449,
    494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272,
    2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493, 10442,
    11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
)  # fmt: skip
BLOCK = 256  # samples between two states in a stream
_MOVES = (-1, -1, -1, -1, 2, 4, 6, 8)


class Adpcm:
    """Where a stream stands: the last sample as decoded, and the index of the step."""

    def __init__(self, predicted: int = 0, index: int = 0) -> None:
        self.predicted, self.index = predicted, min(index, len(STEPS) - 1)

    def decode(self, code: int) -> int:
        """The next sample of a code 0 .. 15."""
        step = STEPS[self.index]
        change = (step >> 3) + sum(step >> shift for shift in range(3) if code & (4 >> shift))
        sample = self.predicted + (-change if code & 8 else change)
        self.predicted = min(max(sample, -32768), 32767)
        self.index = min(max(self.index + _MOVES[code & 7], 0), len(STEPS) - 1)
        return self.predicted

    def encode(self, sample: int) -> int:
        """The code of the next sample."""
        step, left = STEPS[self.index], abs(sample - self.predicted)
        code = 8 if sample < self.predicted else 0
        for shift in range(3):
            if left >= step >> shift:
                left -= step >> shift
                code |= 4 >> shift
        self.decode(code)
        return code


def adpcm_unpack(encoded: bytes, count: int) -> NDArray[np.int16]:
    """x[count] of blocks: predicted (2 B), index, 0, then two codes to a byte, low bits first."""
    samples: list[int] = []
    step = 4 + BLOCK // 2
    for first in range(0, len(encoded), step):
        predicted, index = struct.unpack_from("<hB", encoded, first)
        state = Adpcm(predicted, index)
        block = encoded[first + 4 : first + step]
        samples += [state.decode(code) for byte in block for code in (byte & 15, byte >> 4)]
    return np.array(samples[:count], np.int16)


def mulaw_encode(x: NDArray[np.int16]) -> NDArray[np.uint8]:
    """G.711 mu-law codes of samples."""
    wide = x.astype(np.int32)
    size = np.minimum(np.abs(wide), 32635) + 132
    segment = np.floor(np.log2(size)).astype(np.int32) - 7
    code = np.where(wide < 0, 0x80, 0) | segment << 4 | (size >> (segment + 3)) & 15
    return np.asarray(~code & 0xFF, dtype=np.uint8)


def mulaw_decode(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Samples of G.711 mu-law codes."""
    bits = ~codes.astype(np.int32) & 0xFF
    size = (((bits & 15) << 3) + 132 << (bits >> 4 & 7)) - 132
    return np.asarray(np.where(bits & 0x80, -size, size), dtype=np.int16)
