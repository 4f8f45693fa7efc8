/* SPDX-License-Identifier: Apache-2.0 */
/* What generated code needs of a device with several cores or memories: two functions and two macros.
 * One port_*.c of the same folder implements the functions. */
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

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*ac_task)(void *argument, int32_t core);

/* Runs task(argument, core) on the cores 0 .. cores - 1 at once; returns when all have returned. Called
 * on core 0. What was written before is seen by the task, and what the task wrote after. */
void ac_fork(ac_task task, void *argument, int32_t cores);

/* Inside a task: returns when every core has called it. What any core wrote before is seen after. */
void ac_barrier(void);

#ifdef __cplusplus
}
#endif

#endif
