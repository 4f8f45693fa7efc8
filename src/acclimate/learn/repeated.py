# SPDX-License-Identifier: Apache-2.0
"""Cycles of device modules: calls of this machine, made again on a simulated cluster.

The same C runs there on the same numbers, so what it learned can be compared.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from acclimate.device import Library
from acclimate.errors import BadOption
from acclimate.pipeline import compile
from acclimate.simulate.cluster import ClusterDevice
from acclimate.targets import Target

_ALIGN_BYTES = 8
_WORD_BITS = 32


@dataclass(frozen=True)
class Made:
    """A call of a device module.

    Args:
        name: of the function.
        values: arrays and structs that it got; None in place of what is no memory.
        words: everything else that it got, as 32 bits; 0 in place of memory.
        before: bytes of each array and struct before the call.
        result: what it returned.
    """

    name: str
    values: tuple[Any, ...]
    words: tuple[int, ...]
    before: tuple[bytes, ...]
    result: Any


class Recorded:
    """A library that keeps its calls.

    Args:
        library: that is called.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self.calls: list[Made] = []

    def __getattr__(self, name: str) -> Any:
        function, declared = getattr(self._library, name), self._library.header.functions[name]

        def call(*values: Any) -> Any:
            memory = tuple(
                v if isinstance(v, np.ndarray | ctypes.Structure) else None for v in values
            )
            words = tuple(
                0 if kept is not None or value is None else _word(value, argument.type)
                for value, kept, argument in zip(values, memory, declared.arguments, strict=True)
            )
            before = tuple(b"" if kept is None else bytes(kept) for kept in memory)
            result = function(*values)
            self.calls.append(Made(name, memory, words, before, result))
            return result

        return call

    def new(self, type_name: str, **fields: Any) -> Any:
        """See `Library.new`."""
        return self._library.new(type_name, **fields)


@dataclass(frozen=True)
class Repeated:
    """What came of calls on a cluster.

    Args:
        names: of the functions, call by call.
        cycles: of each call.
        memory: contents of the arrays at the end, by their identity on this machine.
    """

    names: tuple[str, ...]
    cycles: tuple[int, ...]
    memory: dict[int, NDArray[Any]]


def repeat(calls: Sequence[Made], modules: Iterable[str], target: str | Target) -> Repeated:
    """Makes calls again on one core of a simulated cluster, all data in its outer memory.

    Arrays and structs come there as they were before their first call, and stay. Structs hold
    pointers, so the calls begin with the one that fills them in.

    Args:
        calls: in their order.
        modules: that they are from.
        target: a cluster.

    Raises:
        BadOption: the target is no cluster, or a call returns something else there.
    """
    device = _device(tuple(modules), target)
    sizes: dict[int, int] = {}
    for made in calls:
        for value, before in zip(made.values, made.before, strict=True):
            if value is not None:
                sizes[id(value)] = -(-len(before) // _ALIGN_BYTES) * _ALIGN_BYTES
    # More than the fast memory has, so that everything lies behind it.
    base, memory = device.reserve(max(sum(sizes.values()), device.target.memories[0].size_bytes))
    places, end = {}, 0
    for key, size in sizes.items():
        places[key], end = end, end + size
    there: set[int] = set()
    cycles = []
    for made in calls:
        for value, before in zip(made.values, made.before, strict=True):
            if value is not None and id(value) not in there:
                there.add(id(value))
                first = places[id(value)]
                memory[first : first + len(before)] = np.frombuffer(before, np.uint8)
        arguments = [
            word if value is None else base + places[id(value)]
            for value, word in zip(made.values, made.words, strict=True)
        ]
        result = device.call(made.name, *arguments)
        if isinstance(made.result, int) and (result - made.result) % (1 << _WORD_BITS):
            raise BadOption(
                f"{made.name} returns {result} on {device.target.name}",
                found=f"{made.result} on this machine",
            )
        cycles.append(int(device.cycles))
    arrays = {
        id(value): memory[places[id(value)] :][: value.nbytes]
        .view(value.dtype)
        .reshape(value.shape)
        .copy()
        for made in calls
        for value in made.values
        if isinstance(value, np.ndarray)
    }
    return Repeated(tuple(made.name for made in calls), tuple(cycles), arrays)


def _device(modules: tuple[str, ...], target: str | Target) -> ClusterDevice:
    """A cluster with the C of modules, and a model that nobody runs."""
    example = (torch.zeros(1, 2), torch.tensor([0]))
    firmware = compile(nn.Linear(2, 2), example=example, target=target, name="idle")
    if firmware.target.cluster is None:
        raise BadOption(f"{firmware.target.name} is no cluster", hint="target='gap9'")
    device = firmware.run("cluster", modules=modules)
    assert isinstance(device, ClusterDevice)
    return device


def _word(value: Any, kind: Any) -> int:
    """A number as the simulated core gets it in a register."""
    if kind is ctypes.c_float:
        return int(struct.unpack("<I", struct.pack("<f", value))[0])
    return int(value) % (1 << _WORD_BITS)
