// SPDX-License-Identifier: Apache-2.0
// DMA between L1 and L2, programmed like PULP's mchan: read CMD for an id, write size and flags,
// then the L1 address, the L2 address, and for 2-D the bytes of a row's step and the row's length.
#pragma once

#include <deque>

#include "types.hpp"

constexpr u32 DMA_IDS = 16;
constexpr u32 DMA_SIZE_MASK = 0x1FFFF;
constexpr u32 DMA_TO_L1 = 1u << 17;
constexpr u32 DMA_2D = 1u << 19;

struct Transfer {
    u32 id, core, pc;
    bool to_l1;
    u32 left;    // bytes
    u32 l1;      // next address
    u32 l2;      // next address
    u32 row;     // bytes of a row in L2; 0: one piece
    u32 row_left;
    u32 step;    // from one row to the next [B]
    u64 ready;   // first cycle in which data move: the latency of L2 has passed
};

class Dma {
public:
    explicit Dma(u32 queue) : room(queue) {}

    u32 busy = 0; // one bit per id
    u32 allocated = 0;
    std::deque<Transfer> queue;

    bool can_allocate() const { return allocated != (1u << DMA_IDS) - 1; }
    bool full() const { return queue.size() >= room; }

    u32 allocate() {
        u32 id = 0;
        while (allocated >> id & 1)
            id++;
        allocated |= 1u << id;
        return id;
    }
    void release(u32 ids) { allocated &= ~(ids & ~busy); }
    bool done(u32 id) const { return !(busy >> id & 1); }

    void push(const Transfer &transfer) {
        queue.push_back(transfer);
        busy |= 1u << transfer.id;
    }

    // Bytes that one access to L1 moves: never across a word of L1 or a row of L2.
    static u32 piece(const Transfer &t) {
        u32 bytes = 4 - (t.l1 & 3);
        bytes = bytes < t.left ? bytes : t.left;
        return t.row && t.row_left < bytes ? t.row_left : bytes;
    }

    void advance(u32 bytes) {
        Transfer &t = queue.front();
        t.l1 += bytes;
        t.l2 += bytes;
        t.left -= bytes;
        if (t.row && (t.row_left -= bytes) == 0) {
            t.l2 += t.step - t.row;
            t.row_left = t.row;
        }
        if (t.left == 0) {
            const u32 id = t.id;
            queue.pop_front();
            for (const Transfer &other : queue)
                if (other.id == id)
                    return;
            busy &= ~(1u << id);
        }
    }

private:
    u32 room;
};
