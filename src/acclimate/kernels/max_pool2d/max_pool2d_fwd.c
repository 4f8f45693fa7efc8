/* SPDX-License-Identifier: Apache-2.0 */
#include "max_pool2d.h"

void ac_max_pool2d_fwd_f32(float *restrict y, uint8_t *restrict index, const float *restrict x, int32_t N,
                           int32_t C, int32_t H, int32_t W, int32_t R, int32_t S, int32_t P, int32_t Q,
                           int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                           int32_t dilation_h, int32_t dilation_w, int32_t core, int32_t cores) {
    const int32_t last = ac_split(N * C * P, core + 1, cores);
    for (int32_t row = ac_split(N * C * P, core, cores); row < last; row++) {
        const int32_t h0 = row % P * stride_h - pad_top;
        const int32_t r0 = ac_first(h0, dilation_h), r1 = ac_last(h0, dilation_h, R, H);
        const float *plane = x + row / P * H * W; /* [H,W] */
        for (int32_t q = 0; q < Q; q++) {
            const int32_t w0 = q * stride_w - pad_left;
            const int32_t s0 = ac_first(w0, dilation_w), s1 = ac_last(w0, dilation_w, S, W);
            float best = plane[(h0 + r0 * dilation_h) * W + w0 + s0 * dilation_w];
            int32_t at = r0 * S + s0;
            for (int32_t r = r0; r < r1; r++)
                for (int32_t s = s0; s < s1; s++) {
                    const float v = plane[(h0 + r * dilation_h) * W + w0 + s * dilation_w];
                    if (v > best || v != v) { /* as PyTorch: a later NaN wins over an earlier one */
                        best = v;
                        at = r * S + s;
                    }
                }
            y[row * Q + q] = best;
            if (index != NULL)
                index[row * Q + q] = (uint8_t)at;
        }
    }
}
