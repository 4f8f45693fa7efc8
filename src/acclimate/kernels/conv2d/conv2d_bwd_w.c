/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d.h"

/* Sum of dy[p0:p1,q0:q1] * x at the input cells of one tap; output (0, 0) meets x[at], perhaps in the
 * padding. */
static float conv2d_tap_gradient(const float *restrict dy, const float *restrict x, int32_t at, int32_t Q,
                                 int32_t p0, int32_t p1, int32_t q0, int32_t q1, int32_t step_h,
                                 int32_t step_w) {
    float sum = 0.0f;
    for (int32_t p = p0; p < p1; p++)
        for (int32_t q = q0; q < q1; q++)
            sum += dy[p * Q + q] * x[at + p * step_h + q * step_w];
    return sum;
}

/* Both outputs become keep * old + scale * gradient. */
static void conv2d_gradient(float *restrict w, float *restrict b, const float *restrict dy,
                            const float *restrict x, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                            int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                            int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                            int32_t groups, float keep, float scale, int32_t core, int32_t cores) {
    const int32_t c_group = C / groups, k_group = K / groups, taps = c_group * R * S;
    const int32_t last = ac_split(K * taps, core + 1, cores);
    for (int32_t i = ac_split(K * taps, core, cores); i < last; i++) {
        const int32_t k = i / taps, c = k / k_group * c_group + i / (R * S) % c_group;
        const int32_t h0 = i / S % R * dilation_h - pad_top, w0 = i % S * dilation_w - pad_left;
        const int32_t p0 = ac_first(h0, stride_h), p1 = ac_last(h0, stride_h, P, H);
        const int32_t q0 = ac_first(w0, stride_w), q1 = ac_last(w0, stride_w, Q, W);
        float sum = 0.0f;
        for (int32_t n = 0; n < N; n++)
            sum += conv2d_tap_gradient(dy + (n * K + k) * P * Q, x + (n * C + c) * H * W, h0 * W + w0, Q, p0,
                                       p1, q0, q1, stride_h * W, stride_w);
        w[i] = ac_blend(w[i], sum, keep, scale);
        if (b != NULL && i % taps == 0) {
            float total = 0.0f;
            for (int32_t n = 0; n < N; n++)
                for (int32_t j = 0; j < P * Q; j++)
                    total += dy[(n * K + k) * P * Q + j];
            b[k] = ac_blend(b[k], total, keep, scale);
        }
    }
}

void ac_conv2d_bwd_w_f32(float *restrict dw, float *restrict db, const float *restrict dy,
                         const float *restrict x, int32_t N, int32_t C, int32_t H, int32_t W, int32_t K,
                         int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h, int32_t stride_w,
                         int32_t pad_top, int32_t pad_left, int32_t dilation_h, int32_t dilation_w,
                         int32_t groups, int32_t accumulate, int32_t core, int32_t cores) {
    conv2d_gradient(dw, db, dy, x, N, C, H, W, K, R, S, P, Q, stride_h, stride_w, pad_top, pad_left,
                    dilation_h, dilation_w, groups, accumulate ? 1.0f : 0.0f, 1.0f, core, cores);
}

void ac_conv2d_step_f32(float *restrict w, float *restrict b, const float *restrict dy,
                        const float *restrict x, float lr, int32_t N, int32_t C, int32_t H, int32_t W,
                        int32_t K, int32_t R, int32_t S, int32_t P, int32_t Q, int32_t stride_h,
                        int32_t stride_w, int32_t pad_top, int32_t pad_left, int32_t dilation_h,
                        int32_t dilation_w, int32_t groups, float weight_decay, int32_t core, int32_t cores) {
    conv2d_gradient(w, b, dy, x, N, C, H, W, K, R, S, P, Q, stride_h, stride_w, pad_top, pad_left, dilation_h,
                    dilation_w, groups, 1.0f - lr * weight_decay, -lr, core, cores);
}
