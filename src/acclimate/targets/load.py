# SPDX-License-Identifier: Apache-2.0
"""Reads the TOML file of a target and checks everything in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from textwrap import shorten
from typing import Any

from acclimate.errors import BadTarget, nearest
from acclimate.targets.check import problems
from acclimate.targets.targets import L3, Cluster, Memory, Target

_KEYS = (
    "description", "simulator", "processor", "features", "cores", "clock_hz", "power_mw",
    "memory", "cluster", "l3",
)  # fmt: skip
_MEMORY_KEYS = (
    "name", "address", "size_bytes", "reserved_bytes", "latency_cycles", "writable",
)  # fmt: skip
_CLUSTER_KEYS = tuple(field.name for field in fields(Cluster))
_L3_KEYS = tuple(field.name for field in fields(L3))
_KINDS = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list",
    dict: "a table",
}  # fmt: skip
# What may be written for each key and figure, so that every hint can be pasted.
_PLAIN = {
    "description": 'description = "my board, one core at 64 MHz"',
    "simulator": 'simulator = "cortex_m"', "processor": 'processor = "cortex-m4"',
    "features": 'features = ["fpu"]', "memory": "[[memory]]", "cluster": "[cluster]", "l3": "[l3]",
    "name": 'name = "ram"', "address": "address = 0x2000_0000", "writable": "writable = false",
}  # fmt: skip
_EXAMPLES = {
    "cores": "8", "clock_hz": "240_000_000", "power_mw": "40.6", "size_bytes": "131072",
    "reserved_bytes": "8192", "latency_cycles": "1", "banks": "16", "fpus": "4",
    "fpu_latency": "1", "dma_bytes_per_cycle": "8", "dma_queue": "16", "icache_bytes": "0",
    "icache_miss_cycles": "0", "setup_cycles": "500", "bytes_per_cycle": "0.9",
}  # fmt: skip


def load_target(path: Path) -> Target:
    """Reads the file of a target.

    Args:
        path: ends in .toml; its stem is the name of the target.

    Raises:
        BadTarget: it cannot be read, or something in it is missing, unknown or impossible.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", path.stem, re.ASCII):
        hint = "letters, digits, and any of _ . + - after the first: board.toml"
        raise BadTarget("the file name cannot name a target", where=str(path), hint=hint)
    sources: dict[str, str] = {}
    table = _Table(_parse(path), "", str(path), sources)
    table.allow(_KEYS)
    target = Target(
        name=path.stem,
        description=table.line("description"),
        simulator=table.line("simulator"),
        processor=table.line("processor"),
        cores=table.whole("cores"),
        features=table.words("features"),
        clock_hz=table.whole("clock_hz") if "clock_hz" in table.values else None,
        power_mw=table.number("power_mw") if "power_mw" in table.values else None,
        memories=tuple(_memory(memory) for memory in table.tables("memory")),
        cluster=_cluster(table),
        l3=_l3(table),
        sources=sources,
    )
    for problem in problems(target):
        raise BadTarget(
            f"{problem.figure} {problem.what}",
            found=problem.found,
            where=str(path),
            hint=problem.hint,
        )
    return target


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = get_close_matches(path.name, [p.name for p in path.parent.glob("*.toml")], n=1)
        built_in = "`acclimate targets` lists the built-in ones"
        hint = f"did you mean {str(path.with_name(near[0]))!r}?" if near else built_in
        raise BadTarget("there is no such file", where=str(path), hint=hint) from None
    except OSError as error:
        hint = "a .toml file that can be read"
        raise BadTarget(
            "the file cannot be read", found=error.strerror, where=str(path), hint=hint
        ) from None
    except UnicodeDecodeError as error:
        found = f"byte {error.object[error.start]:#04x} at offset {error.start}"
        raise BadTarget(
            "the file is not UTF-8", found=found, where=str(path), hint="save it as UTF-8"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise BadTarget(
            "the file is not TOML", found=str(error), where=str(path), hint="https://toml.io"
        ) from None


def _memory(table: _Table) -> Memory:
    table.allow(_MEMORY_KEYS)
    return Memory(
        name=table.line("name"),
        address=table.plain("address", int),
        size_bytes=table.whole("size_bytes"),
        reserved_bytes=table.whole("reserved_bytes"),
        latency_cycles=table.whole("latency_cycles"),
        writable=table.plain("writable", bool) if "writable" in table.values else True,
    )


def _cluster(table: _Table) -> Cluster | None:
    if "cluster" not in table.values:
        return None
    inner = _Table(table.plain("cluster", dict), "cluster.", table.file, table.sources)
    inner.allow(_CLUSTER_KEYS)
    return Cluster(**{key: inner.whole(key) for key in _CLUSTER_KEYS})


def _l3(table: _Table) -> L3 | None:
    if "l3" not in table.values:
        return None
    inner = _Table(table.plain("l3", dict), "l3.", table.file, table.sources)
    inner.allow(_L3_KEYS)
    return L3(
        size_bytes=inner.whole("size_bytes"),
        reserved_bytes=inner.whole("reserved_bytes"),
        setup_cycles=inner.whole("setup_cycles"),
        bytes_per_cycle=inner.number("bytes_per_cycle"),
    )


@dataclass(frozen=True)
class _Table:
    """A table of the file.

    Args:
        values: by key.
        prefix: of its figures in messages and in `sources`, e.g. "memory.l1.".
        file: for messages.
        sources: of all figures; filled while they are read.
    """

    values: Mapping[str, Any]
    prefix: str
    file: str
    sources: dict[str, str]

    def error(self, key: str, what: str, found: str | None, hint: str) -> BadTarget:
        short = shorten(found, 80, placeholder=" ...") if found else None
        return BadTarget(f"{self.prefix}{key} {what}", found=short, where=self.file, hint=hint)

    def allow(self, keys: Sequence[str]) -> None:
        """Refuses keys that mean nothing: they are misspelt."""
        for key in self.values:
            if key not in keys:
                raise self.error(key, "is not a key of a target", None, nearest(key, keys))

    def plain(self, key: str, kind: type[Any]) -> Any:
        """A value that needs no source."""
        if key not in self.values:
            raise self.error(key, "is missing", None, _PLAIN[key])
        value = self.values[key]
        if type(value) is not kind:  # bool is an int
            raise self.error(key, f"is not {_KINDS[kind]}", repr(value), _PLAIN[key])
        return value

    def line(self, key: str) -> str:
        """One line of text."""
        text: str = self.plain(key, str).strip()
        if not text or not text.isprintable():
            raise self.error(key, "is not one line of text", repr(self.values[key]), _PLAIN[key])
        return text

    def words(self, key: str) -> frozenset[str]:
        """A list of names."""
        names = self.plain(key, list)
        for name in names:
            if not isinstance(name, str):
                raise self.error(key, "are not names", repr(name), _PLAIN[key])
        return frozenset(names)

    def tables(self, key: str) -> list[_Table]:
        """The tables [[key]], each with its name in the prefix."""
        if key not in self.values:
            return []
        found: list[_Table] = []
        for number, values in enumerate(self.plain(key, list), 1):
            if not isinstance(values, dict):
                raise self.error(key, "is not a list of tables", repr(values), _PLAIN[key])
            name = _Table(values, f"{key} {number}: ", self.file, self.sources).line("name")
            if not re.fullmatch(r"[a-z]\w*", name, re.ASCII):
                hint = "lower case letters, digits and _: l1"
                raise self.error(key, f"{number} has a name that is no name", repr(name), hint)
            if any(other.prefix == f"{key}.{name}." for other in found):
                hint = "another name for one of them"
                raise self.error(f"{key}.{name}", "is there twice", f"[[{key}]] {number}", hint)
            found.append(_Table(values, f"{key}.{name}.", self.file, self.sources))
        return found

    def whole(self, key: str) -> int:
        """A figure that is a whole number."""
        return int(self._figure(key, (int,)))

    def number(self, key: str) -> float:
        """A figure that may have a fraction."""
        return float(self._figure(key, (float, int)))

    def _figure(self, key: str, kinds: tuple[type[float], ...]) -> float:
        """The value of { value, source }; its source is recorded."""
        example = f'{key} = {{ value = {_EXAMPLES[key]}, source = "datasheet, table 3" }}'
        if key not in self.values:
            raise self.error(key, "is missing", None, example)
        figure = self.values[key]
        if not isinstance(figure, dict):
            raise self.error(key, "is not a table of value and source", repr(figure), example)
        _Table(figure, f"{self.prefix}{key}.", self.file, self.sources).allow(("value", "source"))
        for part in ("value", "source"):
            if part not in figure:
                raise self.error(key, f"has no {part}", repr(figure), example)
        value, source = figure["value"], figure["source"]
        if type(value) not in kinds:  # a bool is an int, but no figure
            raise self.error(key, f"is not {_KINDS[kinds[0]]}", repr(value), example)
        if not isinstance(source, str) or not source.strip() or not source.isprintable():
            what = "has a source that is not one line of text"
            raise self.error(key, what, repr(source), example)
        self.sources[f"{self.prefix}{key}"] = source.strip()
        number: float = value
        return number
