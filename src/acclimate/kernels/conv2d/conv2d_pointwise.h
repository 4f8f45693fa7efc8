/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix product of a pointwise layer, forward or back. */
#ifndef AC_CONV2D_POINTWISE_H
#define AC_CONV2D_POINTWISE_H

#include "conv2d_block.h"

/* y_i[0:4] = clamp(sum over c of w_i[c * step] * x[c * pixels + (0:4)] + b_i, lo, hi) of three rows i, which
 * are the rows 0, one and two of y, w and b. */
static inline void pointwise_block(float *restrict y, const float *restrict x, const float *restrict w,
                                   const float *restrict b, int32_t C, int32_t pixels, int32_t step,
                                   int32_t row, int32_t one, int32_t two, float lo, float hi) {
    const float *w0 = w, *w1 = w + one * row, *w2 = w + two * row;
    ac_four sum0 = ac_four_of(0.0f), sum1 = sum0, sum2 = sum0;
    for (int32_t c = 0; c < C - 1; c += 2)
        for (int32_t i = 0; i < 2; i++, x += pixels, w0 += step, w1 += step, w2 += step) {
            const ac_four v = ac_four_load(x, 1);
            sum0 = ac_four_add(sum0, *w0, v);
            sum1 = ac_four_add(sum1, *w1, v);
            sum2 = ac_four_add(sum2, *w2, v);
        }
    if (C % 2 != 0) {
        const ac_four v = ac_four_load(x, 1);
        sum0 = ac_four_add(sum0, *w0, v);
        sum1 = ac_four_add(sum1, *w1, v);
        sum2 = ac_four_add(sum2, *w2, v);
    }
    ac_four_store(y, 1, sum0, b == NULL ? 0.0f : b[0], lo, hi);
    ac_four_store(y + one * pixels, 1, sum1, b == NULL ? 0.0f : b[one], lo, hi);
    ac_four_store(y + two * pixels, 1, sum2, b == NULL ? 0.0f : b[two], lo, hi);
}

/* y[N,K,pixels] = clamp(sum over c of w[k * row + c * step] * x[N,c,pixels] + b[k], lo, hi). */
static inline void pointwise_product(float *restrict y, const float *restrict x, const float *restrict w,
                                     const float *restrict b, int32_t N, int32_t C, int32_t K, int32_t pixels,
                                     int32_t step, int32_t row, float lo, float hi, int32_t core,
                                     int32_t cores) {
    /* else each core has some rows of y */
    const int32_t by_pixel = pixels >= 8 * cores || (pixels >= 4 * cores && K < 3 * cores);
    const int32_t first = by_pixel ? ac_split(pixels, core, cores) : 0;
    const int32_t last = by_pixel ? ac_split(pixels, core + 1, cores) : pixels;
    const int32_t k_first = by_pixel ? 0 : ac_split(K, core, cores);
    const int32_t k_last = by_pixel ? K : ac_split(K, core + 1, cores);
    for (int32_t n = 0; n < N; n++, x += C * pixels, y += K * pixels)
        for (int32_t k = k_first; k < k_last; k += 3) {
            /* behind the last row: that row again */
            const int32_t one = ac_min_i32(1, k_last - 1 - k), two = ac_min_i32(2, k_last - 1 - k);
            const float *wk = w + k * row, *bk = b == NULL ? NULL : b + k;
            float *yk = y + k * pixels;
            int32_t p = first;
            for (; p + 4 <= last; p += 4)
                pointwise_block(yk + p, x + p, wk, bk, C, pixels, step, row, one, two, lo, hi);
            if (last - first >= 4 && p < last) { /* the last block begins inside the one before */
                pointwise_block(yk + last - 4, x + last - 4, wk, bk, C, pixels, step, row, one, two, lo, hi);
                continue;
            }
            for (; p < last; p++)
                for (int32_t i = 0; i <= two; i++) {
                    float sum = bk == NULL ? 0.0f : bk[i];
                    for (int32_t c = 0; c < C; c++)
                        sum += wk[i * row + c * step] * x[c * pixels + p];
                    yk[i * pixels + p] = ac_clampf(sum, lo, hi);
                }
        }
}

#endif
