/* SPDX-License-Identifier: Apache-2.0 */
/* tanh(x) = t / (t + 2) with t = exp(2 x) - 1. */
#include <math.h>

#include "number.h"

float tanhf(float x) {
    const float a = magnitude(x);
    if (a < 0x1p-12f) {
        return x; /* the next term is below half a unit in the last place */
    }
    if (a > 9.1f) {
        return with_sign(1.0f, x);
    }
    if (a > 0.55f) {
        return with_sign(1.0f - 2.0f / (expm1f(2.0f * a) + 2.0f), x);
    }
    const float t = expm1f(2.0f * a);
    return x != x ? x : with_sign(t / (t + 2.0f), x);
}
