// SPDX-License-Identifier: Apache-2.0
// The rules of hardware loops. The core does not check them: breaking one is undefined behaviour.
// Source: CV32E40P user manual, "CORE-V Hardware Loop feature". machine.py has the texts.
#pragma once

#include "types.hpp"

enum LoopRule : u32 {
    LOOP_OK,
    LOOP_ALIGNMENT,  // start, end and the instruction itself are 4-byte aligned
    LOOP_TOO_SHORT,  // three instructions at least
    LOOP_COMPRESSED, // no compressed instruction in the body
    LOOP_JUMP,       // no branch, jump, fence or return from a trap in the body
    LOOP_NESTING,    // the outer loop ends 8 bytes after the inner one, or later
    LOOP_MODIFIED,   // no change of a loop's registers while it runs
    LOOP_ENTERED     // only from its start
};

inline bool is_loop_instruction(u32 word) { return (word & 0x707F) == 0x402B; }

// Which loop an instruction sets up: bit 0 of its rd field.
inline u32 loop_number(u32 word) { return word >> 7 & 1; }

template <typename Read> LoopRule check_body(u32 start, u32 end, Read read) {
    if ((start | end) & 3)
        return LOOP_ALIGNMENT;
    if (end < start + 12)
        return LOOP_TOO_SHORT;
    for (u32 at = start; at < end; at += 4) {
        const u32 word = read(at);
        const u32 opcode = word & 0x7F;
        if ((word & 3) != 3)
            return LOOP_COMPRESSED;
        const bool returns = opcode == 0x73 && (word & 0x7000) == 0 && (word >> 20) > 1;
        if (opcode == 0x63 || opcode == 0x67 || opcode == 0x6F || opcode == 0x0F || returns)
            return LOOP_JUMP;
        // cv.beqimm and cv.bneimm
        if (opcode == 0x0B && ((word & 0x7000) == 0x6000 || (word & 0x7000) == 0x7000))
            return LOOP_JUMP;
    }
    return LOOP_OK;
}
