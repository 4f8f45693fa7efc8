/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over taps and channels, two output channels by four neighbours of a line at a time. */
#ifndef AC_CONV2D_GATHER_H
#define AC_CONV2D_GATHER_H

#include "conv2d_axis.h"

/* The terms of a sum, and how many words they are apart. */
typedef struct {
    int32_t channels, rows, columns;
    int32_t x_channel, x_row, x_column, w_channel, w_row, w_column;
    int32_t w_next, y_next; /* from one output channel to the other one; 0 if there is only one */
} ac_terms;

/* Four outputs, x_step words apart in x, of both channels. */
static void ac_gather_four(ac_four sum[2], const float *restrict x, const float *restrict w,
                           const ac_terms *terms, int32_t x_step) {
    const int32_t x_column = terms->x_column, w_column = terms->w_column, w_next = terms->w_next;
    const int32_t rows = terms->rows, columns = terms->columns, x_row = terms->x_row, w_row = terms->w_row;
    ac_four sum0 = ac_four_of(0.0f), sum1 = sum0;
    for (int32_t c = 0; c < terms->channels; c++) {
        const float *xr = x + c * terms->x_channel, *wr = w + c * terms->w_channel;
        for (int32_t r = 0; r < rows; r++, xr += x_row, wr += w_row) {
            const float *xs = xr, *ws = wr;
            for (int32_t s = 0; s < columns; s++, xs += x_column, ws += w_column) {
                const ac_four v = ac_four_load(xs, x_step);
                sum0 = ac_four_add(sum0, *ws, v);
                sum1 = ac_four_add(sum1, ws[w_next], v);
            }
        }
    }
    sum[0] = sum0;
    sum[1] = sum1;
}

/* The same of three columns, if x_step = x_column = 1: four outputs meet six x in a row. */
static void ac_gather_three(ac_four sum[2], const float *restrict x, const float *restrict w,
                            const ac_terms *terms) {
    const int32_t rows = terms->rows, x_row = terms->x_row, w_row = terms->w_row;
    const int32_t w_column = terms->w_column, w_next = terms->w_next;
    ac_four sum0 = ac_four_of(0.0f), sum1 = sum0;
    for (int32_t c = 0; c < terms->channels; c++) {
        const float *xr = x + c * terms->x_channel, *wr = w + c * terms->w_channel;
        for (int32_t r = 0; r < rows; r++, xr += x_row, wr += w_row) {
            const float *ws = wr + w_next;
            const ac_four v0 = ac_four_load(xr, 1), v1 = {v0.b, v0.c, v0.d, xr[4]},
                          v2 = {v0.c, v0.d, xr[4], xr[5]};
            sum0 = ac_four_add(sum0, wr[0], v0);
            sum1 = ac_four_add(sum1, ws[0], v0);
            sum0 = ac_four_add(sum0, wr[w_column], v1);
            sum1 = ac_four_add(sum1, ws[w_column], v1);
            sum0 = ac_four_add(sum0, wr[2 * w_column], v2);
            sum1 = ac_four_add(sum1, ws[2 * w_column], v2);
        }
    }
    sum[0] = sum0;
    sum[1] = sum1;
}

/* One output of both channels, whose `columns` taps are inside. */
static void ac_gather_one(float sum[2], const float *restrict x, const float *restrict w,
                          const ac_terms *terms, int32_t columns) {
    const int32_t x_column = terms->x_column, w_column = terms->w_column, w_next = terms->w_next;
    const int32_t rows = terms->rows, x_row = terms->x_row, w_row = terms->w_row;
    float sum0 = 0.0f, sum1 = 0.0f;
    for (int32_t c = 0; c < terms->channels; c++) {
        const float *xr = x + c * terms->x_channel, *wr = w + c * terms->w_channel;
        for (int32_t r = 0; r < rows; r++, xr += x_row, wr += w_row) {
            const float *xs = xr, *ws = wr;
            for (int32_t s = 0; s < columns; s++, xs += x_column, ws += w_column) {
                const float v = *xs;
                sum0 += v * *ws;
                sum1 += v * ws[w_next];
            }
        }
    }
    sum[0] = sum0;
    sum[1] = sum1;
}

