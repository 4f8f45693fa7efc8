# SPDX-License-Identifier: Apache-2.0
"""Reads the C headers of device modules, so that Python calls exactly what C declares.

The headers keep to a small part of C: numbers of <stdint.h>, `int` and `float`, pointers, arrays of
one dimension, `volatile`, structs without bit fields, types of callbacks, `enum` and `#define` with
integers.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NUMBERS: Mapping[str, Any] = {
    "int": ctypes.c_int,
    "float": ctypes.c_float,
    **{f"int{bits}_t": getattr(ctypes, f"c_int{bits}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}_t": getattr(ctypes, f"c_uint{bits}") for bits in (8, 16, 32, 64)},
}
_DECLARATOR = re.compile(
    r"(?:(?:const|volatile) )?(?P<type>\w+) ?(?P<stars>\**) ?(?:const )?(?P<name>\w+)"
    r"(?:\[(?P<count>\w+)\])?"
)
_FUNCTION = re.compile(r"(?P<result>[\w ]+?[ *]+)(?P<name>\w+)\((?P<arguments>[^()]*)\)")
_CALLBACK = re.compile(r"typedef (?P<result>\w+) \(\*(?P<name>\w+)\)\((?P<arguments>[^()]*)\)")
_STRUCT = re.compile(r"typedef struct \{(?P<fields>[^{}]*)\} (?P<name>\w+)")
_ENUM = re.compile(r"enum \{(?P<members>[^{}]*)\}")
_DEFINE = re.compile(r"#define (?P<name>\w+) \(?(?P<value>-?\d+)u?\)?")


@dataclass(frozen=True)
class Argument:
    """One argument: `type` is its ctypes type, `target` the C type that a pointer points to."""

    name: str
    type: Any
    target: str | None


@dataclass(frozen=True)
class Function:
    """A function of C: its arguments, and the ctypes type of its result."""

    name: str
    result: Any
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Header:
    """What a header declares: functions, ctypes types of structs and callbacks, integers."""

    functions: Mapping[str, Function] = field(default_factory=dict)
    types: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, int] = field(default_factory=dict)

    def joined(self, other: Header) -> Header:
        """Both together."""
        return Header(
            {**self.functions, **other.functions},
            {**self.types, **other.types},
            {**self.constants, **other.constants},
        )


def parse_header(text: str, known: Header) -> Header:
    """Reads a header.

    Args:
        text: of the file.
        known: what the headers that it includes declare.

    Returns:
        What it declares together with what was known.

    Raises:
        ValueError: it has something that this reader does not know: nothing is left out silently.
    """
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", text, flags=re.S)
    constants = dict(known.constants)
    constants |= {m["name"]: int(m["value"]) for m in _DEFINE.finditer(text)}
    text = re.sub(r"^[ \t]*#.*$", "", text, flags=re.M)
    types, functions = dict(known.types), dict(known.functions)
    for statement in _statements(text):
        if match := _ENUM.fullmatch(statement):
            constants |= _members(match["members"])
        elif match := _STRUCT.fullmatch(statement):
            types[match["name"]] = _struct(match["name"], match["fields"], types, constants)
        elif match := _CALLBACK.fullmatch(statement):
            passed = [a.type for a in _arguments(match["arguments"], types)]
            types[match["name"]] = ctypes.CFUNCTYPE(_result(match["result"]), *passed)
        elif match := _FUNCTION.fullmatch(statement):
            result = _result(match["result"].strip())
            arguments = _arguments(match["arguments"], types)
            functions[match["name"]] = Function(match["name"], result, arguments)
        else:
            raise ValueError(f"unknown declaration: {statement}")
    return Header(functions, types, constants)


def _statements(text: str) -> list[str]:
    """Declarations, each on one line with single spaces."""
    found, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if character == ";" and depth == 0:
            found.append(" ".join(text[start:at].split()))
            start = at + 1
    if text[start:].strip():
        raise ValueError(f"a declaration without an end: {text[start:].strip()}")
    return found


def _members(text: str) -> dict[str, int]:
    parts = (part.split("=") for part in text.split(",") if part.strip())
    return {name.strip(): int(value) for name, value in parts}


def _struct(name: str, text: str, types: Mapping[str, Any], constants: Mapping[str, int]) -> Any:
    fields = []
    for part in filter(None, (" ".join(p.split()) for p in text.split(";"))):
        match = _declarator(part)
        kind = _type(match, types)
        if match["count"]:
            count = match["count"]
            kind = kind * (int(count) if count.isdigit() else constants[count])
        fields.append((match["name"], kind))
    return type(name, (ctypes.Structure,), {"_fields_": fields})


def _arguments(text: str, types: Mapping[str, Any]) -> tuple[Argument, ...]:
    if text.strip() == "void":
        return ()
    matches = [_declarator(part.strip()) for part in text.split(",")]
    return tuple(Argument(m["name"], _type(m, types), m["type"] if m["stars"] else None)
                 for m in matches)  # fmt: skip


def _declarator(text: str) -> re.Match[str]:
    match = _DECLARATOR.fullmatch(text)
    if match is None:
        raise ValueError(f"unknown declarator: {text}")
    return match


def _type(match: re.Match[str], types: Mapping[str, Any]) -> Any:
    """Pointers are addresses: what lies there is the caller's business."""
    if match["stars"]:
        return ctypes.c_void_p
    known = {**_NUMBERS, **types}
    if match["type"] not in known:
        raise ValueError(f"unknown type: {match['type']}")
    return known[match["type"]]


def _result(name: str) -> Any:
    if name.endswith("*"):
        return ctypes.c_void_p
    return None if name == "void" else _NUMBERS[name]
