/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d_gather.h"

void ac_conv2d_bwd_x_f32_block(float *restrict dx, const float *restrict dy, const float *restrict w,
                               const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                               int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                               int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                               int32_t groups, float lo, float hi, int32_t core, int32_t cores) {
    const int32_t ins = K / groups, outs = C / groups;
    for (int32_t i = 0; i < stride_h; i++)
        for (int32_t j = 0; j < stride_w; j++) {
            const ac_axis rows = ac_backward_axis(P, H, R, stride_h, pad_top, dilation_h, Q, W, S, i);
            const ac_axis columns = ac_backward_axis(Q, W, S, stride_w, pad_left, dilation_w, 1, 1, 1, j);
            ac_gather(dx, dy, w, b, N, groups, ins, outs, P * Q, H * W, outs * R * S, R * S, &rows, &columns,
                      lo, hi, core, cores);
            core = core + 1 < cores ? core + 1 : 0; /* where work is left over, others have it next time */
        }
}
