/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that are an instruction on some processors and a call on others. */
#include <math.h>

#include "number.h"

float fabsf(float x) {
    return magnitude(x);
}

float truncf(float x) {
    /* From 2^23 on every float is an integer; NaN and infinity too stay what they are. */
    return magnitude(x) < 0x1p23f ? with_sign(magnitude((float)(int32_t)x), x) : x;
}

float floorf(float x) {
    const float whole = truncf(x);
    return whole > x ? whole - 1.0f : whole;
}

float ceilf(float x) {
    const float whole = truncf(x);
    return whole < x ? with_sign(magnitude(whole + 1.0f), x) : whole;
}

float rintf(float x) {
    const float a = magnitude(x);
    return a < 0x1p23f ? with_sign((a + 0x1p23f) - 0x1p23f, x) : x;
}

float fmaxf(float a, float b) {
    return a > b || b != b ? a : b;
}

float fminf(float a, float b) {
    return a < b || b != b ? a : b;
}
