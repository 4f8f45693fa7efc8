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

/* to[0], to[step], .. with index < count become keep * old + scale * sum. */
static inline void ac_four_blend(float *to, int32_t step, int32_t count, ac_four sum, float keep,
                                 float scale) {
    to[0] = ac_blend(to[0], sum.a, keep, scale);
    if (count > 1)
        to[step] = ac_blend(to[step], sum.b, keep, scale);
    if (count > 2)
        to[2 * step] = ac_blend(to[2 * step], sum.c, keep, scale);
    if (count > 3)
        to[3 * step] = ac_blend(to[3 * step], sum.d, keep, scale);
}

/* b[K] becomes keep * b + scale * the sum of dy[N,K,pixels] over samples and pixels, for this core's share.
 */
static inline void ac_bias_gradient(float *restrict b, const float *restrict dy, int32_t N, int32_t K,
                                    int32_t pixels, float keep, float scale, int32_t core, int32_t cores) {
    const int32_t last = ac_split(K, core + 1, cores);
    for (int32_t k = ac_split(K, core, cores); k < last; k++) {
        float sum = 0.0f;
        for (int32_t n = 0; n < N; n++) {
            const float *from = dy + (n * K + k) * pixels;
            int32_t i = 0;
            for (; i + 4 <= pixels; i += 4)
                sum += (from[i] + from[i + 1]) + (from[i + 2] + from[i + 3]);
            for (; i < pixels; i++)
                sum += from[i];
        }
        b[k] = ac_blend(b[k], sum, keep, scale);
    }
}

#endif
