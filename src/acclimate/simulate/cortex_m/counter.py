# SPDX-License-Identifier: Apache-2.0
"""The counting of counter.c, called by Unicorn before every block of instructions."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import unicorn
from unicorn.unicorn_py3.unicorn import uclib

from acclimate.simulate.compiler import compile_shared
from acclimate.simulate.cortex_m.cycles import UNITS, Code, Timing

_REGISTERS = 49
_POINTER = ctypes.c_void_p
_U64, _U32, _U8 = ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint8


class _State(ctypes.Structure):
    """`counter` of counter.c."""

    _fields_ = (
        ("operations", _POINTER),
        ("counts", _POINTER),
        ("cycles", _POINTER),
        ("slots", _POINTER),
        ("slot_counts", _POINTER),
        ("slot_cycles", _POINTER),
        ("stop", _POINTER),
        ("limit", _U64),
        ("start", _U32),
        ("halfwords", _U32),
        ("width", _U32),
        ("capacity", _U8 * UNITS),
        ("slot", _U32),
        ("instructions", _U64),
        ("time", _U64),
        ("group", _U64),
        ("ready", _U64 * _REGISTERS),
        ("ready_address", _U64 * _REGISTERS),
        ("last_writes", _U64),
        ("end", _U32),
        ("last", _U32),
        ("room", _U32),
        ("last_unit", _U8),
        ("last_flags", _U8),
        ("unused", _U8 * 2),
        ("fault_access", _U32),
        ("fault_address", _U32),
    )


@cache
def _library() -> ctypes.CDLL:
    source = (Path(__file__).parent / "counter.c").read_bytes()
    return ctypes.CDLL(str(compile_shared({"counter.c": source})))


class Counter:
    """Counts of one device.

    Args:
        code: of its image.
        table: cycles of its core.
        limit: instructions after which a call is stopped.

    Attributes:
        counts: executions of the instruction at each halfword, in the last call.
        cycles: estimated, the same.
    """

    def __init__(self, code: Code, table: Timing, limit: int) -> None:
        self.code = code
        size = len(code.operations)
        self.counts = np.zeros(size, np.uint64)
        self.cycles = np.zeros(size, np.uint64)
        stop = ctypes.cast(uclib.uc_emu_stop, _POINTER)
        self._state = _State(stop=stop, limit=limit, start=code.start, halfwords=size)
        self._state.width = table.width
        for number, capacity in enumerate([UNITS, *table.units.values()]):
            self._state.capacity[number] = capacity
        self._state.operations = code.operations.ctypes.data
        self._state.counts = self.counts.ctypes.data
        self._state.cycles = self.cycles.ctypes.data

    def attach(self, engine: Any) -> None:
        """Lets Unicorn call the functions in C; those in Python are a hundred times slower."""
        for kind, function in (
            (unicorn.UC_HOOK_BLOCK, _library().ac_count),
            (unicorn.UC_HOOK_MEM_INVALID, _library().ac_fault),
        ):
            status = uclib.uc_hook_add(
                engine._uch,
                ctypes.byref(ctypes.c_size_t()),
                kind,
                ctypes.cast(function, _POINTER),
                ctypes.cast(ctypes.byref(self._state), _POINTER),
                ctypes.c_uint64(1),
                ctypes.c_uint64(0),
            )
            if status != unicorn.UC_ERR_OK:
                raise unicorn.UcError(status)

    def begin(self, address: int, slots: npt.NDArray[np.uint32]) -> None:
        """Before a call of the function at an address.

        Args:
            address: of its first instruction.
            slots: for each halfword the slot that counts from there on, 0 to keep the last one.
        """
        self.counts[...] = 0
        self.cycles[...] = 0
        size = int(slots.max(initial=0)) + 1
        self._slots = slots
        self.slot_counts, self.slot_cycles = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
        self._state.slots = slots.ctypes.data
        self._state.slot_counts = self.slot_counts.ctypes.data
        self._state.slot_cycles = self.slot_cycles.ctypes.data
        self._call("ac_begin", ctypes.byref(self._state), _U32(address))

    def end(self) -> None:
        """After the call."""
        self._call("ac_end", ctypes.byref(self._state))

    def _call(self, name: str, *arguments: Any) -> None:
        function = getattr(_library(), name)
        function.restype = None
        function(*arguments)

    @property
    def instructions(self) -> int:
        """Executed in the last call."""
        return int(self._state.instructions)

    @property
    def time_cycles(self) -> int:
        """Of the last call: an estimate."""
        return int(self._state.time)

    @property
    def fault(self) -> tuple[int, int] | None:
        """Kind and address of the wrong access to memory that ended the last call."""
        kind = int(self._state.fault_access)
        return (kind, int(self._state.fault_address)) if kind else None

    @property
    def over_limit(self) -> bool:
        """True if the last call was stopped."""
        return bool(self._state.instructions > self._state.limit)
