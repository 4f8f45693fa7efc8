/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d_block.h"

/* Matrix product of a pointwise layer: y[i,0:8] = clamp(sum over c of w_i[c * step] * x[c,0:8] + b_i, lo, hi) for two rows i; the rows
 * of x and y are `pixels` long. */
static inline void ac_pointwise_block(float *restrict y0, float *restrict y1, const float *restrict x, const float *restrict w0, const float *restrict w1, int32_t step, float b0, float b1, int32_t C, int32_t pixels, float lo, float hi) {
    ac_four left0 = ac_four_of(b0), right0 = left0, left1 = ac_four_of(b1), right1 = left1;
    for (int32_t c = 0; c < C; c++, x += pixels, w0 += step, w1 += step) {
        const ac_four left = ac_four_load(x, 1);
        left0 = ac_four_add(left0, *w0, left);
        left1 = ac_four_add(left1, *w1, left);
        const ac_four right = ac_four_load(x + 4, 1);
        right0 = ac_four_add(right0, *w0, right);
        right1 = ac_four_add(right1, *w1, right);
    }
    ac_four_store(y0, 1, left0, lo, hi);
    ac_four_store(y0 + 4, 1, right0, lo, hi);
    ac_four_store(y1, 1, left1, lo, hi);
    ac_four_store(y1 + 4, 1, right1, lo, hi);
}

void ac_conv2d_fwd_f32_pointwise_block(float *restrict y, const float *restrict x, const float *restrict w,
                                       const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W,
                                       int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                       int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                       int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo,
                                       float hi, int32_t core, int32_t cores) {
    (void)R, (void)S, (void)P, (void)Q, (void)stride_h, (void)stride_w, (void)pad_top, (void)pad_left;
    (void)dilation_h, (void)dilation_w, (void)groups;
    const int32_t pixels = H * W, by_pixel = pixels >= 8 * cores;
    const int32_t first = by_pixel ? ac_split(pixels, core, cores) : 0;
    const int32_t last = by_pixel ? ac_split(pixels, core + 1, cores) : pixels;
    const int32_t k_first = by_pixel ? 0 : ac_split(K, core, cores);
    const int32_t k_last = by_pixel ? K : ac_split(K, core + 1, cores);
    for (int32_t n = 0; n < N; n++, x += C * pixels, y += K * pixels)
        for (int32_t k0 = k_first; k0 < k_last; k0 += 2) {
            const int32_t k1 = ac_min_i32(k0 + 1, k_last - 1);
            const float b0 = b == NULL ? 0.0f : b[k0], b1 = b == NULL ? 0.0f : b[k1];
            int32_t p = first;
            for (; last - first >= 8 && p < last; p += 8) {
                const int32_t at = ac_min_i32(p, last - 8);
                ac_pointwise_block(y + k0 * pixels + at, y + k1 * pixels + at, x + at, w + k0 * C, w + k1 * C, 1, b0, b1, C, pixels, lo, hi);
            }
        }
}
