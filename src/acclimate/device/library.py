# SPDX-License-Identifier: Apache-2.0
"""Device modules on this machine: built once per content, called from Python through ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from acclimate.device.header import Argument, Function, Header
from acclimate.device.module import Module, module_files
from acclimate.simulate.compiler import FAST, compile_shared

_ARRAYS = {
    "float": np.float32,
    **{f"int{bits}_t": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}_t": np.dtype(f"u{bits // 8}") for bits in (8, 16, 32, 64)},
}


class Library:
    """The functions of modules, as attributes: `library.ac_store_open(store, flash, 7)`.

    A pointer takes an array of its element type, a struct, or None. The caller keeps what C holds
    on to alive: structs, arrays and callbacks.

    Args:
        header: what the modules declare.
        built: the shared library.
    """

    def __init__(self, header: Header, built: ctypes.CDLL) -> None:
        self.header = header
        self.built = built

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self.header.functions:
            raise AttributeError(f"no function {name}")
        declared = self.header.functions[name]
        function = self.built[name]
        function.restype = declared.result
        function.argtypes = [argument.type for argument in declared.arguments]

        def call(*values: Any) -> Any:
            return function(*_passed(declared, values))

        return call

    def new(self, type_name: str, **fields: Any) -> Any:
        """A struct filled with zeros, except for these fields."""
        made = self.header.types[type_name]()
        for name, value in fields.items():
            if name not in {field for field, *_ in made._fields_}:
                raise AttributeError(f"{type_name} has no field {name}")
            setattr(made, name, value)
        return made

    def callback(self, type_name: str, function: Callable[..., int]) -> Any:
        """A Python function as a callback of that type; it must not raise."""
        return self.header.types[type_name](function)


def load(
    *modules: Module, flags: Sequence[str] = FAST, more: Mapping[str, bytes] | None = None
) -> Library:
    """Builds modules with what they need, and loads them.

    Args:
        modules: to be called.
        flags: of the compiler.
        more: C files besides, such as the library of a sanitizer.

    Raises:
        MissingTool: the compiler is missing or fails.
    """
    header = Header()
    for module in modules:
        header = header.joined(module.header)
    path = compile_shared(module_files(modules) | dict(more or {}), flags)
    return Library(header, ctypes.CDLL(str(path)))


def address(memory: Any) -> int:
    """Where an array or a struct lies."""
    if isinstance(memory, np.ndarray):
        return int(memory.ctypes.data)
    return ctypes.addressof(memory)


def _passed(function: Function, values: Sequence[Any]) -> list[Any]:
    if len(values) != len(function.arguments):
        names = ", ".join(argument.name for argument in function.arguments)
        raise TypeError(f"{function.name}({names}) got {len(values)} arguments")
    return [_value(a, value) for a, value in zip(function.arguments, values, strict=True)]


def _value(argument: Argument, value: Any) -> Any:
    """What ctypes passes; an array of another type or with gaps would be read as garbage."""
    if argument.target is None or value is None or isinstance(value, int):
        return value
    if isinstance(value, np.ndarray):
        wanted = _ARRAYS.get(argument.target)
        if not value.flags.c_contiguous or (wanted is not None and value.dtype != wanted):
            raise TypeError(
                f"{argument.name}: array of {value.dtype}, not a whole {argument.target}"
            )
    elif argument.target not in ("void", type(value).__name__):
        raise TypeError(f"{argument.name}: {type(value).__name__}, not {argument.target}")
    return address(value)
