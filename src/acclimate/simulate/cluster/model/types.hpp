// SPDX-License-Identifier: Apache-2.0
// The shape of a cluster, what is counted, and what can go wrong. simulate/cluster/machine.py mirrors
// the three structures.
#pragma once

#include <cstdint>

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;

// Addresses of the machine; runtime/cluster.h names the same ones for programs.
constexpr u32 L1_BASE = 0x10000000;
constexpr u32 ROM_BASE = 0x1A000000;
constexpr u32 IO_BASE = 0x1A100000;
constexpr u32 UDMA_BASE = 0x1A102000;
constexpr u32 EVENT_BASE = 0x1B200000;
constexpr u32 DMA_BASE = 0x1B204000;
constexpr u32 L2_BASE = 0x1C000000;
constexpr u32 L3_BASE = 0x80000000;
constexpr u32 PAGE = 0xFFFFF000;
constexpr u32 RATE_BITS = 16; // fraction of l3_rate

struct Config {
    u32 cores;
    u32 l1_bytes;
    u32 l2_bytes;
    u32 banks;           // a power of two; 0: no two accesses ever conflict
    u32 l2_latency;      // cycles from grant to response; one access at a time per core
    u32 fpus;            // core i computes in unit i % fpus
    u32 icache_bytes;    // private, 4 ways of 16-byte lines; 0: every fetch hits
    u32 icache_miss;     // cycles that a miss adds
    u32 dma_bytes;       // per cycle
    u32 dma_queue;       // commands that wait
    u32 check_races;     // 1: two cores must not touch the same byte between two barriers
    u32 l3_bytes;        // 0: there is none
    u32 l3_setup;        // cycles of each copy before its first byte
    u32 l3_rate;         // bytes per cycle of a copy, in units of 2^-RATE_BITS
};

// Every cycle of a core counts as one of these; then follow counts that are not cycles.
enum Event : u32 {
    INSTRUCTIONS, // an instruction leaves the decode stage
    LOAD_USE,     // waits for the load before it
    BRANCH,       // refills the pipeline after a taken branch or jump
    FETCH,        // instruction cache miss
    CONFLICT,     // another core or the DMA has the L1 bank
    L2,           // waits for L2
    FPU,          // the shared FPU is taken, or a result is not there yet
    EXECUTE,      // instructions of several cycles: division, high multiplication, unaligned access
    BARRIER,      // waits for the other cores
    DMA,          // waits for a transfer, of L3 too
    IDLE,         // has no work
    CYCLE_EVENTS,
    FPU_OPS = CYCLE_EVENTS,
    LOADS,
    STORES,
    EVENTS
};

enum Status : u32 {
    RUNNING,
    DONE,
    TRAP,           // illegal instruction, ebreak, ecall: value = mcause
    OUTSIDE,        // no memory at address
    WRITES_CODE,    // store into the program
    STACK_OVERFLOW,
    BAD_LOOP,       // hardware loop against the rules: value = the rule's number
    RACE,           // other_core touched the byte at other_pc since the last barrier
    DEADLOCK,       // every core waits
    BAD_DMA,        // transfer outside the memories, or of no bytes
    BAD_UDMA,       // the same between L3 and L2
    IN_L3           // a core or the DMA accesses L3: value = 1 for a store
};

struct Outcome {
    u32 status;
    u32 core;
    u32 pc;
    u32 address;
    u32 value;
    u32 other_core;
    u32 other_pc;
    u32 result;     // first result word of the call
    u64 cycles;     // from the first instruction of the function to the one after its return
};
