/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d_axis.h"

void ac_depthwise_walk(float *restrict y, const float *restrict x, const float *restrict w, float b,
                       int32_t rows, int32_t x_row, int32_t w_row, const ac_axis *axis, float lo, float hi) {
    const int32_t count = axis->count + 2, x_step = axis->stride * axis->x_step, y_step = axis->y_step;
    const int32_t from = ac_first(axis->start, axis->stride);
    const int32_t to = ac_last(axis->start, axis->stride, count, axis->size);
    const float *w1 = w + axis->w_step, *w2 = w1 + axis->w_step; /* [rows] of taps 1 and 2 */
    const int32_t second = rows > 1 ? w_row : 0, third = rows > 2 ? 2 * w_row : 0;
    const float w00 = w[0], w01 = w1[0], w02 = w2[0], w10 = w[second], w11 = w1[second], w12 = w2[second];
    const float w20 = w[third], w21 = w1[third], w22 = w2[third];
    float sum0 = b, sum1 = b, sum2 = b; /* of outputs i, i - 1 and i - 2 */
    int32_t i = 2;
    for (; i < from && i < count; i++, y += y_step)
        *y = ac_clampf(b, lo, hi);
    x += (axis->start + from * axis->stride) * axis->x_step;
    for (i = from; i < to; i++, x += x_step) {
        const float v0 = x[0];
        if (rows == 3) {
            const float v1 = x[x_row], v2 = x[2 * x_row];
            sum2 += w02 * v0;
            sum1 += w01 * v0;
            sum0 = b + w00 * v0;
            sum2 += w12 * v1;
            sum1 += w11 * v1;
            sum0 += w10 * v1;
            sum2 += w22 * v2;
            sum1 += w21 * v2;
            sum0 += w20 * v2;
        } else {
            const float v1 = x[rows == 2 ? x_row : 0];
            sum2 += w02 * v0;
            sum1 += w01 * v0;
            sum0 = b + w00 * v0;
            if (rows == 2) {
                sum2 += w12 * v1;
                sum1 += w11 * v1;
                sum0 += w10 * v1;
            }
        }
        if (i >= 2) {
            *y = ac_clampf(sum2, lo, hi);
            y += y_step;
        }
        sum2 = sum1;
        sum1 = sum0;
    }
    for (; i < count; i++) {
        if (i >= 2) {
            *y = ac_clampf(sum2, lo, hi);
            y += y_step;
        }
        sum2 = sum1;
        sum1 = b;
    }
}

/* Outputs y[0:count], all of whose taps are inside; count >= 4. */
static void depthwise_inner(float *restrict y, const float *restrict x, const float *restrict w, float b,
                            int32_t count, int32_t rows, int32_t x_row, int32_t w_row, const ac_axis *axis,
                            float lo, float hi) {
    const int32_t x_step = axis->stride * axis->x_step, x_column = axis->dilation * axis->x_step;
    const int32_t y_step = axis->y_step, w_step = axis->w_step, taps = axis->taps;
    for (int32_t i = 0; i < count; i += 4) {
        const int32_t at = ac_min_i32(i, count - 4); /* the last block may begin inside the one before */
        const float *xr = x + at * x_step, *wr = w;
        ac_four sum = ac_four_of(0.0f);
        for (int32_t r = 0; r < rows; r++, xr += x_row, wr += w_row) {
            const float *xs = xr, *ws = wr;
            for (int32_t s = 0; s < taps; s++, xs += x_column, ws += w_step)
                sum = ac_four_add(sum, *ws, ac_four_load(xs, x_step));
        }
        ac_four_store(y + at * y_step, y_step, sum, b, lo, hi);
    }
}

/* Outputs y[first:last], one after the other; y, x and w begin at output, x and tap 0 of the axis. */
static void depthwise_border(float *restrict y, const float *restrict x, const float *restrict w, float b,
                             int32_t first, int32_t last, int32_t rows, int32_t x_row, int32_t w_row,
                             const ac_axis *axis, float lo, float hi) {
    const int32_t x_column = axis->dilation * axis->x_step, w_step = axis->w_step;
    for (int32_t i = first; i < last; i++) {
        const int32_t t0 = ac_tap_first(axis, i), t1 = ac_tap_last(axis, i);
        const float *xr = x + ac_at(axis, i, t0), *wr = w + t0 * w_step;
        float sum = b;
        for (int32_t r = 0; r < rows; r++, xr += x_row, wr += w_row) {
            const float *xs = xr, *ws = wr;
            for (int32_t t = t0; t < t1; t++, xs += x_column, ws += w_step)
                sum += *xs * *ws;
        }
        y[i * axis->y_step] = ac_clampf(sum, lo, hi);
    }
}

