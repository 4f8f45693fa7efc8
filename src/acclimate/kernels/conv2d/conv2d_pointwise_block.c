/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d_block.h"

/* y[0:2,0:8] = clamp(sum over c of w[c,0:2] * x[c,0:8] + (b0, b1), lo, hi). Rows of x and y are `pixels` words
 * long; w has `step` words between terms and `row` between outputs. */
static void pointwise_block(float *restrict y, const float *restrict x, const float *restrict w, int32_t C,
                            int32_t pixels, int32_t step, int32_t row, float b0, float b1, float lo,
                            float hi) {
    const float *w0 = w, *w1 = w + row;
    ac_four left0 = ac_four_of(0.0f), right0 = left0, left1 = left0, right1 = left0;
    for (int32_t c = 0; c < C; c++, x += pixels, w0 += step, w1 += step) {
        const ac_four left = ac_four_load(x, 1);
        left0 = ac_four_add(left0, *w0, left);
        left1 = ac_four_add(left1, *w1, left);
        const ac_four right = ac_four_load(x + 4, 1);
        right0 = ac_four_add(right0, *w0, right);
        right1 = ac_four_add(right1, *w1, right);
    }
    ac_four_store(y, 1, left0, b0, lo, hi);
    ac_four_store(y + 4, 1, right0, b0, lo, hi);
    if (row != 0) {
        ac_four_store(y + pixels, 1, left1, b1, lo, hi);
        ac_four_store(y + pixels + 4, 1, right1, b1, lo, hi);
    }
}

/* y[N,K,pixels] = clamp(sum over c of w[c * step + k * row] * x[N,c,pixels] + b[k], lo, hi). */
static void pointwise_product(float *restrict y, const float *restrict x, const float *restrict w,
                              const float *restrict b, int32_t N, int32_t C, int32_t K, int32_t pixels,
                              int32_t step, int32_t row, float lo, float hi, int32_t core, int32_t cores) {
    const int32_t by_pixel = pixels >= 8 * cores; /* else each core has some channels */
    const int32_t first = by_pixel ? ac_split(pixels, core, cores) : 0;
    const int32_t last = by_pixel ? ac_split(pixels, core + 1, cores) : pixels;
    const int32_t k_first = by_pixel ? 0 : ac_split(K, core, cores);
    const int32_t k_last = by_pixel ? K : ac_split(K, core + 1, cores);
    for (int32_t n = 0; n < N; n++, x += C * pixels, y += K * pixels)
        for (int32_t k = k_first; k < k_last; k += 2) {
            const int32_t next = k + 1 < k_last; /* else there is one row, not two */
            const float b0 = b == NULL ? 0.0f : b[k], b1 = b == NULL ? 0.0f : b[k + next];
            int32_t p = first;
            for (; p + 8 <= last; p += 8)
                pointwise_block(y + k * pixels + p, x + p, w + k * row, C, pixels, step, next * row, b0, b1,
                                lo, hi);
            if (p < last && last - first >= 8)
                pointwise_block(y + k * pixels + last - 8, x + last - 8, w + k * row, C, pixels, step,
                                next * row, b0, b1, lo, hi);
        }
}

void ac_conv2d_fwd_f32_pointwise_block(float *restrict y, const float *restrict x, const float *restrict w,
                                       const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W,
                                       int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                       int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                       int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo,
                                       float hi, int32_t core, int32_t cores) {
    (void)R, (void)S, (void)P, (void)Q, (void)stride_h, (void)stride_w, (void)pad_top, (void)pad_left;
    (void)dilation_h, (void)dilation_w, (void)groups;
    pointwise_product(y, x, w, b, N, C, K, H * W, 1, C, lo, hi, core, cores);
}

void ac_conv2d_bwd_x_f32_pointwise_block(float *restrict dx, const float *restrict dy,
                                         const float *restrict w, const float *restrict b, int32_t N,
                                         int32_t C, int32_t H, int32_t W, int32_t K, int32_t R, int32_t S,
                                         int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                                         int32_t pad_top, int32_t pad_left, int32_t dilation_h,
                                         int32_t dilation_w, int32_t groups, float lo, float hi, int32_t core,
                                         int32_t cores) {
    (void)R, (void)S, (void)P, (void)Q, (void)stride_h, (void)stride_w, (void)pad_top, (void)pad_left;
    (void)dilation_h, (void)dilation_w, (void)groups;
    pointwise_product(dx, dy, w, b, N, K, C, H * W, C, 1, lo, hi, core, cores);
}
