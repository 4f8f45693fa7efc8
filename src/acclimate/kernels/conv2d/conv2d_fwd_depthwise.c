/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d.h"
#include "conv2d_panel.h"

void ac_conv2d_fwd_f32_depthwise(float *restrict y, const float *restrict x, const float *restrict w,
                                 const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                                 int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                 int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                 int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo, float hi,
                                 int32_t core, int32_t cores) {
    const ac_conv2d v = {N, C,        H,        W,       K,        R,          S,          P,
                         Q, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups};
    const int32_t last = ac_split(N * C, core + 1, cores);
    ac_panels panels;
    ac_input_panels(&panels, &v);
    scratch += core * (panels.words + AC_BLOCK);
    ac_clear_panels(scratch, &panels);
    for (int32_t i = ac_split(N * C, core, cores); i < last; i++) {
        ac_fill_panels(scratch, x + i * H * W, &panels);
        ac_filter(y + i * P * Q, scratch, w + i % C * R * S, &panels, P * Q, b == NULL ? 0.0f : b[i % C], lo,
                  hi);
    }
}
