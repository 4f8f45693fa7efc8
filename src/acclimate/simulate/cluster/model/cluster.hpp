// SPDX-License-Identifier: Apache-2.0
// The cluster around the cores: banked L1, L2, L3, event unit, DMA, uDMA, shared FPUs, profile, checks.
//
// One cycle: (1) clock low, responses arrive, cores say what they want; (2) FPUs and L1 banks are
// shared out, round robin; (3) events; (4) accesses happen, losers are told, clock high.
#pragma once

#include <memory>
#include <vector>

#include "core.hpp"
#include "dma.hpp"
#include "loops.hpp"
#include "races.hpp"
#include "udma.hpp"

class Cluster {
public:
    explicit Cluster(const Config &config);

    // Program: entry of the cores, end of the code in L2, stacks (from `stacks` upwards, one
    // after the other), and the address after the call in the start-up code.
    void start(u32 entry, u32 code_end, u32 stacks, u32 stack_bytes, u32 host_return);
    // Cycles from the issue of an instruction in [low, high) on belong to a slot.
    void attribute(u32 low, u32 high, u16 slot);
    // Asks core 0 to call a function; `run` then simulates until it is done.
    void call(u32 function, const u32 *arguments);
    void run(u64 cycles, Outcome &outcome);

    u8 *memory(u32 address); // what cores and DMA reach
    u8 *external(u32 address) { return address - L3_BASE < config.l3_bytes ? &l3[address - L3_BASE] : nullptr; }
    u64 now = 0;
    u32 slots = 1;
    std::vector<u64> counters; // [slots][cores][EVENTS]

private:
    static constexpr u16 SLOT = 0x0FFF, LOOP = 0x8000, BEGIN = 0x4000, END = 0x2000;

    void cycle();
    void low(Core &core);
    void share_fpus();
    void share_banks();
    void move_dma();
    void move_udma();
    void events();
    void finish(u32 number);
    void access(u32 number);
    void peripheral(u32 number, u32 address, bool write, u32 data);
    void command(u32 number, u32 word);
    void page(u32 number, u32 word);
    void race(u32 number, u32 address, u32 other_core, u32 other_pc);
    bool wakes(const Core &core, u32 number) const;
    u32 consume(Core &core, u32 number);
    void issued(u32 number);
    void check_loops(u32 number);
    void fail(u32 status, u32 number, u32 pc, u32 address = 0, u32 value = 0);
    void flush_sleepers();
    void wake(Core &core, u32 number);

    Wait wait_of(u32 address) const;
    u64 &counter(u32 number, u32 event) {
        return counters[(u64(cores[number]->slot) * config.cores + number) * EVENTS + event];
    }
    u32 word(u32 address) {
        const u8 *at = memory(address & ~3u);
        return at ? *reinterpret_cast<const u32 *>(at) : 0;
    }
    static u32 wait_event(Wait wait) {
        return wait == Wait::BARRIER ? BARRIER : wait == Wait::DMA || wait == Wait::UDMA ? DMA : IDLE;
    }

    Config config;
    std::vector<std::unique_ptr<Core>> cores;
    std::vector<u8> l1, l2, l3;
    std::vector<u32> rom;
    std::vector<u16> marks; // per half word of the code: slot and flags
    u32 code_end = L2_BASE, stacks = 0, stack_bytes = 0;

    std::vector<u32> bank_turn, fpu_turn, fpu_divider; // next requester; core that divides + 1
    std::vector<u32> bank_wanted, touched_banks;

    u32 team = 0, arrived = 0;
    bool released = false;
    u32 job_function = 0, job_argument = 0, job_mask = 0;
    bool host_pending = false, counting = false, stopped = false;
    u32 host_call[9] = {0};
    u64 began = 0;
    u32 trap_pc = 0;
    ::Dma dma;
    Udma udma;
    Races races;
    Outcome result{};
};
