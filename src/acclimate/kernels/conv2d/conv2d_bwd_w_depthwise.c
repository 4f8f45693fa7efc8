/* SPDX-License-Identifier: Apache-2.0 */
#include "ac_dots.h"
#include "conv2d.h"
#include "conv2d_panel.h"

/* Both outputs become keep * old + scale * gradient. */
static void blend_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                           const float *restrict x, float *restrict scratch, const ac_conv2d *v, float keep,
                           float scale, int32_t core, int32_t cores) {
    const int32_t last = ac_split(v->C, core + 1, cores), pixels = v->P * v->Q, taps = v->R * v->S;
    int32_t row[AC_ROWS];
    float sum[AC_ROWS];
    ac_panels panels;
    ac_input_panels(&panels, v);
    scratch += core * panels.channel;
    for (int32_t c = ac_split(v->C, core, cores); c < last; c++)
        for (int32_t n = 0; n < v->N; n++) {
            const float *dyc = dy + (n * v->C + c) * pixels; /* [P,Q] */
            const float kept = n == 0 ? keep : 1.0f;
            ac_fill_panels(scratch, x + (n * v->C + c) * v->H * v->W, &panels);
            for (int32_t t = 0; t < taps; t += AC_ROWS) {
                float *wt = w + c * taps + t;
                if (taps - t == 1) { /* the ninth of 3 x 3 */
                    wt[0] = ac_blend(wt[0], ac_dot(dyc, scratch + panels.tap[t], pixels), kept, scale);
                    break;
                }
                for (int32_t i = 0; i < AC_ROWS; i++)
                    row[i] = panels.tap[ac_min_i32(t + i, taps - 1)];
                ac_dots(sum, dyc, scratch, row, pixels);
                for (int32_t i = 0; i < AC_ROWS && t + i < taps; i++)
                    wt[i] = ac_blend(wt[i], sum[i], kept, scale);
            }
            if (b != NULL)
                b[c] = ac_blend(b[c], ac_sum(dyc, pixels), kept, scale);
        }
}

void ac_conv2d_bwd_w_f32_depthwise(float *restrict dw, float *restrict db, const float *restrict dy,
                                   const float *restrict x, float *restrict scratch, int32_t N, int32_t C,
                                   int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                   int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                   int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                   int32_t accumulate, int32_t core, int32_t cores) {
    const ac_conv2d v = {N, C,        H,        W,       K,        R,          S,          P,
                         Q, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups};
    blend_gradient(dw, db, dy, x, scratch, &v, accumulate ? 1.0f : 0.0f, 1.0f, core, cores);
}

void ac_conv2d_step_f32_depthwise(float *restrict w, float *restrict b, const float *restrict dy,
                                  const float *restrict x, float lr, float *restrict scratch, int32_t N,
                                  int32_t C, int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                  int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                  int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                  float weight_decay, int32_t core, int32_t cores) {
    const ac_conv2d v = {N, C,        H,        W,       K,        R,          S,          P,
                         Q, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups};
    blend_gradient(w, b, dy, x, scratch, &v, 1.0f - lr * weight_decay, -lr, core, cores);
}
