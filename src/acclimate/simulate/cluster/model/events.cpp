// SPDX-License-Identifier: Apache-2.0
// Accesses of the cores: memories, event unit, registers of DMA and uDMA, the line to the host.
#include <cstring>

#include "cluster.hpp"

// Offsets in the event unit. Reading one of the first four with cv.elw sleeps until it happens.
constexpr u32 EVENT_BARRIER = 0x1C, EVENT_JOB = 0x80, EVENT_HOST = 0xC0;
constexpr u32 EVENT_TEAM = 0x00, EVENT_ARGUMENT = 0x84, EVENT_FORK = 0x88;
// Offsets in the DMA.
constexpr u32 DMA_COMMAND = 0x00, DMA_STATUS = 0x04, DMA_WAIT = 0x40;
// Offsets in the uDMA.
constexpr u32 UDMA_L3 = 0x00, UDMA_L2 = 0x04, UDMA_START = 0x08, UDMA_WAIT = 0x40;
// Offsets in the line to the host.
constexpr u32 IO_CORES = 0x00, IO_CYCLE = 0x04, IO_TRAP_PC = 0x10, IO_TRAP_CAUSE = 0x14, IO_RESULT = 0x18,
              IO_ARGUMENTS = 0x44;

Wait Cluster::wait_of(u32 address) const {
    switch (address & PAGE) {
    case EVENT_BASE:
        switch (address & ~PAGE) {
        case EVENT_BARRIER: return Wait::BARRIER;
        case EVENT_JOB: return Wait::JOB;
        case EVENT_HOST: return Wait::HOST;
        default: return Wait::NONE;
        }
    case DMA_BASE: {
        const u32 offset = address & ~PAGE;
        return offset >= DMA_WAIT && offset < DMA_WAIT + 4 * DMA_IDS ? Wait::DMA : Wait::NONE;
    }
    case UDMA_BASE: {
        const u32 offset = address & ~PAGE;
        return offset >= UDMA_WAIT && offset < UDMA_WAIT + 4 * UDMA_CHANNELS ? Wait::UDMA : Wait::NONE;
    }
    default: return Wait::NONE;
    }
}

bool Cluster::wakes(const Core &core, u32 number) const {
    switch (core.wait) {
    case Wait::BARRIER: return released && (team >> number & 1);
    case Wait::JOB: return job_mask >> number & 1;
    case Wait::DMA: return dma.done(core.wait_id - DMA_WAIT / 4);
    case Wait::UDMA: return udma.done(core.wait_id - UDMA_WAIT / 4);
    case Wait::HOST: return number == 0 && host_pending;
    default: return true;
    }
}

// The value that the wait returns; the event is used up.
u32 Cluster::consume(Core &core, u32 number) {
    switch (core.wait) {
    case Wait::JOB: job_mask &= ~(1u << number); return job_function;
    case Wait::DMA: dma.release(1u << (core.wait_id - DMA_WAIT / 4)); return 0;
    case Wait::UDMA: udma.release(core.wait_id - UDMA_WAIT / 4); return 0;
    case Wait::HOST: host_pending = false; return host_call[0];
    default: return 0;
    }
}

// (3) Who has come to the barrier, and which sleepers wake.
void Cluster::events() {
    for (u32 i = 0; i < config.cores; i++) {
        Core &core = *cores[i];
        const bool asks = !core.asleep && core.granted && core.rtl.data_req_o && !core.rtl.data_we_o;
        if (asks && core.rtl.data_addr_o == EVENT_BASE + EVENT_BARRIER)
            arrived |= 1u << i;
    }
    released = arrived && (arrived & team) == team;
    if (released) {
        arrived = 0;
        if (config.check_races)
            races.barrier();
    }
    for (u32 i = 0; i < config.cores; i++) {
        Core &core = *cores[i];
        if (core.asleep && wakes(core, i))
            wake(core, i);
    }
}

void Cluster::wake(Core &core, u32 number) {
    if (counting)
        counter(number, wait_event(core.wait)) += now - core.asleep_since;
    core.asleep = false;
    low(core);
}

void Cluster::access(u32 number) {
    Core &core = *cores[number];
    Vcore &rtl = core.rtl;
    const u32 address = rtl.data_addr_o & ~3u;
    const bool write = rtl.data_we_o;
    u8 *at = memory(address);
    if (!at)
        return peripheral(number, address, write, rtl.data_wdata_o);
    const bool inner = address - L1_BASE < config.l1_bytes;
    u32 data = 0;
    if (write) {
        if (address - L2_BASE < code_end - L2_BASE && stack_bytes)
            return fail(WRITES_CODE, number, core.pc, rtl.data_addr_o);
        const u32 word = rtl.data_wdata_o, enable = rtl.data_be_o;
        for (u32 byte = 0; byte < 4; byte++)
            if (enable >> byte & 1)
                at[byte] = u8(word >> (8 * byte));
    } else {
        memcpy(&data, at, 4);
    }
    if (counting)
        counter(number, write ? STORES : LOADS)++;
    if (inner && stack_bytes && address - stacks < config.cores * stack_bytes && (address - stacks) % stack_bytes < 16)
        return fail(STACK_OVERFLOW, number, core.pc, rtl.data_addr_o);
    if (inner && config.check_races && counting) {
        const Races::Found found =
            races.access(address - L1_BASE, rtl.data_be_o, write, number, core.pc);
        if (found.race)
            return race(number, rtl.data_addr_o, found.core, found.pc);
    }
    if (config.check_races && counting) {
        const Transfer *transfer = dma.races(rtl.data_addr_o, write);
        if (transfer)
            return race(number, rtl.data_addr_o, transfer->core, transfer->pc);
        if (const Page *other = udma.races(rtl.data_addr_o, 1, write))
            return race(number, rtl.data_addr_o, other->core, other->pc);
    }
    core.answer_data = data;
    if (inner)
        core.answer = true;
    else
        core.l2_cycles = config.l2_latency;
}

