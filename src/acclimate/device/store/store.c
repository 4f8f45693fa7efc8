/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <stddef.h>
#include <string.h>

#define MAGIC 0x31534341u /* "ACS1" */

enum { MAGIC_AT = 0, MODEL_AT = 4, SEQUENCE_AT = 8, LENGTH_AT = 12, CRC_AT = 16, HEADER_CRC_AT = 20 };

static uint32_t get(const uint8_t *header, uint32_t at) {
    return (uint32_t)header[at] | (uint32_t)header[at + 1] << 8 | (uint32_t)header[at + 2] << 16 |
           (uint32_t)header[at + 3] << 24;
}

static void put(uint8_t *header, uint32_t at, uint32_t value) {
    for (uint32_t i = 0; i < 4; i++) {
        header[at + i] = (uint8_t)(value >> (8 * i));
    }
}

static uint32_t slot_start(const ac_store *store, int slot) {
    return slot == 0 ? 0 : store->slot_bytes;
}

static uint32_t data_start(const ac_store *store, int slot) {
    return slot_start(store, slot) + ac_flash_round(store->flash, AC_STORE_HEADER_BYTES);
}

static uint32_t capacity(const ac_store *store) {
    return store->slot_bytes - ac_flash_round(store->flash, AC_STORE_HEADER_BYTES);
}

/* The slot that is written next: never that of the newest model, not even of another program's. */
static int target_slot(const ac_store *store) {
    const int kept = store->current >= 0 ? store->current : store->newest;
    return kept == 0 ? 1 : 0;
}

static int is_blank(const uint8_t *header) {
    for (uint32_t i = 0; i < AC_STORE_HEADER_BYTES; i++) {
        if (header[i] != 0xFFu) {
            return 0;
        }
    }
    return 1;
}

/* What a slot holds; its header is read into `header`. FLASH_FAILED if it cannot be read. */
static int examine(const ac_store *store, int slot, uint8_t *header) {
    const ac_flash *flash = store->flash;
    uint32_t crc = ~0u;
    if (flash->read(flash->user, slot_start(store, slot), header, AC_STORE_HEADER_BYTES) != 0) {
        return AC_STORE_FLASH_FAILED;
    }
    if (is_blank(header)) {
        return AC_STORE_EMPTY;
    }
    if (get(header, MAGIC_AT) != MAGIC ||
        get(header, HEADER_CRC_AT) != ~ac_crc32(~0u, header, HEADER_CRC_AT) ||
        get(header, LENGTH_AT) > capacity(store)) {
        return AC_STORE_DAMAGED;
    }
    if (ac_flash_crc32(flash, data_start(store, slot), get(header, LENGTH_AT), &crc) != 0) {
        return AC_STORE_FLASH_FAILED;
    }
    if (get(header, CRC_AT) != ~crc) {
        return AC_STORE_DAMAGED;
    }
    return get(header, MODEL_AT) == store->model ? AC_STORE_OK : AC_STORE_OTHER_MODEL;
}

/* Sequence numbers begin again after 2^32 saves: the later one of two is less than half a turn ahead. */
static int is_later(uint32_t a, uint32_t b) {
    return a != b && a - b < 0x80000000u;
}

/* Notes what `examine` found in a slot. */
static void take_note(ac_store *store, int slot, int state, const uint8_t *header) {
    const uint32_t sequence = get(header, SEQUENCE_AT);
    store->states[slot] = state;
    if (state != AC_STORE_OK && state != AC_STORE_OTHER_MODEL) {
        return;
    }
    const int later = store->newest < 0 || is_later(sequence, store->sequence);
    if (state == AC_STORE_OK && (store->current < 0 || later)) {
        store->current = slot;
        store->length = get(header, LENGTH_AT);
    }
    if (later) {
        store->newest = slot;
        store->sequence = sequence;
    }
}

int ac_store_open(ac_store *store, const ac_flash *flash, uint32_t model) {
    uint8_t header[AC_STORE_HEADER_BYTES];
    if (store == NULL) {
        return AC_STORE_BAD_CALL;
    }
    memset(store, 0, sizeof *store);
    store->current = store->newest = -1;
    if (!ac_flash_usable(flash)) {
        return AC_STORE_BAD_CALL;
    }
    store->model = model;
    store->slot_bytes = flash->size / flash->sector / 2 * flash->sector;
    if (store->slot_bytes <= ac_flash_round(flash, AC_STORE_HEADER_BYTES)) {
        return AC_STORE_BAD_CALL;
    }
    store->flash = flash;
    for (int slot = 0; slot < 2; slot++) {
        const int state = examine(store, slot, header);
        if (state == AC_STORE_FLASH_FAILED) {
            store->flash = NULL; /* nothing is known, so nothing may be erased */
            return AC_STORE_FLASH_FAILED;
        }
        take_note(store, slot, state, header);
    }
    if (store->current >= 0) {
        return AC_STORE_OK;
    }
    if (store->newest >= 0) {
        return AC_STORE_OTHER_MODEL;
    }
    return store->states[0] < store->states[1] ? store->states[0] : store->states[1];
}

