/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints go through a window of memory: the device's `save` and `load` get these functions. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint8_t *at;
    uint32_t size; /* of the window */
    uint32_t end;  /* one past the last byte that was written */
} ac_window;

int ac_window_write(void *user, uint32_t offset, const void *data, uint32_t size);
int ac_window_read(void *user, uint32_t offset, void *data, uint32_t size);

static int outside(const ac_window *window, uint32_t offset, uint32_t size) {
    return offset > window->size || size > window->size - offset;
}

int ac_window_write(void *user, uint32_t offset, const void *data, uint32_t size) {
    ac_window *window = user;
    if (outside(window, offset, size)) {
        return 1;
    }
    memcpy(window->at + offset, data, size);
    if (offset + size > window->end) {
        window->end = offset + size;
    }
    return 0;
}

int ac_window_read(void *user, uint32_t offset, void *data, uint32_t size) {
    const ac_window *window = user;
    if (outside(window, offset, size)) {
        return 1;
    }
    memcpy(data, window->at + offset, size);
    return 0;
}
