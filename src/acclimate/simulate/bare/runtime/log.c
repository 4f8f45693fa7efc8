/* SPDX-License-Identifier: Apache-2.0 */
/* Logarithms. log(m) = 2 atanh(s) with s = (m - 1) / (m + 1). */
#include <math.h>

#include "number.h"

/* log(1 + f) + e ln 2 + low. f - f^2/2 + s (f^2/2 + R) is 2 s + s R, with the rounding of s of less
 * weight. */
static float sum(float f, int32_t e, float low) {
    const float s = f / (2.0f + f);
    const float half = 0.5f * f * f;
    const float k = (float)e;
    return s * (half + log_core(s * s)) + (low + k * LN2_LOW) - half + f + k * LN2_HIGH;
}

float logf(float x) {
    if (!(x > 0.0f)) {
        return x == 0.0f ? -INFINITY : NAN;
    }
    if (x == INFINITY) {
        return x;
    }
    int32_t e;
    const float m = split(x, &e);
    return sum(m - 1.0f, e, 0.0f);
}

float log1pf(float x) {
    if (!(x > -1.0f)) {
        return x == -1.0f ? -INFINITY : NAN;
    }
    if (magnitude(x) < 0x1p-24f || x == INFINITY) {
        return x;
    }
    if (x > -0.29f && x < 0.41f) {
        return sum(x, 0, 0.0f);
    }
    const float u = 1.0f + x;
    /* What 1 + x lost by rounding. */
    const float lost = x > 1.0f ? 1.0f - (u - x) : x - (u - 1.0f);
    int32_t e;
    const float m = split(u, &e);
    return sum(m - 1.0f, e, e < 26 ? lost / u : 0.0f);
}
