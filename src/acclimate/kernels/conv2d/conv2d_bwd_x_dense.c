/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d.h"
#include "conv2d_panel.h"

/* The input cells (row + i * stride_h, column + j * stride_w), which see the same taps, and the panels of dy
 * that they see: [K][columns of taps][rows][W]. */
typedef struct {
    int32_t row, column, H, W;
    int32_t taps, rows, channel;
    int32_t tap_w[AC_TAPS], tap_dy[AC_TAPS];
    ac_window window[AC_TAPS]; /* on dy, for each column of taps */
    int32_t windows;
} ac_phase;

static void find_taps(ac_phase *to, const ac_conv2d *v) {
    int32_t low = INT32_MAX, high = INT32_MIN;
    to->H = (v->H - to->row + v->stride_h - 1) / v->stride_h;
    to->W = (v->W - to->column + v->stride_w - 1) / v->stride_w;
    for (int32_t r = 0; r < v->R; r++) {
        const int32_t down = to->row + v->pad_top - r * v->dilation_h;
        if (down % v->stride_h == 0) {
            low = ac_min_i32(low, down / v->stride_h);
            high = ac_max_i32(high, down / v->stride_h);
        }
    }
    to->windows = to->taps = 0;
    to->rows = low <= high ? to->H + high - low : 0;
    for (int32_t s = 0; low <= high && s < v->S; s++) {
        const int32_t right = to->column + v->pad_left - s * v->dilation_w;
        if (right % v->stride_w != 0)
            continue;
        const ac_window window = {to->rows, to->W, low, right / v->stride_w, 1, 1};
        for (int32_t r = 0; r < v->R; r++) {
            const int32_t down = to->row + v->pad_top - r * v->dilation_h;
            if (down % v->stride_h == 0) {
                to->tap_w[to->taps] = r * v->S + s;
                to->tap_dy[to->taps++] = (to->windows * to->rows + down / v->stride_h - low) * to->W;
            }
        }
        to->window[to->windows++] = window;
    }
    to->channel = to->windows * to->rows * to->W;
}

/* dx at the cells of the phase = the first rows and columns of the tile, which begins at cell number `at`. */
static void store(float *restrict dx, const ac_phase *to, const ac_conv2d *v, int32_t at,
                  float tile[AC_ROWS][AC_COLUMNS], int32_t rows) {
    const int32_t plane = v->H * v->W;
    if (v->stride_h == 1 && v->stride_w == 1) {
        ac_tile_store(dx + at, plane, tile, rows, plane - at);
        return;
    }
    for (int32_t j = 0; j < AC_COLUMNS && at + j < to->H * to->W; j++) {
        const int32_t h = to->row + (at + j) / to->W * v->stride_h;
        const int32_t w = to->column + (at + j) % to->W * v->stride_w;
        for (int32_t i = 0; i < AC_ROWS && i < rows; i++)
            dx[i * plane + h * v->W + w] = tile[i][j];
    }
}

void ac_conv2d_bwd_x_f32_dense(float *restrict dx, const float *restrict dy, const float *restrict w,
                               const float *restrict b, float *restrict scratch, int32_t N, int32_t C,
                               int32_t H, int32_t W, int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q,
                               int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
                               int32_t dilation_h, int32_t dilation_w, int32_t groups, float lo, float hi,
                               int32_t core, int32_t cores) {
    const ac_conv2d v = {N, C,        H,        W,       K,        R,          S,          P,
                         Q, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups};
    const int32_t first = ac_split(C, core, cores), last = ac_split(C, core + 1, cores);
    const int32_t rows = (H + stride_h - 1) / stride_h + (R - 1) * dilation_h / stride_h;
    int32_t row[AC_ROWS];
    float tile[AC_ROWS][AC_COLUMNS], bias[AC_ROWS];
    ac_phase phase;
    scratch += core * (K * S * rows * ((W + stride_w - 1) / stride_w) + AC_COLUMNS);
    for (int32_t i = 0; i < N * stride_h * stride_w; i++) {
        const int32_t n = i / (stride_h * stride_w);
        phase.row = i / stride_w % stride_h;
        phase.column = i % stride_w;
        find_taps(&phase, &v);
        for (int32_t k = 0; k < K; k++)
            for (int32_t s = 0; s < phase.windows; s++)
                ac_copy_window(scratch + k * phase.channel + s * phase.rows * phase.W,
                               dy + (n * K + k) * P * Q, P, Q, phase.window[s]);
        for (int32_t j = 0; j < phase.H * phase.W; j += AC_COLUMNS)
            for (int32_t c = first; c < last; c += AC_ROWS) {
                ac_tile_rows(row, c, last, R * S);
                ac_tile_bias(bias, b, c, last);
                ac_tile_product(tile, w, row, phase.tap_w, C * R * S, scratch + j, phase.tap_dy,
                                phase.channel, phase.taps, K);
                ac_tile_clamp(tile, bias, lo, hi);
                store(dx + (n * C + c) * H * W, &phase, &v, j, tile, last - c);
            }
    }
}
