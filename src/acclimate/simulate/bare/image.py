# SPDX-License-Identifier: Apache-2.0
"""An ELF image: its segments, symbols and the C line of every instruction."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from elftools.dwarf.ranges import BaseAddressEntry
from elftools.elf.elffile import ELFFile

from acclimate.errors import MissingTool, nearest

_EXECUTABLE = 4  # flag of a section


@dataclass(frozen=True)
class Segment:
    """A part of memory that the image fills.

    Args:
        address: where it is when the program runs.
        data: its first bytes.
        size_bytes: in memory; what follows the data is zero.
    """

    address: int
    data: bytes
    size_bytes: int


@dataclass(frozen=True)
class _Symbol:
    address: int
    size_bytes: int


@dataclass(frozen=True)
class _Row:
    """Instructions in [start, end) belong to a line; file "" and line 0 for none."""

    start: int
    end: int
    file: str
    line: int


def defined_symbols(elf: ELFFile) -> Iterator[Any]:
    """The named symbols that an object or image defines, as pyelftools gives them."""
    table: Any = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols() if table is not None else ():
        if symbol.name and symbol["st_shndx"] != "SHN_UNDEF":
            yield symbol


class Image:
    """An ELF image for a 32-bit processor, RISC-V or Arm. Line tables are read when asked for.

    Args:
        path: of the ELF file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._elf = ELFFile(io.BytesIO(path.read_bytes()))
        # Bit 0 of a function's address says Thumb on Arm; it is no part of the address.
        self._code_mask = ~1 if self._elf["e_machine"] == "EM_ARM" else ~0
        self.entry: int = self._elf["e_entry"]
        self._tables: dict[int, list[_Row]] = {}

    @cached_property
    def segments(self) -> list[Segment]:
        """What is loaded, at the addresses where the program expects it."""
        return [
            Segment(s["p_vaddr"], s.data(), s["p_memsz"])
            for s in self._elf.iter_segments("PT_LOAD")
            if s["p_memsz"]
        ]

    # ---- symbols

    @cached_property
    def _symbols(self) -> dict[str, _Symbol]:
        # Global symbols last: they replace local ones of the same name.
        ordered = sorted(
            defined_symbols(self._elf), key=lambda s: s["st_info"]["bind"] != "STB_LOCAL"
        )
        return {s.name: _Symbol(s["st_value"], s["st_size"]) for s in ordered}

    def __contains__(self, name: str) -> bool:
        return name in self._symbols

    def symbol(self, name: str) -> int:
        """Address of a symbol; of a Thumb function with bit 0 set, as calls need it.

        Raises:
            MissingTool: the image has no such symbol.
        """
        return self._find(name).address

    def size(self, name: str) -> int:
        """Bytes of a symbol."""
        return self._find(name).size_bytes

    def _find(self, name: str) -> _Symbol:
        if name not in self._symbols:
            near = nearest(name, [n for n in self._symbols if n[:3] == name[:3]])
            raise MissingTool(f"the image has no symbol {name!r}", hint=near)
        return self._symbols[name]

    @cached_property
    def _functions(self) -> list[tuple[int, int, str]]:
        """Start, end and name of every function, in the order of the addresses."""
        found: dict[int, tuple[int, int, str]] = {}
        # Of several names at one address a global one counts.
        symbols = [s for s in defined_symbols(self._elf) if s["st_info"]["type"] == "STT_FUNC"]
        for s in sorted(symbols, key=lambda s: s["st_info"]["bind"] == "STB_GLOBAL"):
            start = s["st_value"] & self._code_mask
            found[start] = (start, start + s["st_size"], s.name)
        return sorted(found.values())

    def function(self, pc: int) -> str:
        """Name of the function of an instruction; its address where there is none."""
        at = bisect_right(self._functions, pc, key=lambda f: f[0]) - 1
        if at >= 0 and pc < self._functions[at][1]:
            return self._functions[at][2]
        return f"{pc:#010x}"

    def code_spans(self) -> Iterator[tuple[int, int, bytes]]:
        """Addresses and bytes of the code, without the constants between functions on Arm.

        The symbols $t and $d say where code and constants begin there.
        """
        marks = sorted(
            (s["st_value"], s.name[:2] == "$t")
            for s in defined_symbols(self._elf)
            if s.name[:2] in ("$t", "$d")
        )
        for section in self._elf.iter_sections("SHT_PROGBITS"):
            low, data = section["sh_addr"], section.data()
            high = low + len(data)
            if not section["sh_flags"] & _EXECUTABLE:
                continue
            inner = [(at, code) for at, code in marks if low < at < high]
            begin = [code for at, code in marks if at <= low] or [True]
            edges = [(low, begin[-1]), *inner, (high, False)]
            for (start, code), (end, _) in pairwise(edges):
                if code and start < end:
                    yield start, end, data[start - low : end - low]

    # ---- lines

    def line(self, pc: int) -> str | None:
        """C line of an instruction, e.g. `net.c:123`; None where there is none.

        An instruction that the compiler made for no line has the line before it.
        """
        rows = self._rows(pc)
        at = bisect_right(rows, pc, key=lambda row: row.start) - 1
        if at < 0 or pc >= rows[at].end:
            return None
        while at > 0 and not rows[at].line and rows[at - 1].end == rows[at].start:
            at -= 1
        return f"{PurePosixPath(rows[at].file).name}:{rows[at].line}" if rows[at].line else None

    def where(self, pc: int) -> str:
        """Line and function of an instruction, e.g. `net.c:123 in net_train`."""
        line = self.line(pc)
        return f"{line} in {self.function(pc)}" if line else self.function(pc)

    @cached_property
    def _dwarf(self) -> Any:
        return self._elf.get_dwarf_info()

    @cached_property
    def _units(self) -> list[tuple[int, int, Any]]:
        """Address ranges of the compilation units."""
        units = self._dwarf.iter_CUs() if self._elf.has_dwarf_info() else ()
        ranges = (
            (low, high, unit)
            for unit in units
            for low, high in self._ranges(unit, unit.get_top_DIE())
        )
        return sorted(ranges, key=lambda item: item[:2])

    def _unit(self, pc: int) -> Any:
        """The compilation unit of an instruction, or None."""
        at = bisect_right(self._units, pc, key=lambda item: item[0]) - 1
        return self._units[at][2] if at >= 0 and pc < self._units[at][1] else None

    def _rows(self, pc: int) -> list[_Row]:
        """The line table of the unit of an instruction; units are parsed when first asked for."""
        unit = self._unit(pc)
        if unit is None:
            return []
        if unit.cu_offset not in self._tables:
            rows = sorted(self._read_rows(unit), key=lambda row: row.start)
            self._tables[unit.cu_offset] = rows
        return self._tables[unit.cu_offset]

    def _read_rows(self, unit: Any) -> Iterator[_Row]:
        program = self._dwarf.line_program_for_CU(unit)
        if program is None:
            return
        # Files count from 1 before DWARF 5, from 0 since.
        first = 0 if program.header["version"] >= 5 else 1
        names = [entry.name.decode() for entry in program.header["file_entry"]]
        before, dropped = None, False
        for state in (entry.state for entry in program.get_entries()):
            if state is None:
                continue
            if before is None:
                # The linker puts the lines of sections that it left out at address 0.
                dropped = state.address == 0
            elif before.address < state.address and not dropped:
                index = before.file - first
                name = names[index] if 0 <= index < len(names) else ""
                yield _Row(before.address, state.address, name, before.line)
            before = None if state.end_sequence else state

    # ---- lines of one function

    def call_table(self, function: str) -> list[tuple[int, int, int]]:
        """Lines of one function for all of its instructions.

        Code that was inlined from another function counts for the line of the outermost call.
        Instructions of no line (the compiler's own) count for the line before them.

        Returns:
            (start, end, line) without gaps and in the order of the addresses.
        """
        start = self.symbol(function) & self._code_mask
        end = start + self.size(function)
        inlined = self._inlined(start)
        rows = [row for row in self._rows(start) if row.start < end and row.end > start]
        edges = {start, end, *(r.start for r in rows), *(low for low, _, _ in inlined)}
        edges |= {high for _, high, _ in inlined}
        cuts = sorted(edge for edge in edges if start <= edge <= end)
        table: list[tuple[int, int, int]] = []
        line, at = 0, 0
        for low, high in pairwise(cuts):
            while at + 1 < len(rows) and rows[at + 1].start <= low:
                at += 1
            outer = next((call for a, b, call in inlined if a <= low < b), 0)
            line = outer or (rows[at].line if rows and rows[at].start <= low else 0) or line
            if table and table[-1][2] == line:
                table[-1] = (table[-1][0], high, line)
            else:
                table.append((low, high, line))
        return table

    def _inlined(self, start: int) -> list[tuple[int, int, int]]:
        """Address ranges of the calls that were inlined into the function at `start`."""
        unit = self._unit(start)
        for die in unit.get_top_DIE().iter_children() if unit is not None else ():
            low = die.attributes.get("DW_AT_low_pc")
            if die.tag == "DW_TAG_subprogram" and low is not None and low.value == start:
                return sorted(self._calls(unit, die))
        return []

    def _calls(self, unit: Any, die: Any) -> Iterator[tuple[int, int, int]]:
        for child in die.iter_children():
            if child.tag == "DW_TAG_inlined_subroutine":
                line = child.attributes["DW_AT_call_line"].value
                yield from ((low, high, line) for low, high in self._ranges(unit, child))
            elif child.tag == "DW_TAG_lexical_block":
                yield from self._calls(unit, child)

    def _ranges(self, unit: Any, die: Any) -> Iterator[tuple[int, int]]:
        low = die.attributes.get("DW_AT_low_pc")
        high = die.attributes.get("DW_AT_high_pc")
        if low is not None and high is not None:
            absolute = high.form == "DW_FORM_addr"
            yield low.value, high.value if absolute else low.value + high.value
        elif "DW_AT_ranges" in die.attributes:
            top = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
            base = top.value if top is not None else 0
            offset = die.attributes["DW_AT_ranges"].value
            for entry in self._dwarf.range_lists().get_range_list_at_offset(offset, unit):
                if isinstance(entry, BaseAddressEntry):
                    base = entry.base_address
                else:
                    shift = 0 if getattr(entry, "is_absolute", False) else base
                    yield entry.begin_offset + shift, entry.end_offset + shift
