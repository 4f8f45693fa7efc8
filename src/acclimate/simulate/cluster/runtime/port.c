/* SPDX-License-Identifier: Apache-2.0 */
/* port.h on the simulated cluster: the event unit forks, and barriers sleep. */
#include "port.h"

#include "cluster.h"

void ac_serve(void);

void ac_barrier(void) {
    (void)ac_sleep_load(0x1B200000u + AC_EVENT_BARRIER);
}

void ac_fork(ac_task task, void *argument, int32_t cores) {
    const uint32_t team = (1u << cores) - 1u;
    __asm__ volatile("" ::: "memory");
    AC_EVENT(AC_EVENT_TEAM) = team;
    AC_EVENT(AC_EVENT_ARGUMENT) = (uint32_t)(uintptr_t)argument;
    AC_EVENT(AC_EVENT_JOB) = (uint32_t)(uintptr_t)task;
    AC_EVENT(AC_EVENT_FORK) = team & ~1u;
    task(argument, 0);
    ac_barrier();
}

/* What the cores but the first one do for ever. */
void ac_serve(void) {
    int32_t core;
    __asm__ volatile("csrr %0, mhartid" : "=r"(core));
    for (;;) {
        const ac_task task = (ac_task)(uintptr_t)ac_sleep_load(0x1B200000u + AC_EVENT_JOB);
        task((void *)(uintptr_t)AC_EVENT(AC_EVENT_ARGUMENT), core);
        ac_barrier();
    }
}
