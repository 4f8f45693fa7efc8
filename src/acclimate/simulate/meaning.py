# SPDX-License-Identifier: Apache-2.0
"""The program in NumPy as a device: what the C has to compute, call by call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from acclimate.errors import BadOption
from acclimate.kernels.op import Array
from acclimate.program import Interpreter, Program, Role
from acclimate.simulate.device import Device


class NumpyDevice(Device):
    """Interprets a program in NumPy: slow, without a compiler, and each call open to look at.

    Args:
        program: with the initial values of its weights.
        lr: learning rate where `train` gets none.
    """

    def __init__(self, program: Program, lr: float) -> None:
        self._interpreter = Interpreter(program)
        super().__init__(program, lr)

    def _views(self) -> dict[str, Array]:
        buffers = self.program.buffers
        held = self._interpreter.persistent
        return {name: held[name].reshape(buffers[name].array_shape) for name in held}

    def _invoke(
        self, symbol: str, arguments: Sequence[Array | float], returns_float: bool
    ) -> float:
        entry = symbol.removeprefix(f"{self.program.name}_")
        interface = [b for b in self.program.interface(entry) if b.name != "loss"]
        passed = dict(zip((b.name for b in interface), arguments, strict=True))
        outputs = [b.name for b in interface if b.role is Role.OUTPUT]
        given = {name: value for name, value in passed.items() if name not in outputs}
        results = self._interpreter.run(entry, **given)
        for name in outputs:
            np.asarray(passed[name])[...] = results[name]
        return float(results["loss"]) if returns_float else 0.0

    def call(self, symbol: str, *arguments: int) -> int:
        """There is no C to call."""
        raise self._without_c("calls no C functions")

    def reserve(self, size_bytes: int) -> tuple[int, npt.NDArray[np.uint8]]:
        """There is no C to reserve memory for."""
        raise self._without_c("has no memory of its own")

    def symbol(self, name: str) -> int:
        """There are no C functions."""
        raise self._without_c("has no C functions")

    def _save(self) -> bytes:
        raise self._without_c("writes no checkpoints")

    def _load(self, content: bytes) -> int:
        raise self._without_c("reads no checkpoints")

    def _without_c(self, what: str) -> BadOption:
        return BadOption(f"the program in NumPy {what}", hint="firmware.run('host')")
