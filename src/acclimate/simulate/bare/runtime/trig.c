/* SPDX-License-Identifier: Apache-2.0 */
/* Sine and cosine. The angle is reduced by integer multiplication with the bits of 2 / pi that matter
 * (Payne and Hanek 1983): exact for every float. */
#include <math.h>

#include "number.h"

/* 32 zero bits, then 2 / pi. */
static const uint32_t two_over_pi[8] = {
    0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu,
};

/* Bits [at, at + 32) of the table. */
static uint32_t window(uint32_t at) {
    const uint32_t word = at >> 5, shift = at & 31u;
    const uint32_t high = two_over_pi[word] << shift;
    return shift == 0 ? high : high | two_over_pi[word + 1] >> (32 - shift);
}

/* a = q pi/2 + r with |r| <= pi/4, for a >= 0; returns r. */
static float reduced(float a, uint32_t *q) {
    *q = 0;
    if (a < 0.785398163f) {
        return a;
    }
    const uint32_t bits = bits_of(a);
    const uint32_t mantissa = (bits & 0x007fffffu) | 0x00800000u;
    /* a = mantissa 2^(exponent - 150). Bits of 2 / pi above this place are whole turns. */
    const uint32_t at = (bits >> 23) - 150u + 30u;
    const uint64_t low = (uint64_t)mantissa * window(at + 64);
    const uint64_t middle = (uint64_t)mantissa * window(at + 32);
    const uint64_t turns = ((uint64_t)(mantissa * window(at)) << 32) + middle + (low >> 32);
    *q = (uint32_t)((turns + (1ull << 61)) >> 62);
    const uint64_t fraction = turns - ((uint64_t)*q << 62);
    const int negative = (int)(fraction >> 63);
    const uint64_t size = negative ? 0u - fraction : fraction;
    const int zeros = size == 0 ? 0 : __builtin_clzll(size);
    /* The upper 32 bits of size: all that a float takes up. */
    const float r = (float)(uint32_t)((size << zeros) >> 32) * power_of_two(-zeros) * 0x1.921fb6p-30f;
    return negative ? -r : r;
}

/* 2^-28 */
static float sine(float r) {
    const float z = r * r;
    return r + r * z * (-0.166666552f + z * (0.00833217613f + z * -0.000195169763f));
}

/* 2^-33 */
static float cosine(float r) {
    const float z = r * r;
    return 1.0f - (0.5f * z - z * z * (0.0416666456f + z * (-0.00138873642f + z * 2.44380899e-05f)));
}

static float at_quarter(float r, uint32_t q) {
    const float value = q & 1u ? cosine(r) : sine(r);
    return q & 2u ? -value : value;
}

float sinf(float x) {
    const float a = magnitude(x);
    if (!(a < INFINITY)) {
        return NAN;
    }
    uint32_t q;
    const float value = at_quarter(reduced(a, &q), q);
    return bits_of(x) >> 31 ? -value : value;
}

float cosf(float x) {
    const float a = magnitude(x);
    if (!(a < INFINITY)) {
        return NAN;
    }
    uint32_t q;
    const float r = reduced(a, &q);
    return at_quarter(r, q + 1);
}
