# SPDX-License-Identifier: Apache-2.0
"""What every simulated or real device can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate.cache import replacing
from acclimate.errors import BadExample, BadOption, BadOutput, CorruptFile
from acclimate.kernels.op import DTYPES, Array
from acclimate.program import Buffer, Program, Role

ArrayLike = Any
_LOAD_ERRORS = {
    -1: ("is not a checkpoint or is truncated", "save it again with device.save(path)"),
    -2: ("belongs to another model or another version of it", "compile that model again"),
    -3: ("is damaged: its checksum does not match", "use an older copy"),
}


class Device(ABC):
    """A device that runs one program and keeps its weights.

    A kind of device says where its memory is and how a C function is called there. It sets itself
    up first and calls this constructor last.

    Args:
        program: what the device runs, with the initial values of its weights.
        lr: learning rate where `train` gets none.
    """

    def __init__(self, program: Program, lr: float) -> None:
        self.program = program
        self.lr = lr
        self._state = self._views()
        self.reset()

    # ---- what a kind of device defines

    @abstractmethod
    def _views(self) -> dict[str, Array]:
        """The persistent buffers of the program by name: arrays that are the device's memory."""

    @abstractmethod
    def _invoke(
        self, symbol: str, arguments: Sequence[Array | float], returns_float: bool
    ) -> float:
        """Calls a C function and returns its result, 0 for a function without one.

        Arrays are passed as pointers, other arguments as `float`. An array that may be written is
        an output: what the function leaves there is in it afterwards. Read-only arrays are inputs.
        """

    @abstractmethod
    def _save(self) -> bytes:
        """What the C function `save` writes.

        Raises:
            OSError: it failed.
        """

    @abstractmethod
    def _load(self, content: bytes) -> int:
        """Lets the C function `load` read these bytes. Returns its status, 0 if all is well."""

    @abstractmethod
    def call(self, symbol: str, *arguments: int) -> int:
        """Calls any C function of the program with integers and addresses; its `int` result."""

    @abstractmethod
    def reserve(self, size_bytes: int) -> tuple[int, npt.NDArray[np.uint8]]:
        """Memory for `call`: its address, and the memory itself. Valid until the next entry point
        is called or memory is reserved again."""

    @abstractmethod
    def symbol(self, name: str) -> int:
        """Address of a C function."""

    # ---- memory

    def reset(self, seed: int | None = None) -> None:
        """Back to the weights and states at compile time; `seed` is for dropout."""
        for name, array in self._state.items():
            array[...] = self.program.values[name].reshape(array.shape)
        if seed is not None and "random_seed" in self._state:
            self._state["random_seed"][...] = seed

    @property
    def weights(self) -> Mapping[str, Array]:
        """Parameters and running statistics by the user's names: views, not copies."""
        return {
            b.path: self._state[b.name]
            for b in self.program.buffers.values()
            if b.role in (Role.PARAMETER, Role.FROZEN, Role.STORED, Role.STATISTIC)
        }

    @property
    def state(self) -> Mapping[str, Array]:
        """All static memory by C name: parameters, optimizer state, gradient sums."""
        return dict(self._state)

    # ---- entry points

    def predict(self, *inputs: ArrayLike) -> Any:
        """Outputs for inputs.

        Args:
            inputs: arrays or tensors of the shape of the example, or with a multiple of its batch
                in front: then the batches are computed one after the other.

        Returns:
            One array, or a tuple of them for a model with several outputs.
        """
        return self._outputs("predict", inputs)

    def features(self, *samples: ArrayLike) -> Any:
        """What the model takes, from samples of sound: as `predict`, of the entry `features`."""
        return self._outputs("features", samples)

    def _outputs(self, entry: str, inputs: Sequence[ArrayLike]) -> Any:
        known = entry in self.program.entries
        wanted = data_buffers(self.program.interface(entry)) if known else ()
        parts = _batches(inputs, wanted)
        results = [self.run_entry(entry, *part)[1] for part in parts]
        joined = [
            np.concatenate(outputs) if len(parts) > 1 else outputs[0]
            for outputs in zip(*results, strict=True)
        ]
        return joined[0] if len(joined) == 1 else tuple(joined)

    def train(self, *data: ArrayLike, lr: float | None = None) -> float:
        """One step on one batch: inputs, then targets. Returns the loss before the update."""
        return self.run_entry("train", *data, lr=lr)[0]

    def accumulate(self, *data: ArrayLike) -> float:
        """Adds the gradients of one batch to the sums. Returns its loss."""
        return self.run_entry("accumulate", *data)[0]

    def apply(self, lr: float | None = None) -> None:
        """Updates with the mean of the accumulated gradients and clears them."""
        self.run_entry("apply", lr=lr)

    def importance(self, *data: ArrayLike, share: float = 1.0) -> float:
        """Counts one batch of a finished task for a regularizer. Returns its loss.

        Args:
            data: inputs, then targets.
            share: weight of the batch: 1 / N for each of N batches.
        """
        return self.run_entry("importance", *data, share=share)[0]

    def consolidate(self) -> None:
        """Ends a task for a regularizer: later ones are held near what was learned now."""
        self.run_entry("consolidate")

    def run_entry(
        self, entry: str, *data: ArrayLike, lr: float | None = None, share: float = 1.0
    ) -> tuple[float, list[Array]]:
        """Calls an entry point by name and returns the loss, if it has one, and the outputs.

        Raises:
            BadOption: there is no such entry point.
            BadExample: number, shape, element type or range of the data do not fit.
        """
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
        inputs = {b.name: as_array(value, b) for b, value in zip(wanted, data, strict=True)}
        scalars = {"lr": self.lr if lr is None else lr, "share": share}
        outputs: list[Array] = []
        arguments: list[Array | float] = []
        for b in interface:
            if b.role is Role.SCALAR:
                arguments.append(scalars[b.name])
            elif b.name == "loss":
                continue
            elif b.role is Role.OUTPUT:
                outputs.append(np.empty(b.shape, DTYPES[b.dtype]))
                arguments.append(outputs[-1])
            else:
                arguments.append(_read_only(inputs[b.name]))
        symbol = f"{self.program.name}_{entry}"
        return self._invoke(symbol, arguments, any(b.name == "loss" for b in interface)), outputs

    # ---- checkpoints

    def save(self, path: str | Path) -> None:
        """Writes parameters, optimizer state and gradient sums, as the C function does on a device.

        Raises:
            BadOutput: the file cannot be written; an older one at this place stays as it was.
        """
        path = Path(path)
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(self._save())
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
        status = self._load(content)
        if status:
            what, hint = _LOAD_ERRORS.get(
                status, (f"cannot be read: error {status}", "check the file")
            )
            raise CorruptFile(f"{path.name} {what}", found=f"{len(content)} bytes", hint=hint)


