/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d_block.h"

/* Rows 0 and `one` of w, columns 0 to `columns` <= 4, become keep * old + scale * dy[N,0:2,pixels] *
 * x[N,0:4,pixels]. */
static void pointwise_tile(float *restrict w, const float *restrict dy, const float *restrict x, int32_t N,
                           int32_t C, int32_t K, int32_t pixels, int32_t one, int32_t columns, float keep,
                           float scale) {
    ac_four sum0 = ac_four_of(0.0f), sum1 = sum0;
    for (int32_t n = 0; n < N; n++, dy += K * pixels, x += C * pixels) {
        /* behind the last column: that column again */
        const float *x0 = x, *x1 = x + ac_min_i32(1, columns - 1) * pixels,
                    *x2 = x + ac_min_i32(2, columns - 1) * pixels, *x3 = x + (columns - 1) * pixels;
        const float *dy0 = dy, *dy1 = dy + one * pixels;
        int32_t p = 0;
        for (; p + 2 <= pixels; p += 2)
            for (int32_t i = p; i < p + 2; i++) {
                const ac_four v = {x0[i], x1[i], x2[i], x3[i]};
                sum0 = ac_four_add(sum0, dy0[i], v);
                sum1 = ac_four_add(sum1, dy1[i], v);
            }
        if (p < pixels) {
            const ac_four v = {x0[p], x1[p], x2[p], x3[p]};
            sum0 = ac_four_add(sum0, dy0[p], v);
            sum1 = ac_four_add(sum1, dy1[p], v);
        }
    }
    ac_four_blend(w, 1, columns, sum0, keep, scale);
    if (one)
        ac_four_blend(w + C, 1, columns, sum1, keep, scale);
}

/* Both outputs become keep * old + scale * gradient. */
static void pointwise_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                               const float *restrict x, int32_t N, int32_t C, int32_t K, int32_t pixels,
                               float keep, float scale, int32_t core, int32_t cores) {
    const int32_t across = (C + 3) / 4, tiles = (K + 1) / 2 * across, last = ac_split(tiles, core + 1, cores);
    for (int32_t i = ac_split(tiles, core, cores); i < last; i++) {
        const int32_t k = i / across * 2, c = i % across * 4;
        pointwise_tile(w + k * C + c, dy + k * pixels, x + c * pixels, N, C, K, pixels, k + 1 < K,
                       ac_min_i32(4, C - c), keep, scale);
    }
    if (b != NULL)
        ac_bias_gradient(b, dy, N, K, pixels, keep, scale, core, cores);
}

void ac_conv2d_bwd_w_f32_pointwise_block(float *restrict dw, float *restrict db, const float *restrict dy,
                                         const float *restrict x, int32_t N, int32_t C, int32_t H, int32_t W,
                                         int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                         int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                         int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                                         int32_t groups, int32_t accumulate, int32_t core, int32_t cores) {
    (void)R, (void)S, (void)P, (void)Q, (void)stride_h, (void)stride_w, (void)pad_top, (void)pad_left;
    (void)dilation_h, (void)dilation_w, (void)groups;
    pointwise_gradient(dw, db, dy, x, N, C, K, H * W, accumulate ? 1.0f : 0.0f, 1.0f, core, cores);
}

void ac_conv2d_step_f32_pointwise_block(float *restrict w, float *restrict b, const float *restrict dy,
                                        const float *restrict x, float lr, int32_t N, int32_t C, int32_t H,
                                        int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                        int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                        int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                        float weight_decay, int32_t core, int32_t cores) {
    (void)R, (void)S, (void)P, (void)Q, (void)stride_h, (void)stride_w, (void)pad_top, (void)pad_left;
    (void)dilation_h, (void)dilation_w, (void)groups;
    pointwise_gradient(w, b, dy, x, N, C, K, H * W, 1.0f - lr * weight_decay, -lr, core, cores);
}