int ac_store_prepare(ac_store *store, uint32_t length) {
    if (store == NULL || store->flash == NULL) {
        return AC_STORE_BAD_CALL;
    }
    store->saving = store->erasing = 0;
    if (length > capacity(store)) {
        return AC_STORE_TOO_LARGE;
    }
    store->erasing = 1;
    store->erased = 0;
    store->planned = length;
    store->position = 0;
    store->crc = ~0u;
    return AC_STORE_OK;
}

int ac_store_erase(ac_store *store) {
    if (store == NULL || store->flash == NULL || !store->erasing) {
        return AC_STORE_BAD_CALL;
    }
    const ac_flash *flash = store->flash;
    const int slot = target_slot(store);
    store->states[slot] = AC_STORE_EMPTY;
    if (flash->erase(flash->user, slot_start(store, slot) + store->erased, flash->sector) != 0) {
        store->states[slot] = AC_STORE_DAMAGED;
        store->erasing = 0;
        return AC_STORE_FLASH_FAILED;
    }
    store->erased += flash->sector;
    if (store->erased < store->slot_bytes) {
        return AC_STORE_MORE;
    }
    store->erasing = 0;
    store->saving = 1;
    return AC_STORE_OK;
}

int ac_store_begin(ac_store *store, uint32_t length) {
    int status = ac_store_prepare(store, length);
    if (status != AC_STORE_OK) {
        return status;
    }
    do {
        status = ac_store_erase(store);
    } while (status == AC_STORE_MORE);
    return status;
}

/* Writes what has gathered in `piece`; the last grain is filled up with ones. */
static int flush(ac_store *store, uint32_t filled) {
    const ac_flash *flash = store->flash;
    const uint32_t at = data_start(store, target_slot(store)) + store->position - filled;
    memset(store->piece + filled, 0xFF, flash->grain - filled);
    return flash->write(flash->user, at, store->piece, flash->grain) != 0 ? AC_STORE_FLASH_FAILED
                                                                          : AC_STORE_OK;
}

int ac_store_write(void *user, uint32_t at, const void *data, uint32_t size) {
    ac_store *store = user;
    const uint8_t *byte = data;
    if (store == NULL || !store->saving || at != store->position || (data == NULL && size != 0)) {
        return AC_STORE_BAD_CALL;
    }
    if (size > store->planned - store->position) {
        store->saving = 0;
        return AC_STORE_TOO_LARGE;
    }
    store->crc = ac_crc32(store->crc, data, size);
    /* Grain by grain through `piece`: what the caller gives is seldom aligned, and a cut has one form only.
     */
    for (uint32_t i = 0; i < size; i++) {
        const uint32_t filled = store->position % store->flash->grain + 1;
        store->piece[filled - 1] = byte[i];
        store->position++;
        if (filled == store->flash->grain && flush(store, filled) != AC_STORE_OK) {
            store->saving = 0;
            return AC_STORE_FLASH_FAILED;
        }
    }
    return AC_STORE_OK;
}

/* Writes the header of a slot: from then on its model is the newest one. */
static int write_header(const ac_store *store, int slot) {
    uint8_t header[AC_STORE_HEADER_BYTES + AC_FLASH_GRAIN_MAX];
    const ac_flash *flash = store->flash;
    memset(header, 0xFF, sizeof header);
    put(header, MAGIC_AT, MAGIC);
    put(header, MODEL_AT, store->model);
    put(header, SEQUENCE_AT, store->sequence + 1);
    put(header, LENGTH_AT, store->planned);
    put(header, CRC_AT, ~store->crc);
    put(header, HEADER_CRC_AT, ~ac_crc32(~0u, header, HEADER_CRC_AT));
    return flash->write(flash->user, slot_start(store, slot), header,
                        ac_flash_round(flash, AC_STORE_HEADER_BYTES));
}

int ac_store_commit(ac_store *store) {
    uint8_t header[AC_STORE_HEADER_BYTES];
    uint32_t crc = ~0u;
    if (store == NULL || !store->saving) {
        return AC_STORE_BAD_CALL;
    }
    if (store->position != store->planned) {
        return AC_STORE_TOO_SMALL;
    }
    const int slot = target_slot(store);
    const uint32_t rest = store->position % store->flash->grain;
    store->saving = 0;
    if (rest != 0 && flush(store, rest) != AC_STORE_OK) {
        return AC_STORE_FLASH_FAILED;
    }
    if (ac_flash_crc32(store->flash, data_start(store, slot), store->planned, &crc) != 0 ||
        crc != store->crc || write_header(store, slot) != 0 || examine(store, slot, header) != AC_STORE_OK) {
        store->states[slot] = AC_STORE_DAMAGED;
        return AC_STORE_FLASH_FAILED;
    }
    store->states[slot] = AC_STORE_OK;
    store->current = store->newest = slot;
    store->sequence++;
    store->length = store->planned;
    return AC_STORE_OK;
}

int ac_store_read(void *user, uint32_t at, void *data, uint32_t size) {
    const ac_store *store = user;
    if (store == NULL || store->flash == NULL || store->current < 0 || (data == NULL && size != 0)) {
        return AC_STORE_BAD_CALL;
    }
    if (at > store->length || size > store->length - at) {
        return AC_STORE_TOO_SMALL;
    }
    const ac_flash *flash = store->flash;
    const uint32_t from = data_start(store, store->current) + at;
    return flash->read(flash->user, from, data, size) == 0 ? AC_STORE_OK : AC_STORE_FLASH_FAILED;
}
