/* SPDX-License-Identifier: Apache-2.0 */
/* Panels: copies of a plane, one per tap column, in which the values that one tap shows to all outputs lie
 * one after the other, so that an inner loop runs over all pixels even if a row has only five.
 * Memory-efficient convolution, Cho and Brand 2017, arXiv:1706.06873. */
#ifndef AC_CONV2D_PANEL_H
#define AC_CONV2D_PANEL_H

#include "ac_tile.h"

/* Most taps R * S of a kernel that keeps their offsets on the stack. */
enum { AC_TAPS = 64 };

/* The sizes of a convolution, see conv2d.h. */
typedef struct {
    int32_t N, C, H, W, K, R, S, P, Q;
    int32_t stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups;
} ac_conv2d;

/* A window on a plane: row0 + i * row_step, column0 + j * column_step, i < rows, j < columns, partly outside.
 */
typedef struct {
    int32_t rows, columns, row0, column0, row_step, column_step;
} ac_window;

/* to[rows,columns] = window v of from[H,W]; zero outside of the plane. */
static inline void ac_copy_window(float *restrict to, const float *restrict from, int32_t H, int32_t W,
                                  ac_window v) {
    const int32_t top = ac_min_i32(ac_first(v.row0, v.row_step), v.rows);
    const int32_t bottom = ac_max_i32(top, ac_last(v.row0, v.row_step, v.rows, H));
    const int32_t left = ac_min_i32(ac_first(v.column0, v.column_step), v.columns);
    const int32_t right = ac_max_i32(left, ac_last(v.column0, v.column_step, v.columns, W));
    const int32_t at = v.row0 * W + v.column0, step = v.row_step * W;
    for (int32_t i = 0; i < top * v.columns; i++)
        to[i] = 0.0f;
    for (int32_t i = bottom * v.columns; i < v.rows * v.columns; i++)
        to[i] = 0.0f;
    if (v.column_step == 1 && v.columns == step) /* rows follow each other in both: copy across their ends */
        for (int32_t i = top * step + left; i < (bottom - 1) * step + right; i++)
            to[i] = from[at + i];
    else if (v.column_step == 1)
        for (int32_t i = top; i < bottom; i++)
            for (int32_t j = left; j < right; j++)
                to[i * v.columns + j] = from[at + i * step + j];
    else
        for (int32_t i = top; i < bottom; i++)
            for (int32_t j = left; j < right; j++)
                to[i * v.columns + j] = from[at + i * step + j * v.column_step];
    for (int32_t i = top; i < bottom; i++) {
        for (int32_t j = 0; j < left; j++)
            to[i * v.columns + j] = 0.0f;
        for (int32_t j = right; j < v.columns; j++)
            to[i * v.columns + j] = 0.0f;
    }
}

/* The panels of the input: [channels][S][phases][rows][Q]. Rows of the padded input with the same remainder
 * by stride_h form a phase, in which what one tap shows to the next output row is the next row. */
typedef struct {
    int32_t phases, rows, channel; /* channel: words of one channel */
    int32_t tap[AC_TAPS];          /* offset of what output (0, 0) sees of channel 0 through each tap */
} ac_panels;

static inline void ac_input_panels(ac_panels *to, const ac_conv2d *v) {
    const int32_t reach = (v->R - 1) * v->dilation_h;
    to->phases = ac_min_i32(v->stride_h, reach + 1);
    to->rows = v->P + reach / v->stride_h;
    to->channel = v->S * to->phases * to->rows * v->Q;
    for (int32_t t = 0; t < v->R * v->S; t++) {
        const int32_t down = t / v->S * v->dilation_h;
        const int32_t phase = t % v->S * to->phases + down % v->stride_h;
        to->tap[t] = (phase * to->rows + down / v->stride_h) * v->Q;
    }
}

/* Fills the panels of one channel x[H,W]. */
static inline void ac_fill_panels(float *restrict panel, const float *restrict x, const ac_panels *to,
                                  const ac_conv2d *v) {
    for (int32_t i = 0; i < v->S * to->phases; i++) {
        const int32_t s = i / to->phases, phase = i % to->phases;
        const ac_window window = {
            to->rows, v->Q, phase - v->pad_top, s * v->dilation_w - v->pad_left, v->stride_h, v->stride_w};
        ac_copy_window(panel + i * to->rows * v->Q, x, v->H, v->W, window);
    }
}

/* Pixels that a filter computes at once, in 8 vectors of 512 bits. */
enum { AC_BLOCK = 128 };

/* y[i] = clamp(bias + sum over t < taps of w[t] * x[tap[t] + i], lo, hi) for i < pixels. */
static inline void ac_filter(float *restrict y, const float *restrict x, const int32_t *restrict tap,
                             const float *restrict w, int32_t taps, int32_t pixels, float bias, float lo,
                             float hi) {
    for (int32_t i = 0; i < pixels; i += AC_BLOCK) {
        float sum[AC_BLOCK];
        for (int32_t j = 0; j < AC_BLOCK; j++)
            sum[j] = bias;
        for (int32_t t = 0; t < taps; t++)
            for (int32_t j = 0; j < AC_BLOCK; j++)
                sum[j] += w[t] * x[tap[t] + i + j];
        if (pixels - i >= AC_BLOCK)
            for (int32_t j = 0; j < AC_BLOCK; j++)
                y[i + j] = ac_clampf(sum[j], lo, hi);
        else
            for (int32_t j = 0; j < pixels - i; j++)
                y[i + j] = ac_clampf(sum[j], lo, hi);
    }
}

#endif
