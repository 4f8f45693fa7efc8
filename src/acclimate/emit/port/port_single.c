/* SPDX-License-Identifier: Apache-2.0 */
/* port.h for one core: a task has one core, and nobody to wait for. */
#include "port.h"

/* A task of several cores stops here: one core would do its own part of the work and leave the rest. */
void ac_fork(ac_task task, void *argument, int32_t cores) {
    volatile int32_t wanted = cores;
    while (wanted != 1) {
    }
    task(argument, 0);
}

void ac_barrier(void) {
}
