# SPDX-License-Identifier: Apache-2.0
"""The declaration of a device module: all that any stage knows about it stands in one `Module`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from acclimate.device.header import Header, parse_header


@dataclass(frozen=True)
class Module:
    """A piece of the learning loop in C: `NAME.h` with its sources, and the same in `meaning.py`.

    The functions with their signatures, the layouts of the structs and the result codes are read
    from the header: they stand there and nowhere else.

    Attributes:
        name: of the folder and of its files.
        doc: one sentence for the reference page.
        folder: folder of the C files.
        source: where the method comes from.
        needs: modules whose headers it includes.
    """

    name: str
    doc: str
    folder: Path
    source: str
    needs: tuple[Module, ...] = ()

    @cached_property
    def header(self) -> Header:
        """Functions, structs and constants that the header declares, those of `needs` included."""
        known = Header()
        for module in self.needs:
            known = known.joined(module.header)
        return parse_header((self.folder / f"{self.name}.h").read_text(), known)

    def files(self) -> dict[str, bytes]:
        """Its C by relative path, as it lies in an exported project."""
        paths = sorted(path for path in self.folder.iterdir() if path.suffix in (".c", ".h"))
        return {f"device/{self.name}/{path.name}": path.read_bytes() for path in paths}


def with_needs(modules: Iterable[Module]) -> tuple[Module, ...]:
    """The modules and all that they need, each once, what is needed before what needs it."""
    ordered: dict[str, Module] = {}
    for module in modules:
        for one in (*with_needs(module.needs), module):
            ordered[one.name] = one
    return tuple(ordered.values())


def module_files(modules: Iterable[Module]) -> dict[str, bytes]:
    """The C of modules and of all that they need, by relative path."""
    files: dict[str, bytes] = {}
    for module in with_needs(modules):
        files |= module.files()
    return files
