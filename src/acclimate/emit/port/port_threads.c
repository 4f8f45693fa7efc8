/* SPDX-License-Identifier: Apache-2.0 */
/* port.h for a machine with POSIX threads: the calling thread is core 0, the others start per fork. */
#define _POSIX_C_SOURCE 200809L
#include "port.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

enum { MOST_CORES = 64 };

typedef struct {
    ac_task task;
    void *argument;
    int32_t core;
} job;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static int32_t team = 1, arrived = 0;
static uint32_t round_number = 0;

static void *run(void *given) {
    const job *const j = given;
    j->task(j->argument, j->core);
    return NULL;
}

void ac_fork(ac_task task, void *argument, int32_t cores) {
    pthread_t threads[MOST_CORES];
    job jobs[MOST_CORES];
    if (cores > MOST_CORES) {
        abort();
    }
    team = cores;
    for (int32_t core = 1; core < cores; core++) {
        jobs[core] = (job){task, argument, core};
        if (pthread_create(&threads[core], NULL, run, &jobs[core]) != 0) {
            abort();
        }
    }
    task(argument, 0);
    for (int32_t core = 1; core < cores; core++) {
        pthread_join(threads[core], NULL);
    }
}

void ac_barrier(void) {
    pthread_mutex_lock(&lock);
    const uint32_t mine = round_number;
    if (++arrived == team) {
        arrived = 0;
        round_number++;
        pthread_cond_broadcast(&released);
    } else {
        while (mine == round_number) {
            pthread_cond_wait(&released, &lock);
        }
    }
    pthread_mutex_unlock(&lock);
}