/* The outputs y[N,C] of one phase, given x[N,C] and w[C] of `taps` taps. */
static void depthwise(float *restrict y, const float *restrict x, const float *restrict w,
                      const float *restrict b, int32_t N, int32_t C, int32_t x_plane, int32_t y_plane,
                      int32_t taps, const ac_axis *rows, const ac_axis *columns, float lo, float hi,
                      int32_t core, int32_t cores) {
    const int32_t wide = columns->last - columns->first >= rows->last - rows->first;
    const ac_axis *along = wide ? columns : rows, *across = wide ? rows : columns;
    const int32_t x_row = across->dilation * across->x_step, w_row = across->w_step;
    const int32_t walk = along->taps == 3 && along->stride == along->dilation && across->taps <= 3;
    const int32_t whole = along->last - along->first >= 4;
    const int32_t first = whole ? along->first : 0, end = whole ? along->last : 0; /* of the blocks */
    const int32_t units = N * C * across->count, unit = ac_split(units, core, cores);
    int32_t left = ac_split(units, core + 1, cores) - unit;
    int32_t plane = left > 0 ? unit / across->count : 0, line = left > 0 ? unit % across->count : 0,
            c = plane % C;
    for (; left > 0; left--, line++) {
        if (line == across->count) {
            line = 0;
            plane++;
            c = c + 1 == C ? 0 : c + 1;
        }
        const int32_t t = ac_tap_first(across, line), inside = ac_tap_last(across, line) - t;
        const float *from = x + plane * x_plane + ac_at(across, line, t);
        const float *by = w + c * taps + across->w_first + t * across->w_step + along->w_first;
        float *to = y + plane * y_plane + across->y_first + line * across->y_step + along->y_first;
        const float bias = b == NULL ? 0.0f : b[c];
        if (walk && inside > 0) {
            ac_depthwise_walk(to, from, by, bias, inside, x_row, w_row, along, lo, hi);
            continue;
        }
        if (whole)
            depthwise_inner(to + first * along->y_step, from + ac_at(along, first, 0), by, bias, end - first,
                            inside, x_row, w_row, along, lo, hi);
        depthwise_border(to, from, by, bias, 0, first, inside, x_row, w_row, along, lo, hi);
        depthwise_border(to, from, by, bias, end, along->count, inside, x_row, w_row, along, lo, hi);
    }
}

void ac_conv2d_fwd_f32_depthwise_block(float *restrict y, const float *restrict x, const float *restrict w,
                                       const float *restrict b, int32_t N, int32_t C, int32_t H, int32_t W,
                                       int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                       int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                       int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo,
                                       float hi, int32_t core, int32_t cores) {
    (void)K, (void)groups;
    const ac_axis rows = ac_forward_axis(H, P, R, stride_h, pad_top, dilation_h, W, Q, S);
    const ac_axis columns = ac_forward_axis(W, Q, S, stride_w, pad_left, dilation_w, 1, 1, 1);
    depthwise(y, x, w, b, N, C, H * W, P * Q, R * S, &rows, &columns, lo, hi, core, cores);
}

void ac_conv2d_bwd_x_f32_depthwise_block(float *restrict dx, const float *restrict dy,
                                         const float *restrict w, const float *restrict b, int32_t N,
                                         int32_t C, int32_t H, int32_t W, int32_t K, int32_t R, int32_t S,
                                         int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                                         int32_t pad_top, int32_t pad_left, int32_t dilation_h,
                                         int32_t dilation_w, int32_t groups, float lo, float hi, int32_t core,
                                         int32_t cores) {
    (void)K, (void)groups;
    for (int32_t i = 0; i < stride_h; i++)
        for (int32_t j = 0; j < stride_w; j++) {
            const ac_axis rows = ac_backward_axis(P, H, R, stride_h, pad_top, dilation_h, Q, W, S, i);
            const ac_axis columns = ac_backward_axis(Q, W, S, stride_w, pad_left, dilation_w, 1, 1, 1, j);
            depthwise(dx, dy, w, b, N, C, P * Q, H * W, R * S, &rows, &columns, lo, hi, core, cores);
        }
}
