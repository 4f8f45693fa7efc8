/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated cluster as a program sees it; the model's types.hpp and events.cpp are the other side. */
#ifndef AC_CLUSTER_H
#define AC_CLUSTER_H

#include <stdint.h>

#define AC_EVENT(offset) (*(volatile uint32_t *)(0x1B200000u + (offset)))
#define AC_EVENT_TEAM 0x00u
#define AC_EVENT_BARRIER 0x1Cu
#define AC_EVENT_JOB 0x80u
#define AC_EVENT_ARGUMENT 0x84u
#define AC_EVENT_FORK 0x88u

#define AC_DMA(offset) (*(volatile uint32_t *)(0x1B204000u + (offset)))
#define AC_DMA_COMMAND 0x00u
#define AC_DMA_STATUS 0x04u
#define AC_DMA_WAIT(id) (0x1B204040u + 4u * (id))
#define AC_DMA_TO_L1 (1u << 17)
#define AC_DMA_ROWS (1u << 19)

#define AC_UDMA(offset) (*(volatile uint32_t *)(0x1A102000u + (offset)))
#define AC_UDMA_L3 0x00u
#define AC_UDMA_L2 0x04u
#define AC_UDMA_START 0x08u
#define AC_UDMA_WAIT(channel) (0x1A102040u + 4u * (channel))
#define AC_UDMA_TO_L2 (1u << 27)

#define AC_IO(offset) (*(volatile uint32_t *)(0x1A100000u + (offset)))
#define AC_IO_CYCLE 0x04u

/* Loads a word and sleeps until the event at its address has happened (cv.elw). */
static inline uint32_t ac_sleep_load(uint32_t address) {
    uint32_t value;
    __asm__ volatile(".insn i 0x0B, 3, %0, 0(%1)" : "=r"(value) : "r"(address) : "memory");
    return value;
}

/* Starts a copy of `bytes` (at most 131071) and returns its id. */
static inline uint32_t ac_dma_copy(uint32_t l1, uint32_t l2, uint32_t bytes, uint32_t to_l1) {
    const uint32_t id = AC_DMA(AC_DMA_COMMAND);
    AC_DMA(AC_DMA_COMMAND) = id << 24 | (to_l1 ? AC_DMA_TO_L1 : 0u) | bytes;
    AC_DMA(AC_DMA_COMMAND) = l1;
    AC_DMA(AC_DMA_COMMAND) = l2;
    return id;
}

/* The same for rows of `row` bytes that lie `step` bytes apart in L2 and without gaps in L1. */
static inline uint32_t ac_dma_copy_rows(uint32_t l1, uint32_t l2, uint32_t bytes, uint32_t step, uint32_t row,
                                        uint32_t to_l1) {
    const uint32_t id = AC_DMA(AC_DMA_COMMAND);
    AC_DMA(AC_DMA_COMMAND) = id << 24 | (to_l1 ? AC_DMA_TO_L1 : 0u) | AC_DMA_ROWS | bytes;
    AC_DMA(AC_DMA_COMMAND) = l1;
    AC_DMA(AC_DMA_COMMAND) = l2;
    AC_DMA(AC_DMA_COMMAND) = step;
    AC_DMA(AC_DMA_COMMAND) = row;
    return id;
}

/* Sleeps until a copy is done and gives its id back. */
static inline void ac_dma_wait(uint32_t id) {
    (void)ac_sleep_load(AC_DMA_WAIT(id));
}

/* Starts a copy of `bytes` between L3 and L2; a channel, 0 .. 15, may have several under way. */
static inline void ac_udma_copy(uint32_t channel, uint32_t l3, uint32_t l2, uint32_t bytes, uint32_t to_l2) {
    AC_UDMA(AC_UDMA_L3) = l3;
    AC_UDMA(AC_UDMA_L2) = l2;
    AC_UDMA(AC_UDMA_START) = channel << 28 | (to_l2 ? AC_UDMA_TO_L2 : 0u) | bytes;
}

/* Sleeps until the copies of a channel are done. */
static inline void ac_udma_wait(uint32_t channel) {
    (void)ac_sleep_load(AC_UDMA_WAIT(channel));
}

#endif
