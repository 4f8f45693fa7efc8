/* SPDX-License-Identifier: Apache-2.0 */
/* What the kit pulp-sdk uses of PMSIS, with the signatures of pulp-sdk and the GAP SDK (there most of the
 * functions are `static inline`). pmsis_host.c runs it with threads. */
#ifndef PMSIS_H
#define PMSIS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __ELF__
#define PI_L1 __attribute__((section(".data_l1")))
#define PI_L2 __attribute__((section(".l2_data")))
#else
#define PI_L1
#define PI_L2
#endif

typedef uint32_t pi_device_e;
typedef struct pi_task pi_task_t;

typedef struct pi_device {
    void *api;
    void *config;
    void *data;
} pi_device_t;

struct pi_cluster_conf {
    pi_device_e device_type;
    int id;
#ifdef __GAP9__
    uint32_t cc_stack_size;
    uint32_t scratch_size;
#endif
    void *heap_start;
    uint32_t heap_size;
};

typedef struct pi_cluster_task {
    void (*entry)(void *);
    void *arg;
    void *stacks;
#ifndef __GAP9__
    uint32_t stack_size;
#endif
    uint32_t slave_stack_size;
    int nb_cores;
    pi_task_t *completion_callback;
    int stack_allocated;
    struct pi_cluster_task *next;
} pi_cluster_task_t;

int pmsis_kickoff(void *arg);
void pmsis_exit(int err);

void pi_open_from_conf(struct pi_device *device, void *conf);
void pi_cluster_conf_init(struct pi_cluster_conf *conf);
int pi_cluster_open(struct pi_device *device);
int pi_cluster_close(struct pi_device *device);
struct pi_cluster_task *pi_cluster_task(struct pi_cluster_task *task, void (*entry)(void *), void *arg);
#ifdef __GAP9__
pi_cluster_task_t *pi_cluster_task_stacks(pi_cluster_task_t *task, void *stacks, int stack_size);
#endif
int pi_cluster_send_task_to_cl(struct pi_device *device, struct pi_cluster_task *task);

uint32_t pi_core_id(void);
void pi_cl_team_fork(int nb_cores, void (*entry)(void *), void *arg);
void pi_cl_team_barrier(void);

typedef enum { PI_CL_DMA_DIR_LOC2EXT = 0, PI_CL_DMA_DIR_EXT2LOC = 1 } pi_cl_dma_dir_e;
struct pi_cl_dma_cmd_s {
    uint32_t id;
    uint32_t ext, loc, size;
    uint32_t stride, length;
    pi_cl_dma_dir_e dir;
};
typedef struct pi_cl_dma_cmd_s pi_cl_dma_cmd_t;
void pi_cl_dma_cmd(uint32_t ext, uint32_t loc, uint32_t size, pi_cl_dma_dir_e dir, pi_cl_dma_cmd_t *cmd);
void pi_cl_dma_cmd_2d(uint32_t ext, uint32_t loc, uint32_t size, uint32_t stride, uint32_t length,
                      pi_cl_dma_dir_e dir, pi_cl_dma_cmd_t *cmd);
void pi_cl_dma_cmd_wait(pi_cl_dma_cmd_t *cmd);

typedef struct pi_cl_ram_req_s {
    struct pi_device *device;
    void *addr;
    uint32_t pi_ram_addr, size;
    int begun, ext2loc;
} pi_cl_ram_req_t;
struct pi_default_ram_conf {
    uint32_t size;
};
void pi_default_ram_conf_init(struct pi_default_ram_conf *conf);
int pi_ram_open(struct pi_device *device);
int pi_ram_alloc(struct pi_device *device, uint32_t *addr, uint32_t size);
void pi_cl_ram_copy(struct pi_device *device, uint32_t pi_ram_addr, void *addr, uint32_t size, int ext2loc,
                    pi_cl_ram_req_t *req);
void pi_cl_ram_copy_wait(pi_cl_ram_req_t *req);
void pi_ram_write(struct pi_device *device, uint32_t pi_ram_addr, void *data, uint32_t size);

struct pi_default_flash_conf {
    uint32_t size;
};
struct pi_fs_conf {
    struct pi_device *flash;
};
struct pi_readfs_conf {
    struct pi_fs_conf fs;
};
typedef struct pi_fs_file pi_fs_file_t;
void pi_default_flash_conf_init(struct pi_default_flash_conf *conf);
int pi_flash_open(struct pi_device *device);
void pi_flash_close(struct pi_device *device);
void pi_readfs_conf_init(struct pi_readfs_conf *conf);
int32_t pi_fs_mount(struct pi_device *device);
void pi_fs_unmount(struct pi_device *device);
pi_fs_file_t *pi_fs_open(struct pi_device *device, const char *file_name, int flags);
int32_t pi_fs_read(pi_fs_file_t *file, void *buffer, uint32_t size);
void pi_fs_close(pi_fs_file_t *file);

typedef enum { PI_PERF_CYCLES = 16, PI_PERF_ACTIVE_CYCLES = 0 } pi_perf_event_e;
void pi_perf_conf(unsigned events);
void pi_perf_reset(void);
void pi_perf_start(void);
void pi_perf_stop(void);
unsigned int pi_perf_read(int event);

#endif
