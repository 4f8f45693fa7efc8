# SPDX-License-Identifier: Apache-2.0
"""Device modules built with sanitizers, in a sandbox: any access outside of what a test gave fails.

Undefined behaviour ends the process; an access to foreign memory is reported by the test that made
it, so Hypothesis can shrink it.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.device import MODULES, Library, Module, load
from acclimate.device.flash.meaning import Flash
from sanitizers import ADDRESS

CHECKS = Path(__file__).parent / "device_checks.c"
UNDEFINED = (
    "-fsanitize=undefined,float-cast-overflow,float-divide-by-zero",
    "-fno-sanitize-recover=all",
)
MARGIN = 256  # bytes around every array, so that a wrong store harms nothing before it is reported


@cache
def fast_library() -> Library:
    """All modules as a user runs them."""
    return load(*MODULES)


@cache
def _checked() -> Library:
    flags = tuple(flag for flag in ADDRESS if flag != "-fno-sanitize=undefined")
    return load(*MODULES, flags=(*flags, *UNDEFINED), more={"checks.c": CHECKS.read_bytes()})


class Sandbox:
    """A library with sanitizers, and memory for its calls.

    Attributes:
        c: its functions; raises AssertionError after a call that touched foreign memory.
    """

    def __init__(self) -> None:
        library = _checked()
        self._built = library.built
        self._built.checks_fault.restype = ctypes.c_char_p
        self._built.checks_accesses.restype = ctypes.c_uint64
        self._built.checks_allow.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        self._built.checks_reset(_globals())
        self._kept: list[Any] = []
        self.c = _Checked(library, self)

    def array(self, content: Any, dtype: Any) -> np.ndarray[Any, Any]:
        """A copy of an array, or that many zeros, which C may read and write."""
        shape = (content,) if isinstance(content, int) else np.shape(content)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        whole = np.full(size + 2 * MARGIN, 0xA5, np.uint8)
        made = whole[MARGIN : MARGIN + size].view(dtype).reshape(shape)
        made[...] = 0 if isinstance(content, int) else content
        self._kept.append(whole)
        self._built.checks_allow(whole.ctypes.data + MARGIN, size)
        return made

    def new(self, type_name: str, **fields: Any) -> Any:
        """A struct which C may read and write."""
        made = self.c.library.new(type_name, **fields)
        self._kept.append(made)
        self._built.checks_allow(ctypes.addressof(made), ctypes.sizeof(made))
        return made

    def flash(self, flash: Any) -> Any:
        """An `ac_flash` on a model of flash memory; see `flash_struct`."""
        made = flash_struct(self.c.library, flash)
        self._kept.append(made)
        self._built.checks_allow(ctypes.addressof(made), ctypes.sizeof(made))
        return made

    @property
    def accesses(self) -> int:
        """Loads and stores so far: a measure of time that no other process disturbs."""
        return int(self._built.checks_accesses())

    def check(self, name: str) -> None:
        """Fails if a call touched what it was not given."""
        fault = self._built.checks_fault()
        assert not fault, f"{name}: {fault.decode()}"


class _Checked:
    def __init__(self, library: Library, sandbox: Sandbox) -> None:
        self.library, self._sandbox = library, sandbox

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.library, name)

        def call(*values: Any) -> Any:
            result = function(*values)
            self._sandbox.check(name)
            return result

        return call


@cache
def _globals() -> int:
    """How many constant tables the library has: they stay allowed."""
    return int(_checked().built.checks_ranges())


def flash_struct(library: Library, flash: Flash) -> Any:
    """An `ac_flash` whose callbacks work on a model of flash memory."""

    def guarded(function: Any) -> Any:
        def call(*values: Any) -> int:
            try:
                function(*values)
            except OSError:
                return 1
            return 0

        return call

    def read(_: Any, at: int, data: int, size: int) -> None:
        ctypes.memmove(data, flash.read(at, size), size)

    def write(_: Any, at: int, data: int, size: int) -> None:
        flash.write(at, ctypes.string_at(data, size))

    def erase(_: Any, at: int, size: int) -> None:
        flash.erase(at, size)

    functions = {"read": read, "write": write, "erase": erase}
    callbacks = {
        name: library.callback(f"ac_flash_{name}", guarded(function))
        for name, function in functions.items()
    }
    sizes = {"size": flash.size, "sector": flash.sector, "grain": flash.grain}
    return library.new("ac_flash", **callbacks, **sizes)


def names_of(modules: tuple[Module, ...]) -> list[str]:
    """For the names of parametrized tests."""
    return [module.name for module in modules]
