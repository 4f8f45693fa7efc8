/* SPDX-License-Identifier: Apache-2.0 */
/* What the float functions share: the bits of a number, powers of two, the core of the exponential.
 * Nothing here or in the functions uses double precision, which most microcontrollers lack.
 * The coefficients are minimax fits (Lawson's iteration on 400 Chebyshev nodes); the error of each
 * fit stands beside it. */
#ifndef NUMBER_H
#define NUMBER_H

#include <stdint.h>

#define LN2_HIGH 0x1.62e4p-1f /* 16 bits: its product with an exponent is exact */
#define LN2_LOW 0x1.7f7d1cp-20f
#define LOG2_E 0x1.715476p+0f

static inline uint32_t bits_of(float x) {
    union {
        float number;
        uint32_t bits;
    } both = {.number = x};
    return both.bits;
}

static inline float float_of(uint32_t bits) {
    union {
        uint32_t bits;
        float number;
    } both = {.bits = bits};
    return both.number;
}

static inline float magnitude(float x) {
    return float_of(bits_of(x) & 0x7fffffffu);
}

/* x with the sign of `sign`. */
static inline float with_sign(float x, float sign) {
    return float_of(bits_of(x) | (bits_of(sign) & 0x80000000u));
}

/* 2^n for -126 <= n <= 127. */
static inline float power_of_two(int32_t n) {
    return float_of((uint32_t)(n + 127) << 23);
}

/* x * 2^n for x near 1 and -150 <= n <= 128; rounds once. */
static inline float scaled(float x, int32_t n) {
    if (n > 127) {
        return x * 0x1p127f * power_of_two(n - 127);
    }
    return n < -126 ? x * 0x1p-102f * power_of_two(n + 102) : x * power_of_two(n);
}

static inline int32_t nearest_int(float x) {
    return (int32_t)(x + with_sign(0.5f, x));
}

/* exp(r) - 1 for |r| <= ln(2) / 2; 2^-28. */
static inline float exp_core(float r) {
    const float p =
        0.5f + r * (0.166665182f + r * (0.041666206f + r * (0.00836888421f + r * 0.00139504788f)));
    return r + r * r * p;
}

/* (log((1 + s) / (1 - s)) - 2 s) / s for z = s^2 <= 0.0295; 2^-36. */
static inline float log_core(float z) {
    return z * (0.666666627f + z * (0.400003344f + z * (0.285373032f + z * 0.235822871f)));
}

/* Splits x > 0 into m * 2^e with sqrt(1/2) <= m < sqrt(2). */
static inline float split(float x, int32_t *e) {
    int32_t exponent = 0;
    if (x < 0x1p-126f) {
        x *= 0x1p24f;
        exponent = -24;
    }
    const uint32_t bits = bits_of(x) - 0x3f3504f3u; /* sqrt(1/2) */
    *e = exponent + ((int32_t)bits >> 23);
    return float_of((bits & 0x007fffffu) + 0x3f3504f3u);
}

#endif
