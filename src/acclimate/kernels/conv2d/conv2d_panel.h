/* SPDX-License-Identifier: Apache-2.0 */
/* Panels: copies of a plane, one per column of taps, in which the values that one tap shows to all outputs
 * lie one after the other, so that an inner loop runs over all pixels even if a row has only five.
 * Memory-efficient convolution, Cho and Brand 2017, arXiv:1706.06873. */
#ifndef AC_CONV2D_PANEL_H
#define AC_CONV2D_PANEL_H

#include "ac_tile.h"

/* Most taps R * S of a kernel that keeps their offsets on the stack. */
enum { AC_TAPS = 64 };

/* Pixels that a filter computes at once. */
enum { AC_BLOCK = 32 };

/* The sizes of a convolution, see conv2d.h. */
typedef struct {
    int32_t N, C, H, W, K, R, S, P, Q;
    int32_t stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups;
} ac_conv2d;

/* The cells row0 + i * row_step, column0 + j * column_step, i < rows, j < columns of a plane, some outside of
 * it: those within have top <= i < bottom and left <= j < right. */
typedef struct {
    int32_t rows, columns, top, bottom, left, right;
    int32_t at, row_step, column_step; /* the cell of (i, j) is at + i * row_step + j * column_step */
} ac_window;

/* A window on a plane [H,W]. */
static inline ac_window ac_make_window(int32_t H, int32_t W, int32_t rows, int32_t columns, int32_t row0,
                                       int32_t column0, int32_t row_step, int32_t column_step) {
    ac_window v = {rows, columns, 0, 0, 0, 0, row0 * W + column0, row_step * W, column_step};
    v.top = ac_min_i32(ac_first(row0, row_step), rows);
    v.bottom = ac_max_i32(v.top, ac_last(row0, row_step, rows, H));
    v.left = ac_min_i32(ac_first(column0, column_step), columns);
    v.right = ac_max_i32(v.left, ac_last(column0, column_step, columns, W));
    return v;
}

/* to[rows,columns] = the cells of the window; zero outside of the plane. */
static inline void ac_copy_window(float *restrict to, const float *restrict from, const ac_window *v) {
    const int32_t columns = v->columns, row_step = v->row_step, column_step = v->column_step;
    for (int32_t i = 0; i < v->top * columns; i++)
        to[i] = 0.0f;
    for (int32_t i = v->bottom * columns; i < v->rows * columns; i++)
        to[i] = 0.0f;
    if (column_step == 1 && columns == row_step) { /* no gap between rows: one loop runs across their ends */
        for (int32_t i = v->top * columns + v->left; i < (v->bottom - 1) * columns + v->right; i++)
            to[i] = from[v->at + i];
    } else {
        for (int32_t i = v->top; i < v->bottom; i++) {
            const float *line = from + v->at + i * row_step + v->left * column_step;
            float *copy = to + i * columns + v->left;
            if (column_step == 1)
                for (int32_t j = 0; j < v->right - v->left; j++)
                    copy[j] = line[j];
            else if (column_step == 2)
                for (int32_t j = 0; j < v->right - v->left; j++)
                    copy[j] = line[2 * j];
            else
                for (int32_t j = 0; j < v->right - v->left; j++)
                    copy[j] = line[j * column_step];
        }
    }
    for (int32_t j = 0; j < v->left; j++)
        for (int32_t i = v->top; i < v->bottom; i++)
            to[i * columns + j] = 0.0f;
    for (int32_t j = v->right; j < columns; j++)
        for (int32_t i = v->top; i < v->bottom; i++)
            to[i * columns + j] = 0.0f;
}

/* The panels of the input: [channels][S][phases][rows][Q]. Rows of the padded input that are a multiple of
 * stride_h apart form a phase, in which what one tap shows to the next output row is the next row. */
typedef struct {
    int32_t windows, size,
        channel;               /* size: words of one panel; channel: words of all panels of one channel */
    ac_window window[AC_TAPS]; /* on the plane of a channel, for each panel */
    int32_t tap[AC_TAPS];      /* offset of what output (0, 0) sees of channel 0 through each tap */
} ac_panels;

static inline void ac_input_panels(ac_panels *to, const ac_conv2d *v) {
    int32_t period = 1; /* taps of a column that are so many rows apart see the same phase */
    while (period * v->dilation_h % v->stride_h != 0)
        period++;
    const int32_t phases = ac_min_i32(period, v->R);
    const int32_t rows = v->P + (v->R - 1) * v->dilation_h / v->stride_h;
    to->windows = v->S * phases;
    to->size = rows * v->Q;
    to->channel = to->windows * to->size;
    for (int32_t i = 0; i < to->windows; i++) {
        const int32_t down = i % phases * v->dilation_h % v->stride_h, right = i / phases * v->dilation_w;
        to->window[i] = ac_make_window(v->H, v->W, rows, v->Q, down - v->pad_top, right - v->pad_left,
                                       v->stride_h, v->stride_w);
    }
    for (int32_t t = 0; t < v->R * v->S; t++) {
        const int32_t r = t / v->S, s = t % v->S;
        to->tap[t] = (s * phases + r % phases) * to->size + r * v->dilation_h / v->stride_h * v->Q;
    }
}

/* Fills the panels of one channel x[H,W]. */
static inline void ac_fill_panels(float *restrict panel, const float *restrict x, const ac_panels *to) {
    for (int32_t i = 0; i < to->windows; i++)
        ac_copy_window(panel + i * to->size, x, &to->window[i]);
}

/* y[i] = clamp(bias + sum over t < taps of w[tap_w[t]] * panel[tap[t] + i], lo, hi), i < pixels. Reads panels
 * up to the next multiple of AC_BLOCK. */
static inline void ac_filter(float *restrict y, const float *restrict panel, const int32_t *restrict tap,
                             const float *restrict w, const int32_t *restrict tap_w, int32_t taps,
                             int32_t pixels, float bias, float lo, float hi) {
    for (int32_t i = 0; i < pixels; i += AC_BLOCK) {
        float sum[AC_BLOCK];
        for (int32_t j = 0; j < AC_BLOCK; j++)
            sum[j] = bias;
        for (int32_t t = 0; t < taps; t++) {
            const float weight = w[tap_w[t]], *seen = panel + tap[t] + i;
            for (int32_t j = 0; j < AC_BLOCK; j++)
                sum[j] += weight * seen[j];
        }
        if (pixels - i >= AC_BLOCK)
            for (int32_t j = 0; j < AC_BLOCK; j++)
                y[i + j] = ac_clampf(sum[j], lo, hi);
        else
            for (int32_t j = 0; j < pixels - i; j++)
                y[i + j] = ac_clampf(sum[j], lo, hi);
    }
}

#endif
