/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d_axis.h"

/* How many words the cells of an array are apart that a gradient reads. */
typedef struct {
    int32_t sample, row, column, plane;
} gradient_steps;

/* sum[i] = products of plane i of a with four planes of b, over N samples, rows and columns. a has two
 * planes, if not `two` the same one twice; b has `count` <= 4, and behind the last one that one again. */
static inline void gradient_tile(ac_four sum[2], const float *restrict a, const float *restrict b,
                                 int32_t two, int32_t count, int32_t N, int32_t rows, int32_t columns,
                                 const gradient_steps *a_steps, const gradient_steps *b_steps) {
    const int32_t a_column = a_steps->column, b_column = b_steps->column, a_next = two * a_steps->plane;
    const int32_t next1 = ac_min_i32(1, count - 1) * b_steps->plane,
                  next2 = ac_min_i32(2, count - 1) * b_steps->plane, next3 = (count - 1) * b_steps->plane;
    ac_four sum0 = ac_four_of(0.0f), sum1 = sum0;
    for (int32_t n = 0; n < N; n++)
        for (int32_t r = 0; r < rows; r++) {
            const float *a0 = a + n * a_steps->sample + r * a_steps->row, *a1 = a0 + a_next;
            const float *b0 = b + n * b_steps->sample + r * b_steps->row;
            const float *b1 = b0 + next1, *b2 = b0 + next2, *b3 = b0 + next3;
            for (int32_t i = 0; i < columns; i++) {
                const ac_four v = {*b0, *b1, *b2, *b3};
                sum0 = ac_four_add(sum0, *a0, v);
                sum1 = ac_four_add(sum1, *a1, v);
                a0 += a_column, a1 += a_column;
                b0 += b_column, b1 += b_column, b2 += b_column, b3 += b_column;
            }
        }
    sum[0] = sum0;
    sum[1] = sum1;
}

/* Both outputs become keep * old + scale * gradient. A tile is one tap of two by four channels: four of x, or
 * of dy where x has less. */
static void block_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                           const float *restrict x, int32_t N, int32_t C, int32_t K, int32_t groups,
                           const ac_axis *rows, const ac_axis *columns, float keep, float scale, int32_t core,
                           int32_t cores) {
    const int32_t wide = columns->count >= rows->count;
    const ac_axis *along = wide ? columns : rows, *across = wide ? rows : columns;
    const int32_t x_plane = rows->size * columns->size, dy_plane = rows->count * columns->count;
    const gradient_steps x_steps = {C * x_plane, across->stride * across->x_step,
                                    along->stride * along->x_step, x_plane};
    const gradient_steps dy_steps = {K * dy_plane, across->y_step, along->y_step, dy_plane};
    const int32_t ins = C / groups, outs = K / groups, taps = rows->taps * columns->taps;
    const int32_t four_x = ins >= 4 || ins >= outs;
    const int32_t k_tile = four_x ? 2 : 4, c_tile = four_x ? 4 : 2;
    const int32_t down = (outs + k_tile - 1) / k_tile, over = (ins + c_tile - 1) / c_tile;
    const int32_t units = groups * down * over * taps, last = ac_split(units, core + 1, cores);
    for (int32_t unit = ac_split(units, core, cores); unit < last; unit++) {
        const int32_t u = unit % across->taps, t = unit / across->taps % along->taps, tile = unit / taps;
        const int32_t c = tile % over * c_tile, k = tile / over % down * k_tile, group = tile / over / down;
        const int32_t u0 = ac_output_first(across, u), u1 = ac_output_last(across, u);
        const int32_t t0 = ac_output_first(along, t), t1 = ac_output_last(along, t);
        const float *x_from = x + (group * ins + c) * x_plane + ac_at(across, u0, u) + ac_at(along, t0, t);
        const float *dy_from = dy + (group * outs + k) * dy_plane + u0 * across->y_step + t0 * along->y_step;
        const int32_t c_count = ac_min_i32(c_tile, ins - c), k_count = ac_min_i32(k_tile, outs - k);
        float *to = w + ((group * outs + k) * ins + c) * taps + u * across->w_step + t * along->w_step;
        ac_four sum[2];
        if (four_x)
            gradient_tile(sum, dy_from, x_from, k_count > 1, c_count, N, u1 - u0, t1 - t0, &dy_steps,
                          &x_steps);
        else
            gradient_tile(sum, x_from, dy_from, c_count > 1, k_count, N, u1 - u0, t1 - t0, &x_steps,
                          &dy_steps);
        const int32_t count = four_x ? c_count : k_count, step = four_x ? taps : ins * taps;
        ac_four_blend(to, step, count, sum[0], keep, scale);
        if ((four_x ? k_count : c_count) > 1)
            ac_four_blend(to + (four_x ? ins * taps : taps), step, count, sum[1], keep, scale);
    }
    if (b != NULL)
        ac_bias_gradient(b, dy, N, K, dy_plane, keep, scale, core, cores);
}

void ac_conv2d_bwd_w_f32_block(float *restrict dw, float *restrict db, const float *restrict dy,
                               const float *restrict x, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                               int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                               int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                               int32_t groups, int32_t accumulate, int32_t core, int32_t cores) {
    const ac_axis rows = ac_forward_axis(H, P, R, stride_h, pad_top, dilation_h, W, Q, S);
    const ac_axis columns = ac_forward_axis(W, Q, S, stride_w, pad_left, dilation_w, 1, 1, 1);
    block_gradient(dw, db, dy, x, N, C, K, groups, &rows, &columns, accumulate ? 1.0f : 0.0f, 1.0f, core,
                   cores);
}

void ac_conv2d_step_f32_block(float *restrict w, float *restrict b, const float *restrict dy,
                              const float *restrict x, float lr, int32_t N, int32_t C, int32_t H, int32_t W,
                              int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h,
                              int32_t stride_w, int32_t pad_top, int32_t pad_left, int32_t dilation_h,
                              int32_t dilation_w, int32_t groups, float weight_decay, int32_t core,
                              int32_t cores) {
    const ac_axis rows = ac_forward_axis(H, P, R, stride_h, pad_top, dilation_h, W, Q, S);
    const ac_axis columns = ac_forward_axis(W, Q, S, stride_w, pad_left, dilation_w, 1, 1, 1);
    block_gradient(w, b, dy, x, N, C, K, groups, &rows, &columns, 1.0f - lr * weight_decay, -lr, core, cores);
}
