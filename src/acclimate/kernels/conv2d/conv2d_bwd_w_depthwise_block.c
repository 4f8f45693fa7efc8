/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d_axis.h"

/* sum[i] += products of a line of dy with the x at tap t[i] of it; x begins at x number 0. */
static void depthwise_line(float sum[3], const float *restrict dy, const float *restrict x,
                           const int32_t t[3], int32_t first, int32_t last, const ac_axis *axis) {
    const int32_t x_step = axis->stride * axis->x_step, y_step = axis->y_step;
    float sum0 = sum[0], sum1 = sum[1], sum2 = sum[2];
    const float *from = dy + first * y_step;
    const float *x0 = x + ac_at(axis, first, t[0]), *x1 = x + ac_at(axis, first, t[1]),
                *x2 = x + ac_at(axis, first, t[2]);
    for (int32_t i = first; i < last; i++, from += y_step, x0 += x_step, x1 += x_step, x2 += x_step) {
        const float v = *from;
        sum0 += v * *x0;
        sum1 += v * *x1;
        sum2 += v * *x2;
    }
    sum[0] = sum0;
    sum[1] = sum1;
    sum[2] = sum2;
}

/* Products of `count` outputs and the x that they meet, dy_step and x_step words apart. */
static inline float depthwise_rest(const float *restrict dy, const float *restrict x, int32_t count,
                                   int32_t dy_step, int32_t x_step) {
    float sum = 0.0f;
    for (int32_t i = 0; i < count; i++, dy += dy_step, x += x_step)
        sum += *dy * *x;
    return sum;
}

/* Both outputs become keep * old + scale * gradient, three taps of a line at a time. */
static void depthwise_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                               const float *restrict x, int32_t N, int32_t C, const ac_axis *rows,
                               const ac_axis *columns, float keep, float scale, int32_t core, int32_t cores) {
    const int32_t wide = columns->count >= rows->count;
    const ac_axis *along = wide ? columns : rows, *across = wide ? rows : columns;
    const int32_t x_plane = rows->size * columns->size, dy_plane = rows->count * columns->count;
    const int32_t first = along->first, end = ac_max_i32(along->first, along->last); /* meet all taps */
    const int32_t threes = (along->taps + 2) / 3, units = C * across->taps * threes;
    const int32_t last = ac_split(units, core + 1, cores);
    for (int32_t unit = ac_split(units, core, cores); unit < last; unit++) {
        const int32_t u = unit % across->taps, t0 = unit / across->taps % threes * 3,
                      c = unit / across->taps / threes;
        const int32_t count = ac_min_i32(3, along->taps - t0);
        const int32_t t[3] = {t0, t0 + ac_min_i32(1, count - 1), t0 + count - 1};
        const int32_t u0 = ac_output_first(across, u), lines = ac_output_last(across, u) - u0;
        const int32_t x_step = across->stride * across->x_step, dy_step = across->y_step;
        float sum[3] = {0.0f, 0.0f, 0.0f};
        for (int32_t n = 0; n < N; n++) {
            const float *from = dy + (n * C + c) * dy_plane + u0 * dy_step;
            const float *seen = x + (n * C + c) * x_plane + ac_at(across, u0, u);
            for (int32_t i = 0; i < lines; i++)
                depthwise_line(sum, from + i * dy_step, seen + i * x_step, t, first, end, along);
            for (int32_t i = 0; i < count; i++) {
                const int32_t finish = ac_output_last(along, t[i]);
                for (int32_t j = ac_output_first(along, t[i]); j < finish; j++)
                    if (j == first && j < end)
                        j = end - 1; /* those between are done */
                    else
                        sum[i] += depthwise_rest(from + j * along->y_step, seen + ac_at(along, j, t[i]),
                                                 lines, dy_step, x_step);
            }
        }
        float *to = w + c * rows->taps * columns->taps + u * across->w_step;
        for (int32_t i = 0; i < count; i++)
            to[t[i] * along->w_step] = ac_blend(to[t[i] * along->w_step], sum[i], keep, scale);
    }
    if (b != NULL)
        ac_bias_gradient(b, dy, N, C, dy_plane, keep, scale, core, cores);
}

void ac_conv2d_bwd_w_f32_depthwise_block(float *restrict dw, float *restrict db, const float *restrict dy,
                                         const float *restrict x, int32_t N, int32_t C, int32_t H, int32_t W,
                                         int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                         int32_t stride_h, int32_t stride_w, int32_t pad_top,
                                         int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                                         int32_t groups, int32_t accumulate, int32_t core, int32_t cores) {
    (void)K, (void)groups;
    const ac_axis rows = ac_forward_axis(H, P, R, stride_h, pad_top, dilation_h, W, Q, S);
    const ac_axis columns = ac_forward_axis(W, Q, S, stride_w, pad_left, dilation_w, 1, 1, 1);
    depthwise_gradient(dw, db, dy, x, N, C, &rows, &columns, accumulate ? 1.0f : 0.0f, 1.0f, core, cores);
}

void ac_conv2d_step_f32_depthwise_block(float *restrict w, float *restrict b, const float *restrict dy,
                                        const float *restrict x, float lr, int32_t N, int32_t C, int32_t H,
                                        int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                                        int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                                        int32_t dilation_h, int32_t dilation_w, int32_t groups,
                                        float weight_decay, int32_t core, int32_t cores) {
    (void)K, (void)groups;
    const ac_axis rows = ac_forward_axis(H, P, R, stride_h, pad_top, dilation_h, W, Q, S);
    const ac_axis columns = ac_forward_axis(W, Q, S, stride_w, pad_left, dilation_w, 1, 1, 1);
    depthwise_gradient(w, b, dy, x, N, C, &rows, &columns, 1.0f - lr * weight_decay, -lr, core, cores);
}
