// SPDX-License-Identifier: Apache-2.0
// Finds two cores that touch the same byte between two barriers, one of them writing.
#pragma once

#include <vector>

#include "types.hpp"

class Races {
public:
    explicit Races(u32 bytes) : touched(bytes) {}

    // From here on nothing of before can race: all cores have met.
    void barrier() { epoch++; }

    struct Found {
        bool race;
        u32 core, pc;
    };

    Found access(u32 offset, u32 byte_enable, bool write, u32 core, u32 pc) {
        for (u32 byte = 0; byte < 4; byte++) {
            if (!(byte_enable >> byte & 1))
                continue;
            Byte &b = touched[(offset & ~3u) + byte];
            if (b.epoch != epoch)
                b = Byte{epoch, 0, 0, NOBODY, 0};
            const u32 self = 1u << core;
            if (b.writer != NOBODY && b.writer != core)
                return {true, b.writer, b.writer_pc};
            if (write && (b.readers & ~self))
                return {true, u32(__builtin_ctz(b.readers & ~self)), b.reader_pc};
            if (write) {
                b.writer = u8(core);
                b.writer_pc = pc;
            } else {
                b.readers |= u16(self);
                b.reader_pc = pc;
            }
        }
        return {false, 0, 0};
    }

private:
    static constexpr u8 NOBODY = 0xFF;
    struct Byte {
        u32 epoch = 0;
        u32 writer_pc = 0, reader_pc = 0;
        u8 writer = NOBODY;
        u16 readers = 0;
    };
    u32 epoch = 1;
    std::vector<Byte> touched;
};