void Cluster::peripheral(u32 number, u32 address, bool write, u32 data) {
    Core &core = *cores[number];
    const u32 offset = address & ~PAGE;
    u32 value = 0;
    switch (address & PAGE) {
    case EVENT_BASE:
        if (write && offset == EVENT_TEAM)
            team = data;
        else if (write && offset == EVENT_JOB)
            job_function = data;
        else if (write && offset == EVENT_ARGUMENT)
            job_argument = data;
        else if (write && offset == EVENT_FORK) {
            job_mask |= data;
            if (config.check_races)
                races.barrier();
        } else if (offset == EVENT_ARGUMENT)
            value = job_argument;
        break;
    case DMA_BASE:
        if (write && offset == DMA_COMMAND) {
            if (dma.full() && core.command_words == 0) {
                core.granted = false;
                return;
            }
            command(number, data);
        } else if (write && offset == DMA_STATUS)
            dma.release(data);
        else if (offset == DMA_COMMAND) {
            if (!dma.can_allocate()) {
                core.granted = false;
                return;
            }
            value = dma.allocate();
        } else
            value = dma.busy;
        break;
    case UDMA_BASE:
        if (write && offset == UDMA_L3)
            udma.l3 = data;
        else if (write && offset == UDMA_L2)
            udma.l2 = data;
        else if (write && offset == UDMA_START)
            page(number, data);
        break;
    case IO_BASE:
        if (write && offset == IO_TRAP_PC)
            trap_pc = data;
        else if (write && offset == IO_TRAP_CAUSE)
            fail(TRAP, number, trap_pc, 0, data);
        else if (write && offset == IO_RESULT) {
            const u64 cycles = result.cycles;
            fail(DONE, number, core.pc);
            result.result = data;
            result.cycles = cycles;
        } else if (offset == IO_CORES)
            value = config.cores;
        else if (offset == IO_CYCLE)
            value = u32(now);
        else if (offset >= IO_ARGUMENTS && offset < IO_ARGUMENTS + 32)
            value = host_call[1 + (offset - IO_ARGUMENTS) / 4];
        break;
    default: return fail(external(address) ? IN_L3 : OUTSIDE, number, core.pc, core.rtl.data_addr_o, write);
    }
    core.answer = true;
    core.answer_data = value;
}

// The words of a DMA command arrive one by one: size and flags with the id above bit 24, L1
// address, L2 address, and for 2-D the step of a row and its length.
void Cluster::command(u32 number, u32 data) {
    Core &core = *cores[number];
    core.command[core.command_words++] = data;
    const u32 *words = core.command;
    const bool rows = words[0] & DMA_2D;
    if (core.command_words < (rows ? 5u : 3u))
        return;
    core.command_words = 0;
    const u32 size = words[0] & DMA_SIZE_MASK, id = words[0] >> 24;
    if (!size || id >= DMA_IDS || (rows && !words[4]))
        return fail(BAD_DMA, number, core.pc, words[1], size);
    const u32 row = rows ? words[4] : 0;
    const Transfer transfer{id, number, core.pc, (words[0] & DMA_TO_L1) != 0, size, words[1], words[2], row, row,
                            rows ? words[3] : 0, now + config.l2_latency};
    if (config.check_races) {
        const Transfer *other = dma.races(transfer);
        if (other)
            return race(number, words[1], other->core, other->pc);
        for (u32 at = 0; at < size; at += row ? row : size)
            if (const Page *page = udma.races(words[2] + (row ? at / row * words[3] : 0), row ? row : size,
                                              !transfer.to_l1))
                return race(number, words[2], page->core, page->pc);
        // The bytes of L1 count as touched by the core that gives the command.
        for (u32 at = words[1]; at < words[1] + size && at - L1_BASE < config.l1_bytes; at++) {
            const Races::Found found =
                races.access(at - L1_BASE, 1u << (at & 3), transfer.to_l1, number, core.pc);
            if (found.race)
                return race(number, at, found.core, found.pc);
        }
    }
    dma.push(transfer);
}

// The last word of a command to the uDMA: channel, direction and size.
void Cluster::page(u32 number, u32 data) {
    const Core &core = *cores[number];
    const u32 size = data & UDMA_SIZE_MASK, last = size - 1;
    const Page page{data >> UDMA_CHANNEL_SHIFT, number, core.pc, (data & UDMA_TO_L2) != 0, size, udma.l3, udma.l2};
    const bool outer = size && external(page.l3) && external(page.l3 + last);
    const bool inner = size && page.l2 >= L2_BASE && memory(page.l2) && memory(page.l2 + last);
    if (!inner || !outer)
        return fail(BAD_UDMA, number, core.pc, outer ? page.l2 : page.l3, size);
    for (u32 at = 0; config.check_races && at < size; at++)
        if (const Transfer *other = dma.races(page.l2 + at, page.to_l2))
            return race(number, page.l2 + at, other->core, other->pc);
    udma.push(page, now);
}

void Cluster::race(u32 number, u32 address, u32 other_core, u32 other_pc) {
    result.other_core = other_core;
    result.other_pc = other_pc;
    fail(RACE, number, cores[number]->pc, address);
}
