/* SPDX-License-Identifier: Apache-2.0 */
/* PMSIS on this machine: a thread per core, copies of the DMA when they are waited for, and checks of what a
 * chip would not survive. A wrong use ends the program with a message. */
#define _POSIX_C_SOURCE 200809L
#include "pmsis.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CORES = 8, MOST_BYTES = 65535, LEAST_STACK = 512 };

static int opened = 0, on_cluster = 0, counting = 0;
static uint32_t controller_stack = 0;
static unsigned events = 0, cycles = 0;
static int team = 1, arrived = 0;
static unsigned round_number = 0;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static __thread uint32_t core = 0;

static void check(int fine, const char *what) {
    if (!fine) {
        fprintf(stderr, "PMSIS: %s\n", what);
        exit(9);
    }
}

int pmsis_kickoff(void *arg) {
    ((void (*)(void))(uintptr_t)arg)();
    return 0;
}

void pmsis_exit(int err) {
    exit(err);
}

void pi_cluster_conf_init(struct pi_cluster_conf *conf) {
    memset(conf, 0, sizeof *conf);
}

void pi_open_from_conf(struct pi_device *device, void *conf) {
    device->config = conf;
}

int pi_cluster_open(struct pi_device *device) {
    const struct pi_cluster_conf *conf = device->config;
    check(conf != NULL && conf->id == 0, "the cluster has no configuration");
#ifdef __GAP9__
    controller_stack = conf->cc_stack_size;
#endif
    opened = 1;
    return 0;
}

int pi_cluster_close(struct pi_device *device) {
    check(opened && device->config != NULL, "the cluster is not open");
    opened = 0;
    return 0;
}

struct pi_cluster_task *pi_cluster_task(struct pi_cluster_task *task, void (*entry)(void *), void *arg) {
    memset(task, 0, sizeof *task);
    task->entry = entry;
    task->arg = arg;
    return task;
}

#ifdef __GAP9__
pi_cluster_task_t *pi_cluster_task_stacks(pi_cluster_task_t *task, void *stacks, int stack_size) {
    task->stacks = stacks;
    task->slave_stack_size = (uint32_t)stack_size;
    return task;
}
#endif

int pi_cluster_send_task_to_cl(struct pi_device *device, struct pi_cluster_task *task) {
    (void)device;
    check(opened && !on_cluster, "the task has no cluster");
#ifndef __GAP9__
    controller_stack = task->stack_size;
#endif
    check(controller_stack >= LEAST_STACK && task->slave_stack_size >= LEAST_STACK, "too small a stack");
    on_cluster = 1;
    task->entry(task->arg);
    on_cluster = 0;
    return 0;
}

uint32_t pi_core_id(void) {
    return core;
}

typedef struct {
    void (*entry)(void *);
    void *arg;
    uint32_t core;
} job;

static void *run(void *given) {
    const job *const j = given;
    core = j->core;
    j->entry(j->arg);
    return NULL;
}

void pi_cl_team_fork(int nb_cores, void (*entry)(void *), void *arg) {
    pthread_t threads[MOST_CORES];
    job jobs[MOST_CORES];
    check(on_cluster && nb_cores >= 1 && nb_cores <= MOST_CORES, "a fork outside of the cluster");
    team = nb_cores;
    for (int i = 1; i < nb_cores; i++) {
        jobs[i] = (job){entry, arg, (uint32_t)i};
        check(pthread_create(&threads[i], NULL, run, &jobs[i]) == 0, "no thread");
    }
    entry(arg);
    for (int i = 1; i < nb_cores; i++) {
        pthread_join(threads[i], NULL);
    }
}

