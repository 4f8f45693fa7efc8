// SPDX-License-Identifier: Apache-2.0
// Copies between L3 and L2, as the uDMA of PULP chips makes them: programmed by register, one after
// the other in the order in which they were given, each after the set-up of the serial bus. Many
// channels may wait. That the copies take cycles of L2 from the cores and their DMA is not modelled:
// they take less than a byte of L2 per cycle.
#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "types.hpp"

constexpr u32 UDMA_CHANNELS = 16;
constexpr u32 UDMA_SIZE_MASK = 0x07FFFFFF;
constexpr u32 UDMA_TO_L2 = 1u << 27;
constexpr u32 UDMA_CHANNEL_SHIFT = 28;

struct Page {
    u32 channel, core, pc;
    bool to_l2;
    u32 size, l3, l2; // bytes, and addresses of the first ones
};

class Udma {
public:
    u32 l3 = 0, l2 = 0; // addresses for the next command

    Udma(u32 setup, u32 rate) : setup(setup), rate(rate) {}

    bool idle() const { return queue.empty(); }

    bool done(u32 channel) const {
        return std::none_of(queue.begin(), queue.end(), [=](const Page &p) { return p.channel == channel; });
    }

    void push(const Page &page, u64 now) {
        if (queue.empty())
            begin(now);
        queue.push_back(page);
        unawaited.push_back(page);
    }

    void release(u32 channel) {
        const auto waited = [=](const Page &p) { return p.channel == channel; };
        unawaited.erase(std::remove_if(unawaited.begin(), unawaited.end(), waited), unawaited.end());
    }

    // The copy that is under way, and where and how many of its bytes move in this cycle.
    const Page *step(u64 now, u32 &at, u32 &bytes) {
        bytes = 0;
        if (queue.empty() || now < ready)
            return nullptr;
        credit += rate;
        at = moved;
        bytes = std::min(credit >> RATE_BITS, queue.front().size - moved);
        credit &= (1u << RATE_BITS) - 1;
        moved += bytes;
        return &queue.front();
    }

    // After the bytes of a step have moved.
    void finish(u64 now) {
        if (queue.empty() || moved < queue.front().size)
            return;
        queue.pop_front();
        begin(now);
    }

    // The copy that nobody has waited for and that an access to some bytes of L2 races with.
    const Page *races(u32 address, u32 bytes, bool write) const {
        for (const Page &p : unawaited)
            if (address < p.l2 + p.size && p.l2 < address + bytes && (write || p.to_l2))
                return &p;
        return nullptr;
    }

private:
    void begin(u64 now) {
        ready = now + setup;
        moved = credit = 0;
    }

    u32 setup, rate; // cycles before the first byte; bytes per cycle in units of 2^-RATE_BITS
    u64 ready = 0;
    u32 moved = 0, credit = 0; // of the copy under way
    std::deque<Page> queue;
    std::vector<Page> unawaited;
};
