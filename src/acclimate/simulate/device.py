# SPDX-License-Identifier: Apache-2.0
"""What every simulated or real device can do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from acclimate.errors import BadExample
from acclimate.kernels.op import DTYPES, Array
from acclimate.program import Buffer, Role

ArrayLike = Any


class Device(Protocol):
    """A device that runs one program and keeps its weights."""

    def predict(self, *inputs: ArrayLike) -> Any:
        """Outputs for inputs."""

    def train(self, *data: ArrayLike, lr: float | None = None) -> float:
        """One training step; returns the loss before it."""

    @property
    def weights(self) -> Mapping[str, Array]:
        """Parameters by the user's names."""

    def save(self, path: str | Path) -> None:
        """Writes a checkpoint."""

    def load(self, path: str | Path) -> None:
        """Reads a checkpoint."""


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
    if array.size != buffer.size:
        raise BadExample(
            f"{buffer.name} has shape {list(array.shape)}; the program takes {list(buffer.shape)}",
            hint="compile with an example of the shape that you train with",
        )
    if buffer.limit and array.size and not (array.min() >= 0 and array.max() < buffer.limit):
        raise BadExample(
            f"{buffer.name} holds classes {array.min()}..{array.max()}; there are {buffer.limit}",
            hint=f"class numbers go from 0 to {buffer.limit - 1}",
        )
    return np.ascontiguousarray(array, dtype=wanted)


def data_buffers(buffers: tuple[Buffer, ...]) -> tuple[Buffer, ...]:
    """Inputs, then targets, of an entry point."""
    return tuple(b for b in buffers if b.role in (Role.INPUT, Role.TARGET))
