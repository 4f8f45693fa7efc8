/* SPDX-License-Identifier: Apache-2.0 */
/* What generated code needs of a device with several cores or memories: eight functions, four macros.
 * Files port_*.c of the same folder implement the functions. */
#ifndef AC_PORT_H
#define AC_PORT_H

#include <stdint.h>

/* Put a variable, and a constant, into a memory of the device by its name. Define both to say how. Else
 * AC_PULP takes the words of PMSIS for l1 and l2, AC_SECTIONS names a section that the linker script
 * places, and without any of these the linker is free. */
#ifndef AC_IN
#if defined(AC_PULP)
#include "pmsis.h"
#define AC_IN_l1 PI_L1
#define AC_IN_l2 PI_L2
#define AC_IN(memory) AC_IN_##memory
#define AC_CONST_IN(memory) AC_IN_##memory
#elif defined(AC_SECTIONS)
#define AC_IN(memory) __attribute__((section(".ac_" #memory)))
#define AC_CONST_IN(memory) __attribute__((section(".ac_const_" #memory)))
#else
#define AC_IN(memory)
#define AC_CONST_IN(memory)
#endif
#endif

/* Before a function that starts calls and computes nothing itself: few bytes count, not its cycles. */
#if defined(__clang__)
#define AC_COMPACT __attribute__((minsize))
#elif defined(__GNUC__)
#define AC_COMPACT __attribute__((optimize("Os")))
#else
#define AC_COMPACT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A place in l3, the memory behind the outer one that no core reads; and what declares so many bytes of it.
 * On PMSIS that is an address of an external RAM: the application opens the RAM, says so in `ac_ram`, and
 * gives the variable the address of as many bytes. */
#ifdef AC_PULP
typedef uint32_t ac_l3_place;
#define AC_L3(name, bytes) ac_l3_place name
#define AC_L3_PLACE(array, base, offset) ((base) + (offset)) /* of a constant, which a file brought there */
extern struct pi_device *ac_ram;
#else
typedef uint8_t *ac_l3_place;
#define AC_L3(name, bytes) uint8_t name[bytes] AC_IN(l3)
#define AC_L3_PLACE(array, base, offset) ((ac_l3_place)(uintptr_t)(array))
#endif

typedef void (*ac_task)(void *argument, int32_t core);

/* Runs task(argument, core) on the cores 0 .. cores - 1 at once; returns when all have returned. Called
 * on core 0. What was written before is seen by the task, and what the task wrote after. */
void ac_fork(ac_task task, void *argument, int32_t cores);

/* Inside a task: returns when every core has called it. What any core wrote before is seen after. */
void ac_barrier(void);

/* Copies between a fast memory and an outer one, where the code of a model asks for them. Core 0 alone
 * begins them and waits. They run beside everything else and in any order; a channel, 0 .. 15, has one
 * copy at a time. `rows` rows of `row` bytes lie `step` bytes apart in the outer memory, and without gaps
 * in the fast one. */
#define AC_CHANNELS 16
void ac_copy_in(int32_t channel, void *fast, const void *outer, int32_t row, int32_t rows, int32_t step);
void ac_copy_out(int32_t channel, void *outer, const void *fast, int32_t row, int32_t rows, int32_t step);

/* Returns when the copy of a channel is done. */
void ac_copy_wait(int32_t channel);

/* The same between l3 and the outer memory, which cores read: `bytes` in one piece. A channel has one copy at
 * a time of either kind. */
void ac_l3_in(int32_t channel, void *outer, ac_l3_place place, int32_t bytes);
void ac_l3_out(int32_t channel, ac_l3_place place, const void *outer, int32_t bytes);
void ac_l3_wait(int32_t channel);

#ifdef __cplusplus
}
#endif

#endif
