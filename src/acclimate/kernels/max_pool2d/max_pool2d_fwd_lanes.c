/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "max_pool2d.h"

enum { MAX_POOL2D_LANES = 64, MAX_POOL2D_TAPS = 256 };

/* best[j], at[j] = x[j * step], tap where that is larger or NaN, j < count. */
static void max_pool2d_merge(float *restrict best, uint8_t *restrict at, const float *restrict x,
                             int32_t step, int32_t count, int32_t tap) {
    float v[MAX_POOL2D_LANES];
    if (step == 1) /* constants, for which compilers have vector loads and shuffles */
        for (int32_t j = 0; j < count; j++)
            v[j] = x[j];
    else if (step == 2)
        for (int32_t j = 0; j < count; j++)
            v[j] = x[2 * j];
    else
        for (int32_t j = 0; j < count; j++)
            v[j] = x[j * step];
    for (int32_t j = 0; j < count; j++) {
        const int take = v[j] > best[j] || v[j] != v[j];
        best[j] = take ? v[j] : best[j];
        at[j] = take ? (uint8_t)tap : at[j];
    }
}

void ac_max_pool2d_fwd_f32_lanes(float *restrict y, uint8_t *restrict index, const float *restrict x,
                                 int32_t N, int32_t C, int32_t H, int32_t W, int32_t R, int32_t S, int32_t P,
                                 int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                 int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t core,
                                 int32_t cores) {
    const int32_t last = ac_split(N * C * P, core + 1, cores);
    for (int32_t q0 = 0; q0 < Q; q0 += MAX_POOL2D_LANES) {
        const int32_t count = ac_min_i32(MAX_POOL2D_LANES, Q - q0), w0 = q0 * stride_w - pad_left;
        int32_t begin[MAX_POOL2D_TAPS], end[MAX_POOL2D_TAPS]; /* outputs that see a column of taps */
        int32_t first[MAX_POOL2D_LANES];                      /* first column of taps of an output */
        for (int32_t s = S - 1; s >= 0; s--) {
            begin[s] = ac_first(w0 + s * dilation_w, stride_w);
            end[s] = ac_last(w0 + s * dilation_w, stride_w, count, W);
            for (int32_t j = begin[s]; j < end[s]; j++)
                first[j] = s;
        }
        for (int32_t row = ac_split(N * C * P, core, cores); row < last; row++) {
            const int32_t h0 = row % P * stride_h - pad_top;
            const int32_t r0 = ac_first(h0, dilation_h), r1 = ac_last(h0, dilation_h, R, H);
            float best[MAX_POOL2D_LANES];
            uint8_t at[MAX_POOL2D_LANES];
            for (int32_t j = 0; j < count; j++) {
                best[j] = -INFINITY;
                at[j] = (uint8_t)(r0 * S + first[j]);
            }
            for (int32_t r = r0; r < r1; r++)
                for (int32_t s = 0; s < S; s++)
                    if (begin[s] < end[s])
                        max_pool2d_merge(best + begin[s], at + begin[s],
                                         x + (row / P * H + h0 + r * dilation_h) * W + w0 + s * dilation_w +
                                             begin[s] * stride_w,
                                         stride_w, end[s] - begin[s], r * S + s);
            for (int32_t j = 0; j < count; j++)
                y[row * Q + q0 + j] = best[j];
            for (int32_t j = 0; index != NULL && j < count; j++)
                index[row * Q + q0 + j] = at[j];
        }
    }
}
