/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution and its transpose as the same sum over taps, two channels by four neighbouring outputs at a
 * time. The outputs of a transposed one are taken in phases of the stride, so that it has stride 1. */
#ifndef AC_CONV2D_GATHER_H
#define AC_CONV2D_GATHER_H

#include "conv2d_block.h"

/* Rows or columns: output i meets tap t at x number start + i * stride + t * dilation, if that is in
 * [0,size). */
typedef struct {
    int32_t size, count, taps, start, stride, dilation; /* of x, of outputs, of taps */
    int32_t x_step, y_first, y_step, w_first, w_step;   /* words of one x, output and tap */
} ac_axis;

/* The terms of a sum, and how far apart they are in x and w. */
typedef struct {
    int32_t channels, rows, columns;
    int32_t x_channel, x_row, x_column, w_channel, w_row, w_column;
    int32_t w_next, y_next; /* from one output channel to the next one; 0 if there is none */
    const float *b;         /* of the first channel, or NULL */
    float lo, hi;
} ac_terms;

static inline ac_axis ac_forward_axis(int32_t size, int32_t count, int32_t taps, int32_t stride, int32_t pad,
                                      int32_t dilation, int32_t x_step, int32_t y_step, int32_t w_step) {
    const ac_axis axis = {size, count, taps, -pad, stride, dilation, x_step, 0, y_step, 0, w_step};
    return axis;
}

/* Outputs phase, phase + stride, ..: those that meet the same taps, last tap first. */
static inline ac_axis ac_backward_axis(int32_t size, int32_t count, int32_t taps, int32_t stride, int32_t pad,
                                       int32_t dilation, int32_t x_step, int32_t y_step, int32_t w_step,
                                       int32_t phase) {
    int32_t met = 0, last = 0, apart = stride;
    for (int32_t t = 0; t < taps; t++)
        if ((phase + pad - t * dilation) % stride == 0) {
            apart = t - last;
            last = t;
            met++;
        }
    const ac_axis axis = {size,
                          (count - phase + stride - 1) / stride,
                          met,
                          (phase + pad - last * dilation) / stride,
                          1,
                          met > 1 ? apart * dilation / stride : 1,
                          x_step,
                          phase * y_step,
                          stride * y_step,
                          last * w_step,
                          -apart * w_step};
    return axis;
}

/* The outputs [first, last) that meet all taps inside x. */
static inline int32_t ac_inner_first(const ac_axis *axis) {
    return ac_min_i32(ac_first(axis->start, axis->stride), axis->count);
}
static inline int32_t ac_inner_last(const ac_axis *axis) {
    return ac_last(axis->start + (axis->taps - 1) * axis->dilation, axis->stride, axis->count, axis->size);
}

/* Four outputs of two channels; x_step and y_step words from one output to the next. */
static inline void ac_gather_four(float *restrict y, const float *restrict x, const float *restrict w,
                                  const ac_terms *terms, int32_t x_step, int32_t y_step) {
    const int32_t rows = terms->rows, columns = terms->columns, x_column = terms->x_column,
                  w_column = terms->w_column, w_next = terms->w_next;
    ac_four sum0 = ac_four_of(0.0f), sum1 = sum0;
    for (int32_t c = 0; c < terms->channels; c++) {
        const float *xr = x + c * terms->x_channel, *wr = w + c * terms->w_channel;
        for (int32_t r = 0; r < rows; r++, xr += terms->x_row, wr += terms->w_row) {
            const float *xs = xr, *ws = wr;
            for (int32_t s = 0; s < columns; s++, xs += x_column, ws += w_column) {
                const ac_four v = ac_four_load(xs, x_step);
                sum0 = ac_four_add(sum0, *ws, v);
                sum1 = ac_four_add(sum1, ws[w_next], v);
            }
        }
    }
    const float *b = terms->b;
    ac_four_store(y, y_step, sum0, b == NULL ? 0.0f : b[0], terms->lo, terms->hi);
    if (terms->y_next != 0)
        ac_four_store(y + terms->y_next, y_step, sum1, b == NULL ? 0.0f : b[1], terms->lo, terms->hi);
}

