/* SPDX-License-Identifier: Apache-2.0 */
#include "ac_dots.h"
#include "conv2d.h"
#include "conv2d_panel.h"

/* Both outputs become keep * old + scale * gradient. */
static void blend_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                           const float *restrict x, float *restrict scratch, const ac_conv2d *v, float keep,
                           float scale, int32_t core, int32_t cores) {
    const int32_t tap[1] = {0};
    const int32_t pixels = v->P * v->Q, area = v->R * v->S, weights = v->C * area;
    const int32_t first = ac_split(weights, core, cores), last = ac_split(weights, core + 1, cores);
    int32_t row[AC_ROWS];
    float tile[AC_ROWS][AC_COLUMNS];
    ac_panels panels;
    ac_input_panels(&panels, v);
    scratch += core * (v->C * panels.channel + pixels * AC_COLUMNS);
    float *turned = scratch + v->C * panels.channel;
    for (int32_t n = 0; n < v->N; n++) {
        const float *dyn = dy + n * v->K * pixels; /* [K,P,Q] */
        const float kept = n == 0 ? keep : 1.0f;
        for (int32_t c = first / area; c * area < last; c++)
            ac_fill_panels(scratch + c * panels.channel, x + (n * v->C + c) * v->H * v->W, &panels);
        for (int32_t k = 0; k < v->K; k += AC_COLUMNS) {
            ac_turn(turned, dyn + k * pixels, v->K - k, pixels);
            for (int32_t i = first; i < last; i += AC_ROWS) {
                for (int32_t m = 0, c = i / area, tap_x = i % area; m < AC_ROWS; m++) {
                    row[m] = c * panels.channel + panels.tap[tap_x];
                    tap_x = tap_x + 1 < area ? tap_x + 1 : 0;
                    c = tap_x == 0 && c + 1 < v->C ? c + 1 : c;
                }
                ac_tile_product(tile, scratch, row, tap, 1, turned, tap, AC_COLUMNS, 1, pixels);
                ac_tile_blend_turned(w + k * weights + i, weights, tile, last - i, v->K - k, kept, scale);
            }
        }
        for (int32_t k = ac_split(v->K, core, cores); b != NULL && k < ac_split(v->K, core + 1, cores); k++)
            b[k] = ac_blend(b[k], ac_sum(dyn + k * pixels, pixels), kept, scale);
    }
}

void ac_conv2d_bwd_w_f32_dense(float *restrict dw, float *restrict db, const float *restrict dy,
                               const float *restrict x, float *restrict scratch, int32_t N, int32_t C,
                               int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                               int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                               int32_t dilation_h, int32_t dilation_w, int32_t groups, int32_t accumulate,
                               int32_t core, int32_t cores) {
    const ac_conv2d v = {N, C,        H,        W,       K,        R,          S,          P,
                         Q, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups};
    blend_gradient(dw, db, dy, x, scratch, &v, accumulate ? 1.0f : 0.0f, 1.0f, core, cores);
}

void ac_conv2d_step_f32_dense(float *restrict w, float *restrict b, const float *restrict dy,
                              const float *restrict x, float lr, float *restrict scratch, int32_t N,
                              int32_t C, int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                              int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                              int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                              float weight_decay, int32_t core, int32_t cores) {
    const ac_conv2d v = {N, C,        H,        W,       K,        R,          S,          P,
                         Q, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups};
    blend_gradient(w, b, dy, x, scratch, &v, 1.0f - lr * weight_decay, -lr, core, cores);
}
