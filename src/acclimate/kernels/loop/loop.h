/* SPDX-License-Identifier: Apache-2.0 */
/* What the expressions of generated loops call besides math.h. */
#ifndef AC_LOOP_H
#define AC_LOOP_H

#include <stdint.h>

/* The larger one; the first if it is NaN. */
static inline float ac_max_f32(float a, float b) {
    return b > a ? b : a;
}

/* The smaller one; the first if it is NaN. */
static inline float ac_min_f32(float a, float b) {
    return b < a ? b : a;
}

/* -1, 0 or 1. */
static inline float ac_sign_f32(float a) {
    return (float)(a > 0.0f) - (float)(a < 0.0f);
}

/* Bit i of a row of bits, the first one in the lowest bit of the first byte. */
static inline int32_t ac_bit_u1(const uint8_t *bits, int32_t i) {
    return bits[i >> 3] >> (i & 7) & 1;
}

/* 0 if the condition (0 or 1) holds, else the value, which is computed in either case. */
#ifdef __riscv_zfinx
static inline float ac_zero_if_f32(int32_t condition, float value) {
    union {
        float number;
        int32_t bits;
    } word = {value};
    int32_t mask = condition - 1;
    __asm__("" : "+r"(mask)); /* else compilers see the choice and branch, which costs three more */
    word.bits &= mask;
    return word.number;
}
#else
static inline float ac_zero_if_f32(int32_t condition, float value) {
    return condition ? 0.0f : value;
}
#endif

/* A number in [0, 1) from a seed and a counter: the same pair gives the same number on every device.
 * Integer hash of C. Wellons, "Prospecting for Hash Functions", 2018 (shifts 16, 15, 15). */
static inline float ac_uniform_f32(int32_t seed, int32_t index) {
    uint32_t word = (uint32_t)index * 0x9E3779B1u + (uint32_t)seed;
    word = (word ^ (word >> 16)) * 0x21F0AAADu;
    word = (word ^ (word >> 15)) * 0x735A2D97u;
    word ^= word >> 15;
    return (float)(word >> 8) * 0x1p-24f;
}

#endif