/* One output of two channels, whose `columns` taps are inside. */
static inline void ac_gather_one(float *restrict y, const float *restrict x, const float *restrict w,
                                 const ac_terms *terms, int32_t columns) {
    const int32_t x_column = terms->x_column, w_column = terms->w_column, w_next = terms->w_next;
    const float *b = terms->b;
    float sum0 = b == NULL ? 0.0f : b[0], sum1 = b == NULL || terms->y_next == 0 ? 0.0f : b[1];
    for (int32_t c = 0; c < terms->channels; c++) {
        const float *xr = x + c * terms->x_channel, *wr = w + c * terms->w_channel;
        for (int32_t r = 0; r < terms->rows; r++, xr += terms->x_row, wr += terms->w_row) {
            const float *xs = xr, *ws = wr;
            for (int32_t s = 0; s < columns; s++, xs += x_column, ws += w_column) {
                sum0 += *xs * *ws;
                sum1 += *xs * ws[w_next];
            }
        }
    }
    y[0] = ac_clampf(sum0, terms->lo, terms->hi);
    if (terms->y_next != 0)
        y[terms->y_next] = ac_clampf(sum1, terms->lo, terms->hi);
}

/* All outputs of a line: y, x and w begin where index 0 would be on the axis. */
static inline void ac_gather_line(float *restrict y, const float *restrict x, const float *restrict w,
                                  const ac_terms *terms, const ac_axis *axis) {
    const int32_t first = ac_inner_first(axis), last = ac_inner_last(axis), whole = last - first >= 4;
    for (int32_t i = 0; i < axis->count;) {
        const int32_t at = whole && i >= first && i < last ? ac_min_i32(i, last - 4) : i;
        const int32_t begin = axis->start + at * axis->stride;
        float *to = y + at * axis->y_step;
        if (whole && i >= first && i < last) {
            const int32_t x_step = axis->stride * axis->x_step;
            if (x_step == 1)
                ac_gather_four(to, x + begin, w, terms, 1, axis->y_step);
            else
                ac_gather_four(to, x + begin * axis->x_step, w, terms, x_step, axis->y_step);
            i = at + 4;
        } else {
            const int32_t t0 = ac_first(begin, axis->dilation);
            const int32_t t1 = ac_last(begin, axis->dilation, axis->taps, axis->size);
            ac_gather_one(to, x + (begin + t0 * axis->dilation) * axis->x_step, w + t0 * axis->w_step, terms,
                          t1 - t0);
            i++;
        }
    }
}

/* All outputs y[N,outs] of one phase, given x[N,ins] and weights that are w_in words apart for channels of x
 * and w_out for those of y. */
static inline void ac_gather(float *restrict y, const float *restrict x, const float *restrict w,
                             const float *restrict b, int32_t N, int32_t groups, int32_t ins, int32_t outs,
                             int32_t x_plane, int32_t y_plane, int32_t w_in, int32_t w_out,
                             const ac_axis *rows, const ac_axis *columns, float lo, float hi, int32_t core,
                             int32_t cores) {
    const int32_t high = ac_inner_last(rows) - ac_inner_first(rows),
                  wide = ac_inner_last(columns) - ac_inner_first(columns);
    const ac_axis *across = wide >= high ? rows : columns, *along = wide >= high ? columns : rows;
    const int32_t pairs = (outs + 1) / 2, units = N * groups * pairs * across->count;
    const int32_t last = ac_split(units, core + 1, cores);
    for (int32_t unit = ac_split(units, core, cores); unit < last; unit++) {
        const int32_t line = unit % across->count,
                      set = unit / across->count / pairs; /* n * groups + group */
        const int32_t k = unit / across->count % pairs * 2, group = set % groups, two = k + 1 < outs;
        const int32_t begin = across->start + line * across->stride;
        const int32_t t0 = ac_first(begin, across->dilation),
                      t1 = ac_last(begin, across->dilation, across->taps, across->size);
        const ac_terms terms = {ins,
                                t1 - t0,
                                along->taps,
                                x_plane,
                                across->dilation * across->x_step,
                                along->dilation * along->x_step,
                                w_in,
                                across->w_step,
                                along->w_step,
                                two * w_out,
                                two * y_plane,
                                b == NULL ? NULL : b + group * outs + k,
                                lo,
                                hi};
        ac_gather_line(y + (set * outs + k) * y_plane + across->y_first + line * across->y_step +
                           along->y_first,
                       x + set * ins * x_plane + (begin + t0 * across->dilation) * across->x_step,
                       w + group * ac_max_i32(ins * w_in, outs * w_out) + k * w_out + across->w_first +
                           t0 * across->w_step + along->w_first,
                       &terms, along);
    }
}

#endif
