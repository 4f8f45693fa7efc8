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

from acclimate.cache import replacing
from acclimate.errors import BadExample, BadOption, BadOutput, CorruptFile
from acclimate.kernels.op import DTYPES, Array
from acclimate.program import Buffer, Program, Role
from acclimate.simulate.device import ArrayLike, as_array, data_buffers

_C: Mapping[str, Any] = {"f32": ctypes.c_float, "s32": ctypes.c_int32, "u8": ctypes.c_uint8}
_ACCESS = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32
)
_LOAD_ERRORS = {
    -1: ("is not a checkpoint or is truncated", "save it again with device.save(path)"),
    -2: ("belongs to another model or another version of it", "compile that model again"),
    -3: ("is damaged: its checksum does not match", "use an older copy"),
}


class HostDevice:
    """A program built as a shared library. Every device has its own memory, also within a process.

    Args:
        program: what was built, with the initial values of its weights.
        library: shared library of it.
        lr: learning rate where `train` gets none.
    """

    def __init__(self, program: Program, library: Path, lr: float) -> None:
        self.program = program
        self.lr = lr
        self._library = _load_copy(library)
        self._buffers = {
            b.name: self._view(b) for b in program.buffers.values() if b.role.persistent
        }
        self.reset()

    def _view(self, buffer: Buffer) -> Array:
        kind = _C[buffer.dtype] * buffer.size
        array = kind.in_dll(self._library, f"{self.program.name}_{buffer.name}")
        return np.frombuffer(array, dtype=DTYPES[buffer.dtype]).reshape(buffer.shape)

    def reset(self, seed: int | None = None) -> None:
        """Back to the weights and states at compile time; `seed` is for dropout."""
        for name, array in self._buffers.items():
            array[...] = self.program.values[name].reshape(array.shape)
        if seed is not None and "random_seed" in self._buffers:
            self._buffers["random_seed"][...] = seed

    @property
    def weights(self) -> Mapping[str, Array]:
        """Parameters and running statistics by the user's names: views, not copies."""
        return {
            b.path: self._buffers[b.name]
            for b in self.program.buffers.values()
            if b.role in (Role.PARAMETER, Role.FROZEN, Role.STATISTIC)
        }

    @property
    def state(self) -> Mapping[str, Array]:
        """All static memory by C name: parameters, optimizer state, gradient sums."""
        return dict(self._buffers)

    # ---- entry points

    def _call(
        self, entry: str, data: Sequence[ArrayLike], lr: float | None
    ) -> tuple[float, list[Array]]:
        if entry not in self.program.entries:
            wanted_entries = ", ".join(map(repr, (*self.program.entries, entry)))
            raise BadOption(
                f"{self.program.name} has no entry point {entry!r}",
                found=", ".join(self.program.entries),
                hint=f"ac.compile(..., entries=({wanted_entries}))",
            )
        interface = self.program.interface(entry)
        wanted = data_buffers(interface)
        if len(data) != len(wanted):
            names = ", ".join(b.name for b in wanted) or "nothing"
            raise BadExample(f"{entry} takes {names}; {len(data)} arrays were given")
        arrays = {b.name: as_array(value, b) for b, value in zip(wanted, data, strict=True)}
        outputs: list[Array] = []
        arguments: list[Any] = []
        for b in interface:
            if b.role is Role.SCALAR:
                arguments.append(ctypes.c_float(self.lr if lr is None else lr))
            elif b.name == "loss":
                continue
            else:
                if b.role is Role.OUTPUT:
                    arrays[b.name] = np.empty(b.shape, DTYPES[b.dtype])
                    outputs.append(arrays[b.name])
                arguments.append(ctypes.c_void_p(arrays[b.name].ctypes.data))
        function = getattr(self._library, f"{self.program.name}_{entry}")
        function.restype = ctypes.c_float if any(b.name == "loss" for b in interface) else None
        return float(function(*arguments) or 0.0), outputs

    def predict(self, *inputs: ArrayLike) -> Any:
        """Outputs for inputs.

        Args:
            inputs: arrays or tensors of the shape of the example, or with a multiple of its batch
                in front: then the batches are computed one after the other.

        Returns:
            One array, or a tuple of them for a model with several outputs.
        """
        wanted = data_buffers(self.program.interface("predict"))
        parts = _batches(inputs, wanted)
        results = [self._call("predict", part, None)[1] for part in parts]
        joined = [
            np.concatenate(outputs) if len(parts) > 1 else outputs[0]
            for outputs in zip(*results, strict=True)
        ]
        return joined[0] if len(joined) == 1 else tuple(joined)

    def train(self, *data: ArrayLike, lr: float | None = None) -> float:
        """One step on one batch: inputs, then targets. Returns the loss before the update."""
        return self._call("train", data, lr)[0]

    def accumulate(self, *data: ArrayLike) -> float:
        """Adds the gradients of one batch to the sums. Returns its loss."""
        return self._call("accumulate", data, None)[0]

    def apply(self, lr: float | None = None) -> None:
        """Updates with the mean of the accumulated gradients and clears them."""
        self._call("apply", (), lr)

    # ---- checkpoints

    def save(self, path: str | Path) -> None:
        """Writes parameters, optimizer state and gradient sums, as the C function does on a device.

        Raises:
            BadOutput: the file cannot be written; an older one at this place stays as it was.
        """
        path = Path(path)
        try:
            with replacing(path) as temporary, temporary.open("wb") as file:

                def write(_: Any, offset: int, data: int, size: int) -> int:
                    file.seek(offset)
                    return int(file.write(ctypes.string_at(data, size)) != size)

                status = getattr(self._library, f"{self.program.name}_save")(
                    _ACCESS(_safe(write)), None
                )
                if status:
                    raise OSError(f"error {status}")
        except OSError as error:
            raise BadOutput(
                f"cannot write {path.name}", found=str(error), hint="check space and rights"
            ) from error

    def load(self, path: str | Path) -> None:
        """Reads a checkpoint.

        Raises:
            CorruptFile: truncated, damaged, or of another program; nothing has changed then.
        """
        path = Path(path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CorruptFile(f"cannot read {path.name}", found=str(error)) from error

        def read(_: Any, offset: int, data: int, size: int) -> int:
            piece = content[offset : offset + size]
            if len(piece) != size:
                return 1
            ctypes.memmove(data, piece, size)
            return 0

        status = getattr(self._library, f"{self.program.name}_load")(_ACCESS(_safe(read)), None)
        if status:
            what, hint = _LOAD_ERRORS.get(
                status, (f"cannot be read: error {status}", "check the file")
            )
            raise CorruptFile(f"{path.name} {what}", found=f"{len(content)} bytes", hint=hint)


def _safe(function: Any) -> Any:
    """An exception in a callback becomes an error code: it must not pass through C."""

    def guarded(*args: Any) -> int:
        try:
            return int(function(*args))
        except OSError:
            return 1

    return guarded


def _batches(inputs: Sequence[ArrayLike], wanted: Sequence[Buffer]) -> list[tuple[Any, ...]]:
    """Splits inputs that hold several batches."""
    if len(inputs) != len(wanted):
        return [tuple(inputs)]
    counts = {
        len(x) // b.shape[0]
        for x, b in zip(inputs, wanted, strict=True)
        if b.shape and getattr(x, "shape", ())[1:] == b.shape[1:] and len(x) % b.shape[0] == 0
    }
    count = counts.pop() if len(counts) == 1 else 1
    if count <= 1:
        return [tuple(inputs)]
    sizes = [b.shape[0] for b in wanted]
    return [
        tuple(x[i * n : (i + 1) * n] for x, n in zip(inputs, sizes, strict=True))
        for i in range(count)
    ]


def _load_copy(library: Path) -> ctypes.CDLL:
    """Loads a private copy: loading the same file twice would share its memory."""
    with tempfile.NamedTemporaryFile(prefix="acclimate-", suffix=".so", delete=False) as file:
        copy = Path(file.name)
    try:
        shutil.copyfile(library, copy)
        return ctypes.CDLL(str(copy))
    finally:
        copy.unlink(missing_ok=True)
