/* SPDX-License-Identifier: Apache-2.0 */
/* Phases of the input gradient: input cells that are a multiple of the strides apart see the same taps. */
#ifndef AC_CONV2D_PHASE_H
#define AC_CONV2D_PHASE_H

#include "conv2d_panel.h"

/* The input cells (row + i * stride_h, column + j * stride_w), i < H, j < W, and the panels of dy, [rows][W]
 * each, in which what they see lies one after the other. */
typedef struct {
    int32_t row, column, H, W;
    ac_panels panels;
} ac_phase;

static inline void ac_gradient_phase(ac_phase *to, const ac_conv2d *v, int32_t row, int32_t column) {
    ac_panels *panels = &to->panels;
    int32_t low = INT32_MAX, high = INT32_MIN; /* rows of dy that row 0 of the phase sees */
    for (int32_t r = 0; r < v->R; r++) {
        const int32_t down = row + v->pad_top - r * v->dilation_h;
        low = down % v->stride_h == 0 ? ac_min_i32(low, down / v->stride_h) : low;
        high = down % v->stride_h == 0 ? ac_max_i32(high, down / v->stride_h) : high;
    }
    to->row = row;
    to->column = column;
    to->H = (v->H - row + v->stride_h - 1) / v->stride_h;
    to->W = (v->W - column + v->stride_w - 1) / v->stride_w;
    panels->count = panels->taps = panels->size = 0;
    for (int32_t s = 0; low <= high && s < v->S; s++) {
        const int32_t right = column + v->pad_left - s * v->dilation_w, rows = to->H + high - low;
        if (right % v->stride_w != 0)
            continue;
        panels->size = rows * to->W;
        for (int32_t r = 0; r < v->R; r++) {
            const int32_t down = row + v->pad_top - r * v->dilation_h, t = panels->taps;
            if (down % v->stride_h != 0)
                continue;
            panels->tap[t] = panels->count * panels->size + (down / v->stride_h - low) * to->W;
            panels->tap_w[t] = r * v->S + s;
            panels->taps++;
        }
        panels->window[panels->count] =
            ac_make_window(v->P, v->Q, rows, to->W, low, right / v->stride_w, 1, 1);
        panels->count++;
    }
    panels->words = panels->count * panels->size;
}

/* dx[H,W] at the cells of the phase = flat[i,j]; flat begins at cell number `first` and has `count` cells. */
static inline void ac_scatter_phase(float *restrict dx, const float *restrict flat, const ac_phase *to,
                                    const ac_conv2d *v, int32_t first, int32_t count) {
    const int32_t step = v->stride_w;
    for (int32_t n = 0; n < count;) {
        const int32_t i = (first + n) / to->W, j = (first + n) % to->W,
                      run = ac_min_i32(to->W - j, count - n);
        float *line = dx + (to->row + i * v->stride_h) * v->W + to->column + j * step;
        for (int32_t m = 0; m < run; m++)
            line[m * step] = flat[n + m];
        n += run;
    }
}

#endif