void pi_cl_team_barrier(void) {
    pthread_mutex_lock(&lock);
    const unsigned mine = round_number;
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

/* Addresses of PMSIS have 32 bits. What it copies is static, so it lies near everything else that is. */
static void *pointer(uint32_t address) {
    const uintptr_t here = (uintptr_t)&lock;
    return (void *)(here + (uintptr_t)(intptr_t)(int32_t)(address - (uint32_t)here));
}

void pi_cl_dma_cmd(uint32_t ext, uint32_t loc, uint32_t size, pi_cl_dma_dir_e dir, pi_cl_dma_cmd_t *cmd) {
    pi_cl_dma_cmd_2d(ext, loc, size, size, size, dir, cmd);
}

/* Rows of `length` bytes, `stride` bytes apart in L2 and without gaps in L1. */
void pi_cl_dma_cmd_2d(uint32_t ext, uint32_t loc, uint32_t size, uint32_t stride, uint32_t length,
                      pi_cl_dma_dir_e dir, pi_cl_dma_cmd_t *cmd) {
    check(on_cluster && core == 0, "a transfer that is not begun by the first core of the cluster");
    check(size > 0 && size <= MOST_BYTES, "a transfer is too long");
    check(length > 0 && size % length == 0 && length <= MOST_BYTES, "a transfer of parts of rows");
    *cmd = (pi_cl_dma_cmd_t){1, ext, loc, size, stride, length, dir};
}

void pi_cl_dma_cmd_wait(pi_cl_dma_cmd_t *cmd) {
    check(cmd->id == 1, "no transfer to wait for");
    cmd->id = 0;
    for (uint32_t row = 0; row < cmd->size / cmd->length; row++) {
        char *const ext = pointer(cmd->ext + row * cmd->stride);
        char *const loc = pointer(cmd->loc + row * cmd->length);
        const int inward = cmd->dir == PI_CL_DMA_DIR_EXT2LOC;
        memcpy(inward ? loc : ext, inward ? ext : loc, cmd->length);
    }
}

/* The RAM of a board, which nobody reaches but by copies: these are made when somebody waits for them. */
static unsigned char ram[1 << 20];
static uint32_t given = 4; /* address 0 is kept, as the driver of GAP9's RAM does */
static int ram_opened = 0;

void pi_default_ram_conf_init(struct pi_default_ram_conf *conf) {
    conf->size = sizeof ram;
}

int pi_ram_open(struct pi_device *device) {
    ram_opened = device->config != NULL;
    return ram_opened ? 0 : -1;
}

int pi_ram_alloc(struct pi_device *device, uint32_t *addr, uint32_t size) {
    check(ram_opened && device != NULL, "the RAM is not open");
    *addr = given;
    given += size;
    return given <= sizeof ram ? 0 : -1;
}

void pi_cl_ram_copy(struct pi_device *device, uint32_t pi_ram_addr, void *addr, uint32_t size, int ext2loc,
                    pi_cl_ram_req_t *req) {
    check(on_cluster && core == 0 && ram_opened, "a copy that is not begun by the first core of the cluster");
    check(!req->begun, "a request is used again before somebody has waited for it");
    check(size > 0 && pi_ram_addr >= 4 && pi_ram_addr + size <= given, "a copy outside of what was given");
    *req = (pi_cl_ram_req_t){device, addr, pi_ram_addr, size, 1, ext2loc};
}

void pi_cl_ram_copy_wait(pi_cl_ram_req_t *req) {
    check(req->begun, "no copy to wait for");
    req->begun = 0;
    memcpy(req->ext2loc ? req->addr : ram + req->pi_ram_addr, req->ext2loc ? ram + req->pi_ram_addr : req->addr,
           req->size);
}

void pi_ram_write(struct pi_device *device, uint32_t pi_ram_addr, void *data, uint32_t size) {
    check(!on_cluster && ram_opened && device != NULL, "the controller writes to a RAM that is not open");
    check(size > 0 && pi_ram_addr >= 4 && pi_ram_addr + size <= given, "a write outside of what was given");
    memcpy(ram + pi_ram_addr, data, size);
}

/* The flash of a board: the files of the folder in which the program was started. */
static int flash_opened = 0, mounted = 0;

struct pi_fs_file {
    FILE *stream;
};

void pi_default_flash_conf_init(struct pi_default_flash_conf *conf) {
    conf->size = 1u << 23;
}

int pi_flash_open(struct pi_device *device) {
    flash_opened = device->config != NULL;
    return flash_opened ? 0 : -1;
}

void pi_flash_close(struct pi_device *device) {
    check(flash_opened && !mounted && device != NULL, "the flash is closed before its file system");
    flash_opened = 0;
}

void pi_readfs_conf_init(struct pi_readfs_conf *conf) {
    memset(conf, 0, sizeof *conf);
}

int32_t pi_fs_mount(struct pi_device *device) {
    const struct pi_readfs_conf *conf = device->config;
    check(conf != NULL && conf->fs.flash != NULL && flash_opened, "a file system without a flash");
    mounted = 1;
    return 0;
}

void pi_fs_unmount(struct pi_device *device) {
    check(mounted && device != NULL, "the file system is not mounted");
    mounted = 0;
}

pi_fs_file_t *pi_fs_open(struct pi_device *device, const char *file_name, int flags) {
    static pi_fs_file_t file;
    check(mounted && device != NULL && flags == 0, "the file system is not mounted");
    file.stream = fopen(file_name, "rb");
    return file.stream == NULL ? NULL : &file;
}

int32_t pi_fs_read(pi_fs_file_t *file, void *buffer, uint32_t size) {
    return (int32_t)fread(buffer, 1, size, file->stream);
}

void pi_fs_close(pi_fs_file_t *file) {
    fclose(file->stream);
}

void pi_perf_conf(unsigned wanted) {
    events = wanted;
}

void pi_perf_reset(void) {
    cycles = 0;
}

void pi_perf_start(void) {
    counting = 1;
}

void pi_perf_stop(void) {
    cycles += counting ? 1234u : 0u;
    counting = 0;
}

unsigned int pi_perf_read(int event) {
    check((events >> event & 1u) && !counting, "this event is not counted");
    return cycles;
}
