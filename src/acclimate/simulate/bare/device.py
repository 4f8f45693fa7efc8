# SPDX-License-Identifier: Apache-2.0
"""A program in the memory of a simulated microcontroller."""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from acclimate.kernels.op import DTYPES, Array
from acclimate.program import Program
from acclimate.simulate.bare.image import Image
from acclimate.simulate.device import Device

_ALIGN = 16
_WINDOW = struct.Struct("<III")  # ac_window of runtime/window.c: address, size, end


class FloatBits(int):
    """The bits of a `float` argument: only a device with hard-float calls looks at the class."""

    @classmethod
    def of(cls, value: float) -> FloatBits:
        """The bits of a number."""
        return cls(int(np.float32(value).view(np.uint32)))


class BareDevice(Device):
    """A program in the memory of a simulated microcontroller.

    A kind of processor loads `image`, defines the three functions below, and calls this
    constructor when its memory is there.

    Args:
        program: what was built, with the initial values of its weights.
        image: ELF of it, made with `build_image`.
        lr: learning rate where `train` gets none.
    """

    image: Image

    def __init__(self, program: Program, image: Path | Image, lr: float) -> None:
        self.image = image if isinstance(image, Image) else Image(image)
        self._load_image()
        super().__init__(program, lr)

    # ---- what a kind of processor defines

    def _load_image(self) -> None:
        """Copies the segments into memory."""
        for segment in self.image.segments:
            view = self._memory(segment.address, segment.size_bytes)
            view[...] = 0
            view[: len(segment.data)] = np.frombuffer(segment.data, np.uint8)

    @abstractmethod
    def _memory(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        """The simulated memory itself: writing to the array writes to it."""

    @abstractmethod
    def _call(self, address: int, arguments: Sequence[int], returns_float: bool) -> int:
        """Calls the function at an address and returns the first word of its result.

        Arguments are 32-bit words, at most as many as the processor has argument registers or
        with the rest on the stack; those of class `FloatBits` are of the C type `float`.
        `returns_float` says that the result is a `float`, of which the bits are returned.
        """

    @abstractmethod
    def _scratch(self, size: int) -> int:
        """Address of memory for inputs and outputs, aligned to 16 bytes, until the next call."""

    # ---- what follows from it

    def _views(self) -> dict[str, Array]:
        return {
            b.name: self._memory(self.image.symbol(f"{self.program.name}_{b.name}"), b.size_bytes)
            .view(DTYPES[b.dtype])
            .reshape(b.array_shape)
            for b in self.program.buffers.values()
            if b.role.persistent
        }

    def _invoke(
        self, symbol: str, arguments: Sequence[Array | float], returns_float: bool
    ) -> float:
        arrays = [value for value in arguments if isinstance(value, np.ndarray)]
        sizes = [-(-array.nbytes // _ALIGN) * _ALIGN for array in arrays]
        at = self._scratch(sum(sizes))
        words: list[int] = []
        places = []
        for value in arguments:
            if isinstance(value, np.ndarray):
                places.append(self._memory(at, value.nbytes).view(value.dtype))
                places[-1][...] = value.reshape(-1)
                words.append(at)
                at += sizes[len(places) - 1]
            else:
                words.append(FloatBits.of(value))
        result = self._call(self.image.symbol(symbol), words, returns_float)
        for array, place in zip(arrays, places, strict=True):
            if array.flags.writeable:
                array[...] = place.reshape(array.shape)
        return float(np.uint32(result).view(np.float32)) if returns_float else 0.0

    def call(self, symbol: str, *arguments: int) -> int:
        """See `Device.call`."""
        return (self._call(self.symbol(symbol), arguments, False) ^ 0x80000000) - 0x80000000

    def reserve(self, size_bytes: int) -> tuple[int, npt.NDArray[np.uint8]]:
        """See `Device.reserve`."""
        address = self._scratch(size_bytes)
        return address, self._memory(address, size_bytes)

    def symbol(self, name: str) -> int:
        """Address of a C function."""
        return self.image.symbol(name)

    def _save(self) -> bytes:
        capacity = 64 + sum(b.size_bytes for b in self.program.buffers.values())
        status, written = self._through_window("save", "write", bytes(capacity))
        if status:
            raise OSError(f"error {status}")
        return written

    def _load(self, content: bytes) -> int:
        return self._through_window("load", "read", content)[0]

    def _through_window(self, function: str, access: str, content: bytes) -> tuple[int, bytes]:
        """Calls `save` or `load` with a window that holds `content`.

        Returns:
            The status, and what the window holds up to the last byte that was written.
        """
        base = self._scratch(_ALIGN + len(content))
        self._memory(base, _WINDOW.size)[...] = np.frombuffer(
            _WINDOW.pack(base + _ALIGN, len(content), 0), np.uint8
        )
        data = self._memory(base + _ALIGN, len(content))
        data[...] = np.frombuffer(content, np.uint8)
        status = self._call(
            self.image.symbol(f"{self.program.name}_{function}"),
            [self.image.symbol(f"ac_window_{access}"), base],
            False,
        )
        _, _, end = _WINDOW.unpack(self._memory(base, _WINDOW.size).tobytes())
        return (status ^ 0x80000000) - 0x80000000, data[:end].tobytes()
