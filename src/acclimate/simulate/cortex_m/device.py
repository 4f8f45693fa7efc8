# SPDX-License-Identifier: Apache-2.0
"""Arm microcontrollers in Unicorn: exact instruction counts, estimated cycles."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import unicorn
from unicorn import arm_const

from acclimate.errors import DoesNotFit, SimulationFault
from acclimate.program import Program
from acclimate.simulate.bare import BareDevice, FloatBits, Image
from acclimate.simulate.cortex_m.build import GENERIC_MEMORIES, MemoryLike, memory_of_data
from acclimate.simulate.cortex_m.counter import Counter
from acclimate.simulate.cortex_m.cycles import decode, timing
from acclimate.simulate.cortex_m.processors import find_processor
from acclimate.simulate.cortex_m.profile import Cost, Slots, function_costs, line_costs, slots_of

_PAGE = 4096
_IO_ADDRESS = 0xA000_0000  # inputs and outputs: outside of the memories of any device
_LIMIT = 50_000_000_000  # instructions of one call: minutes
_CORE_ARGUMENTS = [getattr(arm_const, f"UC_ARM_REG_R{i}") for i in range(4)]
_FLOAT_ARGUMENTS = [getattr(arm_const, f"UC_ARM_REG_S{i}") for i in range(16)]
_ACCESS = {
    unicorn.UC_MEM_READ_UNMAPPED: "reads", unicorn.UC_MEM_WRITE_UNMAPPED: "writes",
    unicorn.UC_MEM_FETCH_UNMAPPED: "jumps to", unicorn.UC_MEM_READ_PROT: "reads",
    unicorn.UC_MEM_WRITE_PROT: "writes read-only", unicorn.UC_MEM_FETCH_PROT: "jumps to",
}  # fmt: skip


@dataclass(frozen=True)
class _Region:
    address: int
    content: npt.NDArray[np.uint8]


class CortexM(BareDevice):
    """A program on a simulated Arm microcontroller.

    Args:
        program: what was built, with the initial values of its weights.
        image: ELF of it, made by `build` for the same device.
        processor: cortex-m0plus, cortex-m3, cortex-m4, cortex-m7 or cortex-m33.
        memories: of the device, the same as for `build`; `GENERIC_MEMORIES` if there are none.
        lr: learning rate where `train` gets none.
        limit: instructions after which a call that does not end is stopped.

    Attributes:
        instructions: executed in the last call, exact.
        cycles: of the last call; an estimate, from the table `cycles_source` and without waiting
            for memory.
    """

    def __init__(
        self,
        program: Program,
        image: Path,
        processor: str,
        memories: Sequence[MemoryLike],
        lr: float,
        *,
        limit: int = _LIMIT,
    ) -> None:
        self.processor = find_processor(processor)
        self.instructions = 0
        self.cycles = 0
        self._image_path = image
        self._regions: list[_Region] = []
        mode = unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
        cpu = getattr(arm_const, f"UC_CPU_ARM_CORTEX_{self.processor.unicorn}")
        self._engine = unicorn.Uc(unicorn.UC_ARCH_ARM, mode, cpu)
        for memory in memories or GENERIC_MEMORIES:
            self._map(memory.address, memory.size_bytes, memory.writable)
        stack = memory_of_data(memories or GENERIC_MEMORIES)
        self._stack_top = stack.address + stack.size_bytes // 8 * 8
        self._scratch_bytes = 0
        table = timing(self.processor.cycles)
        self.cycles_source = table.source
        self._counter = Counter(decode(image, self.processor.cycles), table, limit)
        self._counter.attach(self._engine)
        super().__init__(program, _image(image), lr)

    # ---- memory

    def _map(self, address: int, size: int, writable: bool) -> None:
        """Maps memory of this process into the device, whole pages of it."""
        pages = mmap.mmap(-1, -(-size // _PAGE) * _PAGE)
        content = np.frombuffer(pages, np.uint8)
        rights = unicorn.UC_PROT_ALL if writable else unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC
        self._engine.mem_map_ptr(address, len(content), rights, content.ctypes.data)
        self._regions.append(_Region(address, content))

    def _memory(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        for region in self._regions:
            at = address - region.address
            if 0 <= at <= len(region.content) - size:
                return region.content[at : at + size]
        raise DoesNotFit(
            f"{self.processor.name} has no {size} B of memory at {address:#010x}",
            found=", ".join(f"{r.address:#010x}: {len(r.content)} B" for r in self._regions),
            hint="build the image for the same device",
        )

    def _scratch(self, size: int) -> int:
        if size > self._scratch_bytes:
            if self._scratch_bytes:
                region = self._regions.pop()
                self._engine.mem_unmap(region.address, len(region.content))
            self._map(_IO_ADDRESS, max(size, _PAGE), writable=True)
            self._scratch_bytes = len(self._regions[-1].content)
        return _IO_ADDRESS

    # ---- calls

    def _call(self, address: int, arguments: Sequence[int], returns_float: bool) -> int:
        start = address & ~1
        slots = self._slots(self.image.function(start))
        self._pass(arguments)
        back = self.image.symbol("ac_return")
        self._engine.reg_write(arm_const.UC_ARM_REG_LR, back | 1)
        self._called = slots
        self._counter.begin(start, slots.numbers)
        try:
            self._engine.emu_start(start | 1, back & ~1)
        except unicorn.UcError as error:
            raise self._describe(error) from None
        self._counter.end()
        self.instructions = self._counter.instructions
        self.cycles = self._counter.time_cycles
        if self._counter.over_limit:
            raise self._never_ends()
        in_fpu = returns_float and self.processor.fpu
        result = arm_const.UC_ARM_REG_S0 if in_fpu else arm_const.UC_ARM_REG_R0
        return int(self._engine.reg_read(result)) & 0xFFFFFFFF

    def _pass(self, arguments: Sequence[int]) -> None:
        """Puts arguments where the calling convention wants them (Arm IHI 0042, AAPCS)."""
        core, floats, stack = list(_CORE_ARGUMENTS), list(_FLOAT_ARGUMENTS), []
        for value in arguments:
            in_fpu = self.processor.fpu and isinstance(value, FloatBits)
            registers = floats if in_fpu else core
            if registers:
                self._engine.reg_write(registers.pop(0), int(value))
            else:
                stack.append(int(value))
        top = self._stack_top - -(-len(stack) // 2) * 8
        if stack:
            self._memory(top, 4 * len(stack)).view(np.uint32)[...] = stack
        self._engine.reg_write(arm_const.UC_ARM_REG_SP, top)

    def _slots(self, function: str) -> Slots:
        code = self._counter.code
        return _cached_slots(self._image_path, function, code.start, len(code.operations))

    # ---- profile

    @property
    def line_costs(self) -> list[Cost]:
        """Instructions and estimated cycles of the last call by line of the function called."""
        return line_costs(self._counter, self._called)

    @property
    def function_costs(self) -> list[Cost]:
        """Instructions and estimated cycles of the last call by function, without its callees."""
        return function_costs(self._counter, self.image)

    def executions(self) -> dict[int, int]:
        """How often the last call executed the instruction at each address."""
        counter = self._counter
        return {
            counter.code.start + 2 * int(at): int(counter.counts[at])
            for at in np.flatnonzero(counter.counts)
        }

    # ---- faults

    def _describe(self, error: unicorn.UcError) -> SimulationFault:
        pc = int(self._engine.reg_read(arm_const.UC_ARM_REG_PC)) & ~1
        name = self.processor.name
        if self._counter.fault is not None:
            access, address = self._counter.fault
            what = f"{name} {_ACCESS.get(access, 'touches')} memory at {address:#010x}"
            return self._fault_at(what if access in _PROTECTED else f"{what}: there is none", pc)
        if error.errno in (unicorn.UC_ERR_INSN_INVALID, unicorn.UC_ERR_EXCEPTION):
            return self._fault_at(f"{name} meets an undefined instruction", pc)
        return self._fault_at(f"{name} stops: {error}", pc)

    def _never_ends(self) -> SimulationFault:
        pc = int(self._engine.reg_read(arm_const.UC_ARM_REG_PC)) & ~1
        count = f"{self._counter.instructions:,}".replace(",", " ")
        return self._fault_at(f"{self.processor.name} did not end after {count} instructions", pc)

    def _fault_at(self, what: str, pc: int) -> SimulationFault:
        where = self.image.where(pc)
        if where == f"{pc:#010x}":  # no function: say who jumped there
            back = int(self._engine.reg_read(arm_const.UC_ARM_REG_LR)) & ~1
            where = f"called from {self.image.where(back - 2)}"
        return SimulationFault(
            what,
            found=f"pc {pc:#010x}",
            where=where,
            hint="run the same C on this machine: firmware.run('host')",
        )


_PROTECTED = (
    unicorn.UC_MEM_READ_PROT, unicorn.UC_MEM_WRITE_PROT, unicorn.UC_MEM_FETCH_PROT,
)  # fmt: skip


# Devices of one image share what is read of it.
@lru_cache(maxsize=8)
def _image(path: Path) -> Image:
    return Image(path)


@lru_cache(maxsize=64)
def _cached_slots(path: Path, function: str, start: int, halfwords: int) -> Slots:
    return slots_of(_image(path), function, start, halfwords)
