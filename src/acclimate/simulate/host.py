# SPDX-License-Identifier: Apache-2.0
"""The generated C on this machine, called through ctypes."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate.kernels.op import DTYPES, Array
from acclimate.program import Buffer, Program
from acclimate.simulate.device import Device, as_array

__all__ = ["HostDevice", "as_array"]

_C: Mapping[str, Any] = {
    "f32": ctypes.c_float,
    "s32": ctypes.c_int32,
    "s16": ctypes.c_int16,
    "u8": ctypes.c_uint8,
    "s8": ctypes.c_int8,
}
_ACCESS = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32
)


class HostDevice(Device):
    """A program built as a shared library. Every device has its own memory, also within a process.

    Args:
        program: what was built, with the initial values of its weights.
        library: shared library of it.
        lr: learning rate where `train` gets none.
    """

    def __init__(self, program: Program, library: Path, lr: float) -> None:
        self._library = _load_copy(library)
        super().__init__(program, lr)

    def _views(self) -> dict[str, Array]:
        return {b.name: self._view(b) for b in self.program.buffers.values() if b.role.persistent}

    def _view(self, buffer: Buffer) -> Array:
        kind = _C[buffer.dtype] * buffer.length
        array = kind.in_dll(self._library, f"{self.program.name}_{buffer.name}")
        return np.frombuffer(array, dtype=DTYPES[buffer.dtype]).reshape(buffer.array_shape)

    def _invoke(
        self, symbol: str, arguments: Sequence[Array | float], returns_float: bool
    ) -> float:
        function = getattr(self._library, symbol)
        function.restype = ctypes.c_float if returns_float else None
        passed = [
            ctypes.c_void_p(value.ctypes.data)
            if isinstance(value, np.ndarray)
            else ctypes.c_float(value)
            for value in arguments
        ]
        return float(function(*passed) or 0.0)

    def call(self, symbol: str, *arguments: int) -> int:
        """See `Device.call`."""
        function = getattr(self._library, symbol)
        function.restype = ctypes.c_int
        return int(function(*(ctypes.c_size_t(value) for value in arguments)))

    def reserve(self, size_bytes: int) -> tuple[int, npt.NDArray[np.uint8]]:
        """See `Device.reserve`."""
        self._reserved = np.zeros(size_bytes, np.uint8)
        return self._reserved.ctypes.data, self._reserved

    def symbol(self, name: str) -> int:
        """Address of a C function."""
        return int(ctypes.cast(getattr(self._library, name), ctypes.c_void_p).value or 0)

    def _save(self) -> bytes:
        content = bytearray()

        def write(_: Any, offset: int, data: int, size: int) -> int:
            piece = ctypes.string_at(data, size)
            content.extend(bytes(max(0, offset + size - len(content))))
            content[offset : offset + size] = piece
            return 0

        status = getattr(self._library, f"{self.program.name}_save")(_ACCESS(_safe(write)), None)
        if status:
            raise OSError(f"error {status}")
        return bytes(content)

    def _load(self, content: bytes) -> int:
        def read(_: Any, offset: int, data: int, size: int) -> int:
            piece = content[offset : offset + size]
            if len(piece) != size:
                return 1
            ctypes.memmove(data, piece, size)
            return 0

        load = getattr(self._library, f"{self.program.name}_load")
        return int(load(_ACCESS(_safe(read)), None))


def _safe(function: Any) -> Any:
    """An exception in a callback becomes an error code: it must not pass through C."""

    def guarded(*args: Any) -> int:
        try:
            return int(function(*args))
        except OSError:
            return 1

    return guarded


def _load_copy(library: Path) -> ctypes.CDLL:
    """Loads a private copy: loading the same file twice would share its memory."""
    with tempfile.NamedTemporaryFile(prefix="acclimate-", suffix=".so", delete=False) as file:
        copy = Path(file.name)
    try:
        shutil.copyfile(library, copy)
        return ctypes.CDLL(str(copy))
    finally:
        copy.unlink(missing_ok=True)
