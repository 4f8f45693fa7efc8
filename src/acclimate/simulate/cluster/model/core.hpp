// SPDX-License-Identifier: Apache-2.0
// One core: the verilated RTL and what the cluster remembers about it.
#pragma once

#include <vector>

#include "Vcore.h"
#include "types.hpp"
#include "verilated.h"

// What a core that asked for an event waits for.
enum class Wait : u8 { NONE, BARRIER, JOB, DMA, UDMA, HOST };

// Private instruction cache: 4 ways of 16-byte lines, replaced in turn.
class InstructionCache {
public:
    explicit InstructionCache(u32 bytes) : sets(bytes / (4 * 16)), tags(sets * 4, 0), next(sets, 0) {}

    // True if the line was there; otherwise it is from now on.
    bool hit(u32 address) {
        const u32 line = (address >> 4) + 1; // 0 marks an empty way
        const u32 set = line % sets;
        for (u32 way = 0; way < 4; way++)
            if (tags[set * 4 + way] == line)
                return true;
        tags[set * 4 + (next[set]++ & 3)] = line;
        return false;
    }

private:
    u32 sets;
    std::vector<u32> tags;
    std::vector<u8> next;
};

struct Core {
    Core(u32 number, u32 boot, u32 icache_bytes) : icache(icache_bytes) {
        rtl.hart_id_i = number;
        rtl.boot_addr_i = boot;
        rtl.mtvec_addr_i = ROM_BASE;
        rtl.instr_gnt_i = 1;
        rtl.fpu_allow_i = 1;
        // NOTE: a reset that is low from the start has no falling edge, and flops behind a gated
        // clock (the divider's) are only reset on that edge.
        rtl.rst_ni = 1;
        rtl.eval();
        rtl.rst_ni = 0;
        rtl.eval();
        for (int half = 0; half < 10; half++) {
            rtl.clk_i = !rtl.clk_i;
            rtl.eval();
        }
        rtl.clk_i = 0;
        rtl.eval();
        rtl.rst_ni = 1;
    }
    ~Core() { rtl.final(); }

    // Registers of hardware loop 0 or 1.
    u32 loop_start(u32 loop) const { return u32(rtl.loop_start_o >> 32 * loop); }
    u32 loop_end(u32 loop) const { return u32(rtl.loop_end_o >> 32 * loop); }
    u32 loop_count(u32 loop) const { return u32(rtl.loop_count_o >> 32 * loop); }

    VerilatedContext context;
    Vcore rtl{&context};
    InstructionCache icache;

    // Data side: at most one response is due.
    bool granted = false;
    bool answer = false;
    u32 answer_data = 0;
    u32 l2_cycles = 0; // left of an access to L2

    // Instruction side.
    bool fetching = false;
    u32 fetch_address = 0;
    u32 fetch_cycles = 0;

    // Waiting for an event; asleep = the RTL has stopped its clock and needs no evaluation.
    Wait wait = Wait::NONE;
    u32 wait_id = 0;
    bool asleep = false;
    u64 asleep_since = 0;

    bool fpu_denied = false;
    u32 pc = 0;   // of the instruction that left the decode stage last
    u16 slot = 0; // of the profile
    u32 check_loop = 0; // a hardware loop register changes: look at it in this many cycles

    // Words of the DMA command that this core is writing.
    u32 command[5] = {0};
    u32 command_words = 0;
};
