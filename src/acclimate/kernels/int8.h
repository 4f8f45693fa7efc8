/* SPDX-License-Identifier: Apache-2.0 */
/* What kernels on eight-bit integers share. An array of u8 or s8 is passed as bytes, and `lo` is the smallest
 * value of its type: 0 or -128. */
#ifndef AC_INT8_H
#define AC_INT8_H

#include "ac.h"

/* The value of a byte. */
static inline int32_t ac_value_int8(uint8_t byte, int32_t lo) {
    return (int32_t)((uint32_t)byte ^ (uint32_t)-lo) + lo;
}

/* A value as a byte: what lies outside of the type becomes the nearest value of it. */
static inline uint8_t ac_byte_int8(int32_t value, int32_t lo) {
    return (uint8_t)ac_min_i32(ac_max_i32(value, lo), lo + 255);
}

/* The eight bits of a sum: clip((sum + scale[0]) >> scale[1]); the shift rounds down, and scale[0] has the
 * half that makes it round to the nearest. The caller knows that nothing overflows. */
static inline uint8_t ac_requantize_int8(int32_t sum, const int32_t *scale, int32_t lo) {
    return ac_byte_int8((sum + scale[0]) >> scale[1], lo);
}

#endif
