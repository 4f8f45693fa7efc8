/* SPDX-License-Identifier: Apache-2.0 */
/* The square root where no instruction computes it: one bit of the result per step, rounded exactly. */
#include <math.h>

#include "number.h"

float sqrtf(float x) {
    if (!(x > 0.0f) || x == INFINITY) {
        return x < 0.0f ? NAN : x;
    }
    const int tiny = x < 0x1p-126f;
    const uint32_t bits = bits_of(tiny ? x * 0x1p24f : x);
    const int32_t exponent = (int32_t)(bits >> 23) - 127;
    const int32_t odd = exponent & 1;
    /* x = square 2^(exponent - odd - 46), so that the root of `square` has 24 bits. */
    const uint64_t square = (uint64_t)((bits & 0x007fffffu) | 0x00800000u) << (23 + odd);
    uint32_t root = 0, rest = 0;
    for (int at = 46; at >= 0; at -= 2) {
        rest = rest << 2 | ((uint32_t)(square >> at) & 3u);
        root <<= 1;
        if (rest > 2 * root) {
            rest -= 2 * root + 1;
            root++;
        }
    }
    root += rest > root;
    return (float)root * power_of_two((exponent - odd) / 2 - 23 - (tiny ? 12 : 0));
}
