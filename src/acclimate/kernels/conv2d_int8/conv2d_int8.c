/* SPDX-License-Identifier: Apache-2.0 */
#include "conv2d_int8.h"

void ac_conv2d_fwd_int8(void *restrict y, const void *restrict x, const int8_t *restrict w,
                        const int32_t *restrict scale, int32_t N, int32_t H, int32_t W, int32_t C, int32_t K,
                        int32_t R, int32_t T, int32_t U, int32_t V, int32_t S, int32_t P, int32_t Q,
                        int32_t stride_h, int32_t stride_w, int32_t dilation_h, int32_t dilation_w,
                        int32_t first_h, int32_t first_w, int32_t top, int32_t left, int32_t y_pixel,
                        int32_t y_channel, int32_t x_lo, int32_t y_lo, int32_t core, int32_t cores) {
    const uint8_t *const in = x;
    uint8_t *const out = y;
    const int32_t last = ac_split(N * U, core + 1, cores);
    for (int32_t i = ac_split(N * U, core, cores); i < last; i++) {
        const int32_t n = i / U;
        const int32_t u = i % U;
        const int32_t p = u - top;
        for (int32_t v = 0; v < V; v++) {
            const int32_t q = v - left;
            const int32_t inside = p >= 0 && p < P && q >= 0 && q < Q;
            for (int32_t k = 0; k < K; k++) {
                int32_t sum = 0;
                for (int32_t r = 0; inside && r < R; r++)
                    for (int32_t s = 0; s < S; s++) {
                        const int32_t h = first_h + p * stride_h + r * dilation_h;
                        const uint8_t *const a =
                            in + ((n * H + h) * W + first_w + q * stride_w + s * dilation_w) * C;
                        const int8_t *const b = w + (k * R + r) * T + s * C;
                        for (int32_t c = 0; c < C; c++)
                            sum += ac_value_int8(a[c], x_lo) * b[c];
                    }
                const uint8_t byte = ac_requantize_int8(sum, scale + 2 * k, y_lo);
                out[n * U * V * K + (u * V + v) * y_pixel + k * y_channel] = inside ? byte : 0;
            }
        }
    }
}
