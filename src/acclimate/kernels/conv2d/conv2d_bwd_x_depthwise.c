/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d.h"
#include "conv2d_phase.h"

void ac_conv2d_bwd_x_f32_depthwise(float *restrict dx, const float *restrict dy, const float *restrict w,
                                   const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                                   int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                   int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                   int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                   float lo, float hi, int32_t core, int32_t cores) {
    const ac_conv2d v = {N, C,        H,        W,       K,        R,          S,          P,
                         Q, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups};
    const int32_t first = ac_split(N * C, core, cores), last = ac_split(N * C, core + 1, cores);
    const int32_t columns = (W + stride_w - 1) / stride_w, height = (H + stride_h - 1) / stride_h;
    const int32_t panel_words = S * (height + (R - 1) * dilation_h / stride_h) * columns + AC_BLOCK;
    ac_phase phase;
    scratch += core * (panel_words + height * columns);
    for (int32_t p = 0; p < stride_h * stride_w; p++) {
        ac_gradient_phase(&phase, &v, p / stride_w, p % stride_w);
        ac_clear_panels(scratch, &phase.panels);
        for (int32_t i = first; i < last; i++) {
            float *flat = stride_h * stride_w == 1 ? dx + i * H * W : scratch + panel_words;
            ac_fill_panels(scratch, dy + i * P * Q, &phase.panels);
            ac_filter(flat, scratch, w + i % C * R * S, &phase.panels, phase.H * phase.W,
                      b == NULL ? 0.0f : b[i % C], lo, hi);
            if (stride_h * stride_w != 1)
                ac_scatter_phase(dx + i * H * W, flat, &phase, &v, 0, phase.H * phase.W);
        }
    }
}