/* The outputs of a line in both channels; y, x and w begin at output, x and tap 0 of the axis. */
static inline void ac_gather_line(float *restrict y, const float *restrict x, const float *restrict w,
                                  const ac_terms *terms, const ac_axis *axis, float b0, float b1, float lo,
                                  float hi) {
    const int32_t x_step = axis->stride * axis->x_step, y_step = axis->y_step, y_next = terms->y_next;
    const int32_t three = axis->taps == 3 && x_step == 1 && terms->x_column == 1;
    const int32_t end = axis->last - axis->first >= 4 ? axis->last : axis->first; /* of the blocks */
    for (int32_t i = 0; i < axis->count;) {
        if (i >= axis->first && i < end) {
            const int32_t at = ac_min_i32(i, end - 4); /* the last block may begin inside the one before */
            ac_four sum[2];
            if (three)
                ac_gather_three(sum, x + ac_at(axis, at, 0), w, terms);
            else
                ac_gather_four(sum, x + ac_at(axis, at, 0), w, terms, x_step);
            ac_four_store(y + at * y_step, y_step, sum[0], b0, lo, hi);
            if (y_next != 0)
                ac_four_store(y + at * y_step + y_next, y_step, sum[1], b1, lo, hi);
            i = at + 4;
        } else {
            const int32_t t = ac_tap_first(axis, i);
            float sum[2];
            ac_gather_one(sum, x + ac_at(axis, i, t), w + t * axis->w_step, terms, ac_tap_last(axis, i) - t);
            y[i * y_step] = ac_clampf(sum[0] + b0, lo, hi);
            if (y_next != 0)
                y[i * y_step + y_next] = ac_clampf(sum[1] + b1, lo, hi);
            i++;
        }
    }
}

/* The outputs y[N,outs] of one phase, given x[N,ins] and weights that are w_in words apart for channels of x
 * and w_out for those of y. */
static inline void ac_gather(float *restrict y, const float *restrict x, const float *restrict w,
                             const float *restrict b, int32_t N, int32_t groups, int32_t ins, int32_t outs,
                             int32_t x_plane, int32_t y_plane, int32_t w_in, int32_t w_out,
                             const ac_axis *rows, const ac_axis *columns, float lo, float hi, int32_t core,
                             int32_t cores) {
    const int32_t pairs = (outs + 1) / 2, inner = columns->last - columns->first;
    /* lines are rows if that gives longer blocks, or if there were fewer columns than cores */
    const int32_t few = inner >= 4 && N * groups * pairs * columns->count < 2 * cores;
    const int32_t wide = few || inner >= rows->last - rows->first;
    const ac_axis *along = wide ? columns : rows, *across = wide ? rows : columns;
    ac_terms terms = {ins,
                      0,
                      along->taps,
                      x_plane,
                      across->dilation * across->x_step,
                      along->dilation * along->x_step,
                      w_in,
                      across->w_step,
                      along->w_step,
                      w_out,
                      y_plane};
    const int32_t units = N * groups * pairs * across->count;
    const int32_t last = ac_split(units, core + 1, cores);
    for (int32_t unit = ac_split(units, core, cores); unit < last; unit++) {
        const int32_t line = unit % across->count, pair = unit / across->count;
        const int32_t set = pair / pairs, k = pair % pairs * 2,
                      group = set % groups; /* set = n * groups + group */
        const int32_t two = k + 1 < outs, t = ac_tap_first(across, line);
        const float *bias = b == NULL ? NULL : b + group * outs + k;
        terms.rows = ac_tap_last(across, line) - t;
        terms.w_next = two * w_out;
        terms.y_next = two * y_plane;
        ac_gather_line(y + (set * outs + k) * y_plane + across->y_first + line * across->y_step +
                           along->y_first,
                       x + set * ins * x_plane + ac_at(across, line, t),
                       w + group * ac_max_i32(ins * w_in, outs * w_out) + k * w_out + across->w_first +
                           t * across->w_step + along->w_first,
                       &terms, along, bias == NULL ? 0.0f : bias[0], bias == NULL ? 0.0f : bias[two], lo, hi);
    }
}

#endif
