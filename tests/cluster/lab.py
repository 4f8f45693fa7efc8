# SPDX-License-Identifier: Apache-2.0
"""Small hand-written programs on the simulated cluster."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate.emit import port_file
from acclimate.simulate.bare import Image
from acclimate.simulate.cluster import (
    EVENTS,
    Machine,
    build_simulator,
    cluster_image,
    rtl_of,
)
from acclimate.targets import Target, find_target


def target(cores: int = 1, *, features: tuple[str, ...] = (), **figures: int) -> Target:
    """pulp-cluster with 512 kB of L1, so many cores, and other figures of its cluster."""
    base = find_target("pulp-cluster").with_cores(cores).with_memory("l1", 512 * 1024)
    assert base.cluster is not None
    figures = {"fpus": cores, **figures}
    return replace(
        base,
        features=base.features | set(features),
        cluster=replace(base.cluster, **figures),
    )


class Program:
    """A program in a machine.

    Args:
        files: C or assembly by name.
        machine: the cluster.
        options: of `Machine`.
    """

    def __init__(self, files: dict[str, str], machine: Target, **options: Any) -> None:
        sources = {name: text.encode() for name, text in files.items()}
        sources["port.h"] = port_file("port.h")
        self.image = Image(cluster_image(sources, machine))
        self.machine = Machine(build_simulator(rtl_of(machine)), machine, self.image, **options)

    def call(self, function: str, *arguments: int | float, limit: int = 20_000_000) -> Any:
        """Calls a function; floats are passed as their bits."""
        words = [bits(a) if isinstance(a, float) else int(a) for a in arguments]
        return self.machine.call(self.image.symbol(function), words, limit_cycles=limit)

    def array(self, name: str, dtype: Any = np.float32) -> npt.NDArray[Any]:
        """A global array: a view of the machine's memory."""
        return self.machine.memory(self.image.symbol(name), self.image.size(name)).view(dtype)

    def counts(self) -> list[dict[str, int]]:
        """Events of the last call by core, all slots together."""
        sums = self.machine.counters().sum(axis=0)
        return [{name: int(core[i]) for i, name in enumerate(EVENTS)} for core in sums]


def bits(value: float) -> int:
    """The word that holds a float."""
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def number(word: int) -> float:
    """The float that a word holds."""
    return float(struct.unpack("<f", struct.pack("<I", word))[0])


def load_next(register: str, pointer: str, step: int) -> str:
    """cv.lw register, (pointer), step: loads, then moves the pointer."""
    return f".insn i 0x0B, 2, {register}, {pointer}, {step}"


def hardware_loop(count: str, body: list[str], loop: int = 0) -> list[str]:
    """cv.setup: the body runs `count` times, without instructions for the loop itself."""
    register = f"x{14 + loop}"
    return [f".insn i 0x2B, 4, {register}, {count}, {len(body) + 1}", *body]


def function(name: str, lines: list[str]) -> str:
    """Assembly of a function."""
    body = "\n".join(f"    {line}" for line in lines)
    head = f"    .text\n    .globl {name}\n    .balign 16\n    .type {name}, @function\n"
    return f"{head}{name}:\n{body}\n    ret\n    .size {name}, . - {name}\n"
