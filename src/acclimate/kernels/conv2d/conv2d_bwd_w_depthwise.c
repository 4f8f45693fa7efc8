/* SPDX-License-Identifier: Apache-2.0 */
#include "../ac_dots.h"
#include "conv2d.h"
#include "conv2d_panel.h"

/* w[R,S] becomes keep * old + scale * gradient of one channel of one sample. */
static void conv2d_depthwise_channel(float *restrict w, const float *restrict dy,
                                     const float *restrict panels, const ac_panels *of, int32_t pixels,
                                     float keep, float scale) {
    int32_t row[AC_ROWS];
    float sum[AC_ROWS];
    for (int32_t t = 0; t < of->taps; t += AC_ROWS) {
        if (of->taps - t == 1) { /* the ninth of 3 x 3 */
            w[t] = ac_blend(w[t], ac_dot(dy, panels + of->tap[t], pixels), keep, scale);
            break;
        }
        for (int32_t i = 0; i < AC_ROWS; i++)
            row[i] = of->tap[ac_min_i32(t + i, of->taps - 1)];
        ac_dots(sum, dy, panels, row, pixels);
        for (int32_t i = 0; i < AC_ROWS && t + i < of->taps; i++)
            w[t + i] = ac_blend(w[t + i], sum[i], keep, scale);
    }
}

/* Both outputs become keep * old + scale * gradient. */
static void conv2d_depthwise_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                                      const float *restrict x, float *restrict scratch, const ac_conv2d *v,
                                      float keep, float scale, int32_t core, int32_t cores) {
    const int32_t last = ac_split(v->C, core + 1, cores), pixels = v->P * v->Q;
    ac_panels panels;
    ac_input_panels(&panels, v);
    scratch += core * panels.words;
    ac_clear_panels(scratch, &panels);
    for (int32_t c = ac_split(v->C, core, cores); c < last; c++)
        for (int32_t n = 0; n < v->N; n++) {
            const float *dyc = dy + (n * v->C + c) * pixels; /* [P,Q] */
            const float kept = n == 0 ? keep : 1.0f;
            ac_fill_panels(scratch, x + (n * v->C + c) * v->H * v->W, &panels);
            conv2d_depthwise_channel(w + c * panels.taps, dyc, scratch, &panels, pixels, kept, scale);
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
    conv2d_depthwise_gradient(dw, db, dy, x, scratch, &v, accumulate ? 1.0f : 0.0f, 1.0f, core, cores);
}

void ac_conv2d_step_f32_depthwise(float *restrict w, float *restrict b, const float *restrict dy,
                                  const float *restrict x, float lr, float *restrict scratch, int32_t N,
                                  int32_t C, int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                                  int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                  int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                  float weight_decay, int32_t core, int32_t cores) {
    const ac_conv2d v = {N, C,        H,        W,       K,        R,          S,          P,
                         Q, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups};
    conv2d_depthwise_gradient(w, b, dy, x, scratch, &v, 1.0f - lr * weight_decay, -lr, core, cores);
}
