/* SPDX-License-Identifier: Apache-2.0 */
/* port.h for one core: a task has one core, and nobody to wait for. */
#include "port.h"

#include <stddef.h>
#include <string.h>

/* A task of several cores stops here: one core would do its own part of the work and leave the rest. */
void ac_fork(ac_task task, void *argument, int32_t cores) {
    volatile int32_t wanted = cores;
    while (wanted != 1) {
    }
    task(argument, 0);
}

void ac_barrier(void) {
}

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
