// SPDX-License-Identifier: Apache-2.0
// DMA between L1 and L2, programmed like PULP's mchan: read CMD for an id, write size and flags,
// then the L1 address, the L2 address, and for 2-D the bytes of a row's step and the row's length.
//
// Copies into L1 and copies out of it have ports of their own and run at the same time, each at the
// full rate; those of one direction run one after the other. Source: pulp-platform/mchan,
// rtl/top/mchan.sv: two 32-bit ports to L1 for either direction, and one AXI port.
#pragma once

#include <deque>
#include <vector>

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

// The copies of one direction.
struct Port {
    std::deque<Transfer> queue;
    u32 words = 0;   // that asked for a bank of L1 in this cycle
    u32 granted = 0; // one bit per word

    bool moves(u64 now) const { return !queue.empty() && queue.front().ready <= now; }
};

class Dma {
public:
    explicit Dma(u32 queue) : room(queue) {}

    u32 busy = 0; // one bit per id
    u32 allocated = 0;
    Port ports[2];                  // out of L1, into L1
    std::vector<Transfer> unawaited; // as they were given, until somebody has waited for them

    bool idle() const { return ports[0].queue.empty() && ports[1].queue.empty(); }
    bool can_allocate() const { return allocated != (1u << DMA_IDS) - 1; }
    bool full() const { return ports[0].queue.size() + ports[1].queue.size() >= room; }

    u32 allocate() {
        u32 id = 0;
        while (allocated >> id & 1)
            id++;
        allocated |= 1u << id;
        return id;
    }

    void release(u32 ids) {
        ids &= ~busy;
        allocated &= ~ids;
        std::vector<Transfer> rest;
        for (const Transfer &t : unawaited)
            if (!(ids >> t.id & 1))
                rest.push_back(t);
        unawaited.swap(rest);
    }

    bool done(u32 id) const { return !(busy >> id & 1); }

    void push(const Transfer &transfer) {
        ports[transfer.to_l1].queue.push_back(transfer);
        unawaited.push_back(transfer);
        busy |= 1u << transfer.id;
    }

    // The transfer that nobody has waited for yet and that an access to a byte races with.
    const Transfer *races(u32 address, bool write) const {
        for (const Transfer &t : unawaited) {
            const bool inner = address - t.l1 < t.left, outer = in_l2(t, address);
            if ((inner && (write || t.to_l1)) || (outer && (write || !t.to_l1)))
                return &t;
        }
        return nullptr;
    }

    // The one of the other direction, which may run at the same time, that a transfer races with.
    const Transfer *races(const Transfer &t) const {
        for (u32 done = 0, row = 0; done < t.left; done++, row++) {
            if (t.row && row == t.row)
                row = 0;
            const u32 outer = t.l2 + (t.row ? done / t.row * t.step + row : done);
            for (const Transfer &other : unawaited)
                if (other.to_l1 != t.to_l1 && (in_l2(other, outer) || t.l1 + done - other.l1 < other.left))
                    return &other;
        }
        return nullptr;
    }

    // Bytes that one access to L1 moves: never across a word of L1 or a row of L2.
    static u32 piece(const Transfer &t) {
        u32 bytes = 4 - (t.l1 & 3);
        bytes = bytes < t.left ? bytes : t.left;
        return t.row && t.row_left < bytes ? t.row_left : bytes;
    }

    void advance(Port &port, u32 bytes) {
        Transfer &t = port.queue.front();
        t.l1 += bytes;
        t.l2 += bytes;
        t.left -= bytes;
        if (t.row && (t.row_left -= bytes) == 0) {
            t.l2 += t.step - t.row;
            t.row_left = t.row;
        }
        if (t.left == 0) {
            const u32 id = t.id;
            port.queue.pop_front();
            for (const Port &any : ports)
                for (const Transfer &other : any.queue)
                    if (other.id == id)
                        return;
            busy &= ~(1u << id);
        }
    }

private:
    static bool in_l2(const Transfer &t, u32 address) {
        const u32 offset = address - t.l2;
        if (!t.row)
            return offset < t.left;
        return t.step ? offset / t.step < t.left / t.row && offset % t.step < t.row : offset < t.row;
    }

    u32 room;
};
