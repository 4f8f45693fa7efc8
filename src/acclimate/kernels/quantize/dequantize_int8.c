/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize.h"

void ac_dequantize_fwd_int8(float *restrict y, const void *restrict x, int32_t N, int32_t C, int32_t U,
                            int32_t V, int32_t P, int32_t Q, float factor, int32_t top, int32_t left,
                            int32_t pixel, int32_t channel, int32_t lo, int32_t core, int32_t cores) {
    const uint8_t *const in = x;
    const int32_t last = ac_split(N * C, core + 1, cores);
    for (int32_t i = ac_split(N * C, core, cores); i < last; i++) {
        const uint8_t *const plane = in + i / C * U * V * C + i % C * channel;
        for (int32_t p = 0; p < P; p++)
            for (int32_t q = 0; q < Q; q++) {
                const uint8_t byte = plane[((top + p) * V + left + q) * pixel];
                y[(i * P + p) * Q + q] = factor * (float)ac_value_int8(byte, lo);
            }
    }
}
