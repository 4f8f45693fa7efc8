/* SPDX-License-Identifier: Apache-2.0 */
#include "../ac_dots.h"
#include "conv2d.h"
#include "conv2d_panel.h"

/* w[K/groups,C/groups,R,S] of one group becomes keep * old + scale * gradient of one sample; `turned` has
 * room for dy[P,Q][AC_COLUMNS]. */
static void conv2d_dense_group(float *restrict w, const float *restrict dy, const float *restrict panels,
                               float *restrict turned, const ac_panels *of, const ac_conv2d *v, float keep,
                               float scale, int32_t first, int32_t last) {
    const int32_t k_group = v->K / v->groups, pixels = v->P * v->Q, area = v->R * v->S, tap[1] = {0};
    const int32_t c_group = v->C / v->groups, weights = c_group * area;
    int32_t row[AC_ROWS];
    float tile[AC_ROWS][AC_COLUMNS];
    for (int32_t k = 0; k < k_group; k += AC_COLUMNS) {
        ac_turn(turned, dy + k * pixels, k_group - k, pixels);
        for (int32_t i = first; i < last; i += AC_ROWS) {
            for (int32_t m = 0, c = i / area, t = i % area; m < AC_ROWS; m++) {
                row[m] = c * of->words + of->tap[t];
                t = t + 1 < area ? t + 1 : 0;
                c = t == 0 && c + 1 < c_group ? c + 1 : c; /* rows behind the last one repeat */
            }
            ac_tile_product(tile, panels, row, tap, 1, turned, tap, AC_COLUMNS, 1, pixels);
            ac_tile_blend_turned(w + k * weights + i, weights, tile, last - i, k_group - k, keep, scale);
        }
    }
}

/* Both outputs become keep * old + scale * gradient. */
static void conv2d_dense_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                                  const float *restrict x, float *restrict scratch, const ac_conv2d *v,
                                  float keep, float scale, int32_t core, int32_t cores) {
    const int32_t c_group = v->C / v->groups, k_group = v->K / v->groups, pixels = v->P * v->Q;
    const int32_t area = v->R * v->S, weights = c_group * area;
    const int32_t first = ac_split(weights, core, cores), last = ac_split(weights, core + 1, cores);
    const int32_t first_k = ac_split(k_group, core, cores), last_k = ac_split(k_group, core + 1, cores);
    ac_panels panels;
    ac_input_panels(&panels, v);
    scratch += core * (c_group * panels.words + pixels * AC_COLUMNS);
    for (int32_t i = 0; i < v->N * v->groups; i++) {
        const float *xg = x + i * c_group * v->H * v->W, *dyg = dy + i * k_group * pixels;
        const float kept = i < v->groups ? keep : 1.0f; /* the first sample */
        for (int32_t c = first / area; c * area < last; c++) {
            ac_clear_panels(scratch + c * panels.words, &panels);
            ac_fill_panels(scratch + c * panels.words, xg + c * v->H * v->W, &panels);
        }
        conv2d_dense_group(w + i % v->groups * k_group * weights, dyg, scratch,
                           scratch + c_group * panels.words, &panels, v, kept, scale, first, last);
        for (int32_t k = first_k; b != NULL && k < last_k; k++) {
            float *bk = b + i % v->groups * k_group + k;
            *bk = ac_blend(*bk, ac_sum(dyg + k * pixels, pixels), kept, scale);
        }
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
    conv2d_dense_gradient(dw, db, dy, x, scratch, &v, accumulate ? 1.0f : 0.0f, 1.0f, core, cores);
}

void ac_conv2d_step_f32_dense(float *restrict w, float *restrict b, const float *restrict dy,
                              const float *restrict x, float lr, float *restrict scratch, int32_t N,
                              int32_t C, int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P,
                              int32_t Q, int32_t stride_h, int32_t stride_w, int32_t pad_top,
                              int32_t pad_left, int32_t dilation_h, int32_t dilation_w, int32_t groups,
                              float weight_decay, int32_t core, int32_t cores) {
    const ac_conv2d v = {N, C,        H,        W,       K,        R,          S,          P,
                         Q, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups};
    conv2d_dense_gradient(w, b, dy, x, scratch, &v, 1.0f - lr * weight_decay, -lr, core, cores);
}
