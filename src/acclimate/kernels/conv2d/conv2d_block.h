/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of outputs whose sums stay in registers, for processors that compute one float at a time. */
#ifndef AC_CONV2D_BLOCK_H
#define AC_CONV2D_BLOCK_H

#include "conv2d.h"

/* Four neighbours of a row. Fields, not an array: every compiler keeps them in registers. */
typedef struct {
    float a, b, c, d;
} ac_four;

static inline ac_four ac_four_of(float v) {
    const ac_four all = {v, v, v, v};
    return all;
}

/* from[0], from[step], from[2 step], from[3 step]. */
static inline ac_four ac_four_load(const float *from, int32_t step) {
    const ac_four four = {from[0], from[step], from[2 * step], from[3 * step]};
    return four;
}

/* sum + w * x. */
static inline ac_four ac_four_add(ac_four sum, float w, ac_four x) {
    sum.a += w * x.a;
    sum.b += w * x.b;
    sum.c += w * x.c;
    sum.d += w * x.d;
    return sum;
}

/* to[0], to[step], .. = clamp(sum + b, lo, hi). */
static inline void ac_four_store(float *to, int32_t step, ac_four sum, float b, float lo, float hi) {
    to[0] = ac_clampf(sum.a + b, lo, hi);
    to[step] = ac_clampf(sum.b + b, lo, hi);
    to[2 * step] = ac_clampf(sum.c + b, lo, hi);
    to[3 * step] = ac_clampf(sum.d + b, lo, hi);
}

#endif
