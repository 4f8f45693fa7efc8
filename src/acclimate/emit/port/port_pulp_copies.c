/* SPDX-License-Identifier: Apache-2.0 */
/* The copies of port.h for the cluster of a PULP chip, on PMSIS: its DMA makes them. */
#include "port.h"

#include "pmsis.h"

enum { PIECE_BYTES = 32768, PIECES = 16 }; /* the DMA of some chips counts in 16 bits */

/* Where the commands of a copy lie until somebody has waited for them. */
static struct {
    pi_cl_dma_cmd_t commands[PIECES];
    uint32_t first, next;
} queue AC_IN(l1);
static uint32_t ends[AC_CHANNELS] AC_IN(l1);

/* Waits for all commands before number `end`. */
static void wait_until(uint32_t end) {
    while ((int32_t)(queue.first - end) < 0) {
        pi_cl_dma_cmd_wait(&queue.commands[queue.first++ % PIECES]);
    }
}

static void begin(uint32_t outer, uint32_t fast, uint32_t row, uint32_t rows, uint32_t step,
                  pi_cl_dma_dir_e direction) {
    if (queue.next - queue.first == PIECES) {
        wait_until(queue.first + 1);
    }
    pi_cl_dma_cmd_t *const command = &queue.commands[queue.next++ % PIECES];
    if (rows == 1) {
        pi_cl_dma_cmd(outer, fast, row, direction, command);
    } else {
        pi_cl_dma_cmd_2d(outer, fast, row * rows, step, row, direction, command);
    }
}

static void copy(int32_t channel, uint32_t fast, uint32_t outer, int32_t row, int32_t rows, int32_t step,
                 pi_cl_dma_dir_e direction) {
    const uint32_t length = (uint32_t)row, most = length < PIECE_BYTES ? PIECE_BYTES / length : 1;
    for (uint32_t left = (uint32_t)rows; left > 0;) {
        const uint32_t count = left < most ? left : most;
        for (uint32_t at = 0; at < length; at += PIECE_BYTES) {
            const uint32_t size = length - at < PIECE_BYTES ? length - at : PIECE_BYTES;
            begin(outer + at, fast + at, size, count, (uint32_t)step, direction);
        }
        outer += count * (uint32_t)step;
        fast += count * length;
        left -= count;
    }
    ends[channel] = queue.next;
}

void ac_copy_in(int32_t channel, void *fast, const void *outer, int32_t row, int32_t rows, int32_t step) {
    copy(channel, (uint32_t)(uintptr_t)fast, (uint32_t)(uintptr_t)outer, row, rows, step,
         PI_CL_DMA_DIR_EXT2LOC);
}

void ac_copy_out(int32_t channel, void *outer, const void *fast, int32_t row, int32_t rows, int32_t step) {
    copy(channel, (uint32_t)(uintptr_t)fast, (uint32_t)(uintptr_t)outer, row, rows, step,
         PI_CL_DMA_DIR_LOC2EXT);
}

void ac_copy_wait(int32_t channel) {
    wait_until(ends[channel]);
}
