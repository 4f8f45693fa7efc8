/* SPDX-License-Identifier: Apache-2.0 */
#include "add_int8.h"

void ac_add_fwd_int8(void *restrict y, const void *restrict x, const void *restrict z, int32_t N, int32_t C,
                     int32_t H, int32_t W, int32_t I, int32_t J, int32_t U, int32_t V, int32_t P, int32_t Q,
                     int32_t x_factor, int32_t z_factor, int32_t shift, int32_t x_top, int32_t x_left,
                     int32_t z_top, int32_t z_left, int32_t top, int32_t left, int32_t y_pixel,
                     int32_t y_channel, int32_t x_lo, int32_t z_lo, int32_t y_lo, int32_t core,
                     int32_t cores) {
    const uint8_t *const one = x;
    const uint8_t *const other = z;
    const uint32_t x_flip = (uint32_t)-x_lo;
    const uint32_t z_flip = (uint32_t)-z_lo;
    /* A byte is its value less the lowest one, once the sign is turned: what that makes is the same for all.
     */
    const int32_t bias = (1 << shift >> 1) + x_lo * x_factor + z_lo * z_factor;
    const int32_t last = ac_split(N * U, core + 1, cores);
    for (int32_t i = ac_split(N * U, core, cores); i < last; i++) {
        const int32_t n = i / U;
        const int32_t p = i % U - top;
        for (int32_t v = 0; v < V; v++) {
            const int32_t q = v - left;
            const int32_t inside = p >= 0 && p < P && q >= 0 && q < Q;
            uint8_t *to = (uint8_t *)y + n * U * V * C + (i % U * V + v) * y_pixel;
            int32_t at_x = ((n * H + x_top + p) * W + x_left + q) * C;
            int32_t at_z = ((n * I + z_top + p) * J + z_left + q) * C;
            for (int32_t c = 0; c < C && !inside; c++, to += y_channel)
                *to = 0;
            for (int32_t c = 0; c < C && inside; c++, to += y_channel) {
                const int32_t a = (int32_t)(one[at_x++] ^ x_flip);
                const int32_t b = (int32_t)(other[at_z++] ^ z_flip);
                *to = ac_byte_int8((a * x_factor + b * z_factor + bias) >> shift, y_lo);
            }
        }
    }
}