def as_array(value: ArrayLike, buffer: Buffer) -> npt.NDArray[Any]:
    """The value as a C-contiguous array of the buffer's element type, if possible without a copy.

    Raises:
        BadExample: shape, element type or range do not fit.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    wanted = DTYPES[buffer.dtype]
    if array.dtype.kind not in ("f" if wanted.kind == "f" else "iub") and array.size:
        raise BadExample(
            f"{buffer.name} holds {array.dtype}; the program takes {wanted}",
            hint=f"{buffer.name} = {buffer.name}.astype(numpy.{wanted})",
        )
    if wanted.kind != "f" and array.dtype != wanted and array.size:
        limits = np.iinfo(wanted)
        if array.min() < limits.min or array.max() > limits.max:
            raise BadExample(
                f"{buffer.name} holds {array.min()}..{array.max()}; the program takes {wanted}",
                hint=f"numbers from {limits.min} to {limits.max}",
            )
    if array.size != buffer.size:
        raise BadExample(
            f"{buffer.name} has shape {list(array.shape)}; the program takes {list(buffer.shape)}",
            hint="compile with an example of the shape that you train with",
        )
    classes = array if buffer.ignored is None else array[array != buffer.ignored]
    if buffer.limit and classes.size and not (classes.min() >= 0 and classes.max() < buffer.limit):
        raise BadExample(
            f"{buffer.name} holds classes {classes.min()}..{classes.max()}; "
            f"there are {buffer.limit}",
            hint=f"class numbers go from 0 to {buffer.limit - 1}; what is to be left out has the "
            "number of CrossEntropyLoss(ignore_index=255)",
        )
    return np.ascontiguousarray(array, dtype=wanted)


def data_buffers(buffers: tuple[Buffer, ...]) -> tuple[Buffer, ...]:
    """Inputs, then targets, of an entry point."""
    return tuple(b for b in buffers if b.role in (Role.INPUT, Role.TARGET))


def _read_only(array: Array) -> Array:
    """The same memory, which a device must not write."""
    view = array.view()
    view.flags.writeable = False
    return view


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
