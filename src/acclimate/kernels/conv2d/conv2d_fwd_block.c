/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d_gather.h"

void ac_conv2d_fwd_f32_block(float *restrict y, const float *restrict x, const float *restrict w,
                             const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                             int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                             int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                             int32_t groups, float lo, float hi, int32_t core, int32_t cores) {
    const int32_t ins = C / groups, outs = K / groups;
    const ac_axis rows = ac_forward_axis(H, P, R, stride_h, pad_top, dilation_h, W, Q, S);
    const ac_axis columns = ac_forward_axis(W, Q, S, stride_w, pad_left, dilation_w, 1, 1, 1);
    ac_gather(y, x, w, b, N, groups, ins, outs, H * W, P * Q, R * S, ins * R * S, &rows, &columns, lo, hi,
              core, cores);
}
