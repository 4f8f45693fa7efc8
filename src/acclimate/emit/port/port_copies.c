/* SPDX-License-Identifier: Apache-2.0 */
/* The copies of port.h for a machine without DMA: they are done when they begin. */
#include "port.h"

#include <stddef.h>
#include <string.h>

void ac_copy_in(int32_t channel, void *fast, const void *outer, int32_t row, int32_t rows, int32_t step) {
    (void)channel;
    for (int32_t i = 0; i < rows; i++) {
        memcpy((char *)fast + (ptrdiff_t)i * row, (const char *)outer + (ptrdiff_t)i * step, (size_t)row);
    }
}

void ac_copy_out(int32_t channel, void *outer, const void *fast, int32_t row, int32_t rows, int32_t step) {
    (void)channel;
    for (int32_t i = 0; i < rows; i++) {
        memcpy((char *)outer + (ptrdiff_t)i * step, (const char *)fast + (ptrdiff_t)i * row, (size_t)row);
    }
}

void ac_copy_wait(int32_t channel) {
    (void)channel;
}
