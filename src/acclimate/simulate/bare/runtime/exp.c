/* SPDX-License-Identifier: Apache-2.0 */
/* Exponentials. exp(x) = 2^n * exp(r) with r = x - n ln 2. */
#include <math.h>

#include "number.h"

float expf(float x) {
    if (!(x <= 88.722839f)) {
        return x * 0x1p127f; /* infinite, or NaN */
    }
    if (x < -103.972084f) {
        return 0.0f;
    }
    const int32_t n = nearest_int(x * LOG2_E);
    const float r = (x - (float)n * LN2_HIGH) - (float)n * LN2_LOW;
    return scaled(1.0f + exp_core(r), n);
}

float expm1f(float x) {
    if (!(x <= 88.722839f)) {
        return x * 0x1p127f;
    }
    if (x < -17.5f) {
        return -1.0f;
    }
    if (magnitude(x) < 0x1p-24f) {
        return x;
    }
    const int32_t n = nearest_int(x * LOG2_E);
    const float r = (x - (float)n * LN2_HIGH) - (float)n * LN2_LOW;
    if (n == 0) {
        return exp_core(r);
    }
    if (n == 128) {
        return (exp_core(r) + 1.0f) * 0x1p127f * 2.0f;
    }
    const float power = power_of_two(n);
    return power * exp_core(r) + (power - 1.0f);
}
