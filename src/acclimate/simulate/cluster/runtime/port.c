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

enum { MOST_BYTES = 131071 & ~3 }; /* of a command */

static uint32_t ids[AC_CHANNELS];

static void command(uint32_t head, uint32_t l1, uint32_t l2, uint32_t bytes, uint32_t row, uint32_t step) {
    AC_DMA(AC_DMA_COMMAND) = head | bytes | (row < bytes ? AC_DMA_ROWS : 0u);
    AC_DMA(AC_DMA_COMMAND) = l1;
    AC_DMA(AC_DMA_COMMAND) = l2;
    if (row < bytes) {
        AC_DMA(AC_DMA_COMMAND) = step;
        AC_DMA(AC_DMA_COMMAND) = row;
    }
}

/* Gives the commands of a copy; they share an id. One is enough for all but the largest. */
static void copy(int32_t channel, uint32_t l1, uint32_t l2, uint32_t row, uint32_t rows, uint32_t step,
                 uint32_t flags) {
    const uint32_t id = AC_DMA(AC_DMA_COMMAND), head = id << 24 | flags;
    ids[channel] = id;
    if (row * rows <= MOST_BYTES) {
        command(head, l1, l2, row * rows, row, step);
        return;
    }
    for (; rows > 0; rows--, l2 += step) {
        for (uint32_t at = 0; at < row; at += MOST_BYTES) {
            const uint32_t size = row - at < MOST_BYTES ? row - at : MOST_BYTES;
            command(head, l1, l2 + at, size, size, 0);
            l1 += size;
        }
    }
}

void ac_copy_in(int32_t channel, void *fast, const void *outer, int32_t row, int32_t rows, int32_t step) {
    copy(channel, (uint32_t)(uintptr_t)fast, (uint32_t)(uintptr_t)outer, (uint32_t)row, (uint32_t)rows,
         (uint32_t)step, AC_DMA_TO_L1);
}

void ac_copy_out(int32_t channel, void *outer, const void *fast, int32_t row, int32_t rows, int32_t step) {
    copy(channel, (uint32_t)(uintptr_t)fast, (uint32_t)(uintptr_t)outer, (uint32_t)row, (uint32_t)rows,
         (uint32_t)step, 0);
}

void ac_copy_wait(int32_t channel) {
    ac_dma_wait(ids[channel]);
}

void ac_l3_in(int32_t channel, void *outer, ac_l3_place place, int32_t bytes) {
    ac_udma_copy((uint32_t)channel, (uint32_t)(uintptr_t)place, (uint32_t)(uintptr_t)outer, (uint32_t)bytes,
                 1);
}

void ac_l3_out(int32_t channel, ac_l3_place place, const void *outer, int32_t bytes) {
    ac_udma_copy((uint32_t)channel, (uint32_t)(uintptr_t)place, (uint32_t)(uintptr_t)outer, (uint32_t)bytes,
                 0);
}

void ac_l3_wait(int32_t channel) {
    ac_udma_wait((uint32_t)channel);
}
