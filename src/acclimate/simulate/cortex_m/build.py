# SPDX-License-Identifier: Apache-2.0
"""Builds generated C for an Arm microcontroller: its memories and the linker script for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from acclimate.errors import BadOption, DoesNotFit, MissingTool
from acclimate.simulate.bare import Toolchain, build_image
from acclimate.simulate.cortex_m.processors import find_processor

STACK_BYTES = 4096  # what must be left above data in the memory of the stack


class MemoryLike(Protocol):
    """What is needed of a memory: `acclimate.targets.Memory` has it."""

    @property
    def name(self) -> str:
        """Of the memory."""

    @property
    def address(self) -> int:
        """Of its first byte."""

    @property
    def size_bytes(self) -> int:
        """Of all of it."""

    @property
    def writable(self) -> bool:
        """False for flash."""


@dataclass(frozen=True)
class PlainMemory:
    """A memory of a device without a file of its own."""

    name: str
    address: int
    size_bytes: int
    writable: bool = True


# Of a core without a device: 2 MB of flash and 2 MB of RAM at the addresses that are usual.
GENERIC_MEMORIES: tuple[MemoryLike, ...] = (
    PlainMemory("flash", 0x0800_0000, 2 << 20, False),
    PlainMemory("ram", 0x2000_0000, 2 << 20),
)


def memory_of_data(memories: Sequence[MemoryLike]) -> MemoryLike:
    """Where data without a place and the stack are: the largest writable memory.

    Raises:
        BadOption: there is none.
    """
    writable = [memory for memory in memories if memory.writable]
    if not writable:
        found = ", ".join(memory.name for memory in memories) or "no memory"
        raise BadOption("no memory can be written", found=found, hint="add a [[memory]]")
    return max(writable, key=lambda memory: memory.size_bytes)


def build(
    files: Mapping[str, bytes],
    processor: str,
    memories: Sequence[MemoryLike] = (),
    extra: Sequence[str] = (),
) -> Path:
    """Builds the C of a program into an image for a core.

    Args:
        files: `Firmware.sources("binary")`; `main.c` is left out.
        processor: cortex-m0plus, cortex-m3, cortex-m4, cortex-m7 or cortex-m33.
        memories: of the device; `GENERIC_MEMORIES` if there are none.
        extra: more compiler flags.

    Raises:
        BadOption: no such processor.
        DoesNotFit: a memory is too small; says by how much.
        MissingTool: the compiler is missing or fails.
    """
    core = find_processor(processor)
    places = memories or GENERIC_MEMORIES
    data = memory_of_data(places)
    toolchain = Toolchain(
        core.name,
        (*core.flags, "-DAC_SECTIONS"),
        linker_script(places),
        {"runtime/start.c": _START.encode()},
    )
    try:
        return build_image(files, toolchain, extra)
    except MissingTool as error:
        overflow = re.search(r"region '(\w+)': overflowed by (\d+) bytes", error.found or "")
        if overflow is None and "stack" not in (error.found or ""):
            raise
        name, over = overflow.groups() if overflow else (data.name, "")
        size = next(m.size_bytes for m in places if m.name == name)
        raise DoesNotFit(
            f"the program does not fit {name} of {size} B",
            found=f"{over} B over" if over else f"less than {STACK_BYTES} B left for the stack",
            hint="a smaller model, fewer entry points (entries=...), or a device with more memory",
        ) from error


# Nothing runs before the first call: the simulator fills the memories itself. `ac_return` is where
# every call returns to.
_START = """/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

extern uint8_t ac_stack_top[];
void ac_return(void);

void ac_return(void) {
    for (;;) {
        __asm__ volatile("nop");
    }
}

typedef struct {
    uint8_t *stack;
    void (*reset)(void);
} vectors;

extern const vectors ac_vectors;
const vectors ac_vectors __attribute__((section(".vectors"))) = {ac_stack_top, ac_return};
"""


def linker_script(memories: Sequence[MemoryLike]) -> str:
    """Code and constants go to flash if there is one, data to the largest RAM.

    Variables with `AC_IN(name)` or `AC_CONST_IN(name)` go to the memory of that name. The stack
    grows down from the end of the largest RAM.
    """
    data = memory_of_data(memories)
    code = next((memory for memory in memories if not memory.writable), data)
    regions = "\n".join(
        f"    {m.name} (rwx) : ORIGIN = {m.address:#x}, LENGTH = {m.size_bytes}" for m in memories
    )
    placed = "\n".join(
        f"    .ac_{m.name} : {{ *(.ac_{m.name}) }} > {m.name}\n"
        f"    .ac_const_{m.name} : {{ *(.ac_const_{m.name}) }} > {m.name}"
        for m in memories
    )
    top = data.address + data.size_bytes
    return f"""ENTRY(ac_return)
MEMORY {{
{regions}
}}
SECTIONS {{
    .vectors : {{ KEEP(*(.vectors)) }} > {code.name}
    .text : {{ *(.text .text.*) }} > {code.name}
    .rodata : {{ *(.rodata .rodata.*) }} > {code.name}
{placed}
    .data : {{ *(.data .data.*) }} > {data.name}
    .bss (NOLOAD) : {{ *(.bss .bss.* COMMON) }} > {data.name}
    ac_data_end = .;
    ac_stack_top = {top:#x};
    ASSERT({top:#x} - ac_data_end >= {STACK_BYTES}, "stack")
    /DISCARD/ : {{ *(.ARM.exidx .ARM.exidx.* .ARM.extab .ARM.extab.* .eh_frame .eh_frame_hdr) }}
}}
"""
