/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d.h"

void ac_conv2d_fwd_f32(float *restrict y, const float *restrict x, const float *restrict w,
                       const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                       int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                       int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                       int32_t groups, float lo, float hi, int32_t core, int32_t cores) {
    const int32_t c_group = C / groups, k_group = K / groups;
    const int32_t last = ac_split(N * K * P, core + 1, cores);
    for (int32_t row = ac_split(N * K * P, core, cores); row < last; row++) {
        const int32_t n = row / (K * P), k = row / P % K, h0 = row % P * stride_h - pad_top;
        const int32_t r0 = ac_first(h0, dilation_h), r1 = ac_last(h0, dilation_h, R, H);
        const float *xg = x + (n * C + k / k_group * c_group) * H * W; /* [C/groups,H,W] */
        for (int32_t q = 0; q < Q; q++) {
            const int32_t w0 = q * stride_w - pad_left;
            const int32_t s0 = ac_first(w0, dilation_w), s1 = ac_last(w0, dilation_w, S, W);
            float sum = b == NULL ? 0.0f : b[k];
            for (int32_t c = 0; c < c_group; c++)
                for (int32_t r = r0; r < r1; r++)
                    for (int32_t s = s0; s < s1; s++)
                        sum += xg[(c * H + h0 + r * dilation_h) * W + w0 + s * dilation_w] *
                               w[((k * c_group + c) * R + r) * S + s];
            y[row * Q + q] = ac_clampf(sum, lo, hi);
        }
    }
}
