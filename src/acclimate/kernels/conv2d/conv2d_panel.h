/* SPDX-License-Identifier: Apache-2.0 */
/* Panels: copies of a plane, one per column of taps, in which the values that one tap shows to all outputs
 * lie one after the other, so that an inner loop runs over all pixels even if a row has only five.
 * Memory-efficient convolution, Cho and Brand 2017, arXiv:1706.06873. */
#ifndef AC_CONV2D_PANEL_H
#define AC_CONV2D_PANEL_H

#include "../ac.h"

/* Most taps R * S of a kernel that keeps their offsets on the stack. */
enum { AC_TAPS = 256 };

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
    v.left = ac_min_i32(ac_first(column0, column_step), columns);
    v.right = ac_max_i32(v.left, ac_last(column0, column_step, columns, W));
    v.top = ac_min_i32(ac_first(row0, row_step), rows);
    v.bottom = v.left == v.right ? v.top : ac_max_i32(v.top, ac_last(row0, row_step, rows, H));
    return v;
}

/* to[rows,columns] = 0 in the rows outside of the plane. */
static inline void ac_clear_window(float *restrict to, const ac_window *v) {
    for (int32_t i = 0; i < v->top * v->columns; i++)
        to[i] = 0.0f;
    for (int32_t i = v->bottom * v->columns; i < v->rows * v->columns; i++)
        to[i] = 0.0f;
}

/* to[rows,columns] = the cells of the window in all other rows, zero outside of the plane. */
static inline void ac_copy_window(float *restrict to, const float *restrict from, const ac_window *v) {
    const int32_t columns = v->columns, row_step = v->row_step, column_step = v->column_step;
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
            else if (column_step == 2) /* a constant, for which compilers have shuffles */
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

/* The panels of a plane, and where each tap finds what it shows to output (0, 0). */
typedef struct {
    int32_t count, size, words; /* words of one panel; of all panels of a plane */
    ac_window window[AC_TAPS];  /* for each panel */
    int32_t taps;
    int32_t tap[AC_TAPS], tap_w[AC_TAPS]; /* offsets of a tap in the panels and in the weights of a channel */
} ac_panels;

/* Once before ac_fill_panels: what it does not set. */
static inline void ac_clear_panels(float *restrict panels, const ac_panels *v) {
    for (int32_t i = 0; i < v->count; i++)
        ac_clear_window(panels + i * v->size, &v->window[i]);
}

static inline void ac_fill_panels(float *restrict panels, const float *restrict plane, const ac_panels *v) {
    for (int32_t i = 0; i < v->count; i++)
        ac_copy_window(panels + i * v->size, plane, &v->window[i]);
}

/* Panels of the input: [S][phases][rows][Q]. Rows of the padded input that are a multiple of stride_h apart
 * form a phase, in which what a tap shows to the next output row is the next row. */
static inline void ac_input_panels(ac_panels *to, const ac_conv2d *v) {
    int32_t period = 1; /* taps of a column that are so many rows apart see the same phase */
    while (period * v->dilation_h % v->stride_h != 0)
        period++;
    const int32_t phases = ac_min_i32(period, v->R);
    const int32_t rows = v->P + (v->R - 1) * v->dilation_h / v->stride_h;
    to->count = v->S * phases;
    to->size = rows * v->Q;
    to->words = to->count * to->size;
    for (int32_t i = 0; i < to->count; i++) {
        const int32_t down = i % phases * v->dilation_h % v->stride_h, right = i / phases * v->dilation_w;
        to->window[i] = ac_make_window(v->H, v->W, rows, v->Q, down - v->pad_top, right - v->pad_left,
                                       v->stride_h, v->stride_w);
    }
    to->taps = v->R * v->S;
    for (int32_t t = 0; t < to->taps; t++) {
        const int32_t r = t / v->S, s = t % v->S;
        to->tap[t] = (s * phases + r % phases) * to->size + r * v->dilation_h / v->stride_h * v->Q;
        to->tap_w[t] = t;
    }
}

/* y[i] = clamp(bias + sum over taps of w * panel, lo, hi), i < pixels. Reads AC_BLOCK words behind the
 * panels. */
static inline void ac_filter(float *restrict y, const float *restrict panels, const float *restrict w,
                             const ac_panels *v, int32_t pixels, float bias, float lo, float hi) {
    for (int32_t i = 0; i < pixels; i += AC_BLOCK) {
        float sum[AC_BLOCK];
        for (int32_t j = 0; j < AC_BLOCK; j++)
            sum[j] = bias;
        for (int32_t t = 0; t < v->taps; t++) {
            const float weight = w[v->tap_w[t]], *seen = panels + v->tap[t] + i;
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
