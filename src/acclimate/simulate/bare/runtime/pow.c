/* SPDX-License-Identifier: Apache-2.0 */
/* x^y = exp(y log x), with the logarithm in two floats: its error is multiplied by up to 128. */
#include <math.h>

#include "number.h"

#pragma STDC FP_CONTRACT OFF

typedef struct {
    float high;
    float low;
} pair;

/* The upper 12 bits of x: the product of two such numbers is exact. */
static float upper(float x) {
    return float_of(bits_of(x) & 0xfffff000u);
}

static pair log_of(float x) {
    int32_t e;
    const float m = split(x, &e);
    const float f = m - 1.0f, d = m + 1.0f;
    const float s = f / d, s_high = upper(s), d_high = upper(d);
    const float d_low = m - (d_high - 1.0f);
    const float s_low = ((f - s_high * d_high) - s_high * d_low) / d;
    const float k = (float)e;
    const float tail = s * log_core(s * s) + 2.0f * s_low + k * LN2_LOW;
    /* Two exact sums: k LN2_HIGH is 0 or the larger term. */
    const float a = k * LN2_HIGH, b = 2.0f * s_high;
    const float ab = a + b;
    const float ab_low = e == 0 ? 0.0f : b - (ab - a);
    const float high = ab + tail;
    return (pair){high, tail - (high - ab) + ab_low};
}

/* -1 where y is an odd integer, 1 where it is an even one, 0 elsewhere. */
static int parity(float y) {
    const float a = magnitude(y);
    if (a >= 0x1p24f) {
        return 1;
    }
    const int32_t n = (int32_t)a;
    return (float)n != a ? 0 : (n & 1) ? -1 : 1;
}

static float exp_of(pair p) {
    const float z = p.high + p.low;
    if (z > 89.0f) {
        return INFINITY;
    }
    if (z < -104.0f) {
        return 0.0f;
    }
    const int32_t n = nearest_int(z * LOG2_E);
    const float r = (p.high - (float)n * LN2_HIGH) + (p.low - (float)n * LN2_LOW);
    return scaled(1.0f + exp_core(r), n);
}

float powf(float x, float y) {
    if (y == 0.0f || x == 1.0f) {
        return 1.0f;
    }
    if (x != x || y != y) {
        return x + y;
    }
    const float a = magnitude(x), b = magnitude(y);
    if (b == INFINITY) {
        return a == 1.0f ? 1.0f : (a > 1.0f) == (y > 0.0f) ? INFINITY : 0.0f;
    }
    const int odd_or_even = parity(y);
    const float sign = bits_of(x) >> 31 && odd_or_even < 0 ? -1.0f : 1.0f;
    if (a == 0.0f || a == INFINITY) {
        return sign * ((a == 0.0f) == (y > 0.0f) ? 0.0f : INFINITY);
    }
    if (x < 0.0f && odd_or_even == 0) {
        return NAN;
    }
    const pair l = log_of(a);
    if (magnitude(l.high) * b > 200.0f) {
        return sign * ((l.high > 0.0f) == (y > 0.0f) ? INFINITY : 0.0f);
    }
    const float y_high = upper(y), l_high = upper(l.high);
    const float rest = (y - y_high) * l_high + y * ((l.high - l_high) + l.low);
    return sign * exp_of((pair){y_high * l_high, rest});
}
