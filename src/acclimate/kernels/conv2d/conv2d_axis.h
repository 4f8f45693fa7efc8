/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution and its transpose are the same sum over taps. The outputs of a transposed one are taken in
 * phases of the stride, in each of which its stride is 1. */
#ifndef AC_CONV2D_AXIS_H
#define AC_CONV2D_AXIS_H

#include "conv2d_block.h"

/* Rows or columns: output i meets tap t at x number start + i * stride + t * dilation, if that is in
 * [0,size); the outputs in [first,last) meet all taps. */
typedef struct {
    int32_t size, count, taps, start, stride, dilation; /* of x, of outputs, of taps */
    int32_t x_step, y_first, y_step, w_first, w_step;   /* words of one x, output and tap */
    int32_t first, last;
} ac_axis;

static inline ac_axis ac_inner(ac_axis axis) {
    axis.first = ac_min_i32(ac_first(axis.start, axis.stride), axis.count);
    axis.last = ac_last(axis.start + (axis.taps - 1) * axis.dilation, axis.stride, axis.count, axis.size);
    return axis;
}

static inline ac_axis ac_forward_axis(int32_t size, int32_t count, int32_t taps, int32_t stride, int32_t pad,
                                      int32_t dilation, int32_t x_step, int32_t y_step, int32_t w_step) {
    const ac_axis axis = {size, count, taps, -pad, stride, dilation, x_step, 0, y_step, 0, w_step, 0, 0};
    return ac_inner(axis);
}

/* Outputs phase, phase + stride, ..: they meet the same taps, taken from the last to the first. */
static inline ac_axis ac_backward_axis(int32_t size, int32_t count, int32_t taps, int32_t stride, int32_t pad,
                                       int32_t dilation, int32_t x_step, int32_t y_step, int32_t w_step,
                                       int32_t phase) {
    int32_t met = 0, last = 0, apart = 0;
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
                          -apart * w_step,
                          0,
                          0};
    return ac_inner(axis);
}

/* Taps [t0,t1) of output i are inside x. */
static inline int32_t ac_tap_first(const ac_axis *axis, int32_t i) {
    return ac_first(axis->start + i * axis->stride, axis->dilation);
}
static inline int32_t ac_tap_last(const ac_axis *axis, int32_t i) {
    return ac_last(axis->start + i * axis->stride, axis->dilation, axis->taps, axis->size);
}

/* The outputs [first,last) that meet tap t inside x. */
static inline int32_t ac_output_first(const ac_axis *axis, int32_t t) {
    return ac_first(axis->start + t * axis->dilation, axis->stride);
}
static inline int32_t ac_output_last(const ac_axis *axis, int32_t t) {
    return ac_last(axis->start + t * axis->dilation, axis->stride, axis->count, axis->size);
}

/* Where output i meets tap t: words from x number 0. */
static inline int32_t ac_at(const ac_axis *axis, int32_t i, int32_t t) {
    return (axis->start + i * axis->stride + t * axis->dilation) * axis->x_step;
}

/* A line of outputs that meet three taps along it, as far apart as they are, and `rows` = 1 to 3 across:
 * every x is read once and added to three outputs. Rows of x and w are x_row and w_row words apart.
 * NOTE: not static, so that it is not inlined: in its caller it would have too few registers. */
void ac_depthwise_walk(float *restrict y, const float *restrict x, const float *restrict w, float b,
                       int32_t rows, int32_t x_row, int32_t w_row, const ac_axis *axis, float lo, float hi);

#endif
