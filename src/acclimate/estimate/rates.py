# SPDX-License-Identifier: Apache-2.0
"""Cycles of kernels in C per multiply-accumulate and per result: measured on the simulators."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PATH = Path(__file__).parent / "rates.toml"
_MEAN = "mean"


@dataclass(frozen=True)
class Rate:
    """Cycles of a kernel.

    Args:
        mac: per multiply-accumulate.
        result: per element of its largest output: borders and remainders.
    """

    mac: float
    result: float

    def cycles(self, macs: int, results: int) -> float:
        """Of a call."""
        return self.mac * macs + self.result * results


def rate_of(processor: str, kernel: str) -> Rate | None:
    """What a kernel takes on a core; the mean of the core where the kernel is not known.

    Args:
        processor: cortex-m4, ...
        kernel: its C symbol.

    Returns:
        None for a core that was not measured.
    """
    table = _tables().get(processor)
    return None if table is None else table.get(kernel, table[_MEAN])


@cache
def _tables() -> Mapping[str, Mapping[str, Rate]]:
    found = tomllib.loads(PATH.read_text())
    return {
        processor: {kernel: Rate(*rate) for kernel, rate in table.items()}
        for processor, table in found.items()
    }


def write_text(tables: Mapping[str, Mapping[str, Rate]], command: str) -> str:
    """The file of tables, by core and kernel."""
    lines = ["# SPDX-License-Identifier: Apache-2.0"]
    lines.append(f"# Cycles per multiply-accumulate and per result. Written by `{command}`.")
    for processor, table in tables.items():
        lines += ["", f"[{processor}]"]
        lines += [f"{name} = [{rate.mac:g}, {rate.result:g}]" for name, rate in table.items()]
    return "\n".join(lines) + "\n"
