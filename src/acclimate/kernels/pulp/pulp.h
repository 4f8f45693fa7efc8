/* SPDX-License-Identifier: Apache-2.0 */
/* What surrounds the kernels in assembly of a PULP core. */
#ifndef AC_PULP_H
#define AC_PULP_H

#include <string.h>

#include "../ac.h"

/* A function that stays one: inlined into the step, its branches would cost every core stack. */
#define AC_APART __attribute__((noinline))

/* x[n] = value. Four at a time: a loop of one store would wait for its own counting. */
static inline void ac_set_f32(float *x, int32_t n, float value) {
    float *const end = x + n;
    float *const end_of_fours = x + (n & ~3);
    while (x < end_of_fours) {
        x[0] = value;
        x[1] = value;
        x[2] = value;
        x[3] = value;
        x += 4;
    }
    while (x < end) {
        *x++ = value;
    }
}

/* y[n] = x[n]. Four at a time, and no load is waited for. */
static inline void ac_move_f32(float *restrict y, const float *restrict x, int32_t n) {
    const float *const end = x + n;
    const float *const end_of_fours = x + (n & ~3);
    while (x < end_of_fours) {
        const float a = x[0];
        const float b = x[1];
        const float c = x[2];
        const float d = x[3];
        y[0] = a;
        y[1] = b;
        y[2] = c;
        y[3] = d;
        x += 4;
        y += 4;
    }
    while (x < end) {
        *y++ = *x++;
    }
}

/* Copies planes [channels, height, width] into the middle of zeros: canvas[channels, rows, columns], with
 * pixel (0, 0) at (top, left); both may be negative. Cores share the channels, or the rows of few. */
static inline void ac_canvas_f32(float *canvas, const float *x, int32_t channels, int32_t height,
                                 int32_t width, int32_t top, int32_t left, int32_t rows, int32_t columns,
                                 int32_t core, int32_t cores) {
    const int32_t begin = ac_split(channels * rows, core, cores);
    const int32_t end = ac_split(channels * rows, core + 1, cores);
    const int32_t first = left < 0 ? 0 : left < columns ? left : columns;
    const int32_t seen = left + width < first ? first : left + width;
    const int32_t last = seen < columns ? seen : columns;
    int32_t channel = begin / rows;
    int32_t row = begin % rows;
    for (int32_t i = begin; i < end; i++) {
        float *const to = canvas + i * columns;
        const int32_t h = row - top;
        const int32_t inside = h >= 0 && h < height;
        const float *const from = x + (channel * height + (inside ? h : 0)) * width;
        ac_set_f32(to, inside ? first : columns, 0.0f);
        if (inside) {
            ac_move_f32(to + first, from + (first - left), last - first);
            ac_set_f32(to + last, columns - last, 0.0f);
        }
        row++;
        if (row == rows) {
            row = 0;
            channel++;
        }
    }
}

/* x[0 .. n] = 0 */
static inline void ac_clear_f32(float *x, int32_t n, int32_t core, int32_t cores) {
    const int32_t first = ac_split(n, core, cores);
    ac_set_f32(x + first, ac_split(n, core + 1, cores) - first, 0.0f);
}

/* The bytes x[0 .. n] = 0. */
static inline void ac_clear_int8(void *x, int32_t n, int32_t core, int32_t cores) {
    const int32_t first = ac_split(n, core, cores);
    memset((uint8_t *)x + first, 0, (size_t)(ac_split(n, core + 1, cores) - first));
}

/* x[channels, n] = clamp(b[channels]); b may be NULL. */
static inline void ac_fill_f32(float *x, const float *b, int32_t channels, int32_t n, float lo, float hi,
                               int32_t core, int32_t cores) {
    const int32_t end = ac_split(channels * n, core + 1, cores);
    int32_t at = ac_split(channels * n, core, cores);
    int32_t channel = at / n;
    while (at < end) {
        const int32_t stop = (channel + 1) * n < end ? (channel + 1) * n : end;
        ac_set_f32(x + at, stop - at, ac_clampf(b ? b[channel] : 0.0f, lo, hi));
        at = stop;
        channel++;
    }
}

/* y[n] = clamp(sum of parts[parts, n] over the parts + b[n]); b may be NULL. Cores share the outputs. */
static inline void ac_add_parts_f32(float *restrict y, const float *restrict x, const float *restrict b,
                                    int32_t n, int32_t parts, float lo, float hi, int32_t core,
                                    int32_t cores) {
    const int32_t end = ac_split(n, core + 1, cores);
    for (int32_t i = ac_split(n, core, cores); i < end; i++) {
        float sum = b ? b[i] : 0.0f;
        for (int32_t part = 0; part < parts; part++) {
            sum += x[part * n + i];
        }
        y[i] = ac_clampf(sum, lo, hi);
    }
}

/* y = x */
static inline void ac_copy_f32(float *restrict y, const float *restrict x, int32_t n, int32_t core,
                               int32_t cores) {
    const int32_t first = ac_split(n, core, cores);
    ac_move_f32(y + first, x + first, ac_split(n, core + 1, cores) - first);
}

/* y = factor x */
static inline void ac_scale_f32(float *restrict y, const float *restrict x, int32_t n, float factor,
                                int32_t core, int32_t cores) {
    const int32_t end = ac_split(n, core + 1, cores);
    for (int32_t i = ac_split(n, core, cores); i < end; i++) {
        y[i] = factor * x[i];
    }
}

/* y = y + x */
static inline void ac_add_f32(float *restrict y, const float *restrict x, int32_t n, int32_t core,
                              int32_t cores) {
    const int32_t end = ac_split(n, core + 1, cores);
    for (int32_t i = ac_split(n, core, cores); i < end; i++) {
        y[i] += x[i];
    }
}

/* w = w - lr (g + decay w) */
static inline void ac_descend_f32(float *restrict w, const float *restrict g, int32_t n, float lr,
                                  float decay, int32_t core, int32_t cores) {
    const float keep = 1.0f - lr * decay;
    const int32_t end = ac_split(n, core + 1, cores);
    for (int32_t i = ac_split(n, core, cores); i < end; i++) {
        w[i] = keep * w[i] - lr * g[i];
    }
}

#endif
