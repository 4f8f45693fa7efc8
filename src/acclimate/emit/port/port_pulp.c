/* SPDX-License-Identifier: Apache-2.0 */
/* port.h for the cluster of a PULP chip, on PMSIS: its event unit forks and holds the barrier. */
#include "port.h"

#include "pmsis.h"

typedef struct {
    ac_task task;
    void *argument;
} job;

static void run(void *given) {
    const job *const j = given;
    j->task(j->argument, (int32_t)pi_core_id());
}

/* The job lies on the stack of the caller, in L1: every core of the cluster reads it there. */
void ac_fork(ac_task task, void *argument, int32_t cores) {
    job j = {task, argument};
    pi_cl_team_fork((int)cores, run, &j);
}

void ac_barrier(void) {
    pi_cl_team_barrier();
}
