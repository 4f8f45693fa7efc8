/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps an adapted model in two slots such that power may fail at any moment: the device boots with the
 * newest model that was saved whole, and its checksum is right.
 *
 * A slot is half of the flash in whole sectors: a header of AC_STORE_HEADER_BYTES (magic, model, sequence,
 * length, CRC-32 of the model's bytes, CRC-32 of the header; little endian, filled up with 0xFF to a whole
 * grain), then the bytes. The slot that does not hold the newest model is erased, written, read back, and
 * only then given its header. A header that was torn fails its checksum, and the other slot counts.
 *
 *     ac_store store;
 *     int status = ac_store_open(&store, &flash, KWS_MODEL_HASH);
 *     if (status == AC_STORE_OK)
 *         kws_load(ac_store_read, &store);
 *     ...
 *     if (ac_store_begin(&store, KWS_CHECKPOINT_BYTES) == 0 && kws_save(ac_store_write, &store) == 0)
 *         ac_store_commit(&store); */
#ifndef AC_STORE_H
#define AC_STORE_H

#include "../flash/flash.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AC_STORE_HEADER_BYTES 24

enum {
    AC_STORE_OK = 0,
    AC_STORE_EMPTY = 1,         /* nothing was ever saved, or not to its end */
    AC_STORE_MORE = 2,          /* sectors are left to erase: call ac_store_erase again */
    AC_STORE_DAMAGED = -1,      /* a header or a checksum is wrong, and no slot is right */
    AC_STORE_OTHER_MODEL = -2,  /* what was saved belongs to another program */
    AC_STORE_FLASH_FAILED = -3, /* a callback returned an error, or does not keep what was written */
    AC_STORE_TOO_LARGE = -4,    /* more bytes than a slot holds, or than were announced */
    AC_STORE_TOO_SMALL = -5,    /* fewer bytes than were announced */
    AC_STORE_BAD_CALL = -6      /* sizes that cannot be, or functions out of order */
};

/* Belongs to the caller, who changes nothing in it. */
typedef struct {
    const ac_flash *flash;
    uint32_t model;
    uint32_t slot_bytes;
    uint32_t sequence;                 /* of the newest slot of any model */
    uint32_t length;                   /* [B] of the model, 0 if there is none */
    int current;                       /* slot of the model, or -1 */
    int newest;                        /* slot of the newest model of any program, or -1 */
    int states[2];                     /* of both slots: AC_STORE_OK, EMPTY, DAMAGED or OTHER_MODEL */
    int saving;                        /* 1 between begin and commit */
    int erasing;                       /* 1 between prepare and the last erase */
    uint32_t erased;                   /* [B] of the slot so far */
    uint32_t planned;                  /* [B] that begin announced */
    uint32_t position;                 /* [B] written so far */
    uint32_t crc;                      /* of them */
    uint8_t piece[AC_FLASH_GRAIN_MAX]; /* of a grain that is not full yet */
} ac_store;

/* Looks for the newest model whose bytes are whole; reads both slots once.
 * `model` tells programs apart: what was saved with another number is not loaded.
 * Returns AC_STORE_OK, or EMPTY, DAMAGED, OTHER_MODEL, after which a model can be saved;
 * FLASH_FAILED or BAD_CALL, after which nothing can. */
int ac_store_open(ac_store *store, const ac_flash *flash, uint32_t model);

/* Erases the slot of the older model and prepares for `length` bytes; the newest model stays. */
int ac_store_begin(ac_store *store, uint32_t length);

/* The same in pieces, since an erase takes its time: prepare changes nothing in the flash, and every erase
 * one sector. MORE until the last one, then OK, and the model can be written. */
int ac_store_prepare(ac_store *store, uint32_t length);
int ac_store_erase(ac_store *store);

/* Takes the next `size` bytes; `store` is an ac_store *, and `at` counts from 0 without a gap, so this is a
 * callback for the `save` of a generated model. After an error begin again. */
int ac_store_write(void *store, uint32_t at, const void *data, uint32_t size);

/* Reads back what was written and makes it the newest model. */
int ac_store_commit(ac_store *store);

/* Reads `size` bytes of the model; `store` is an ac_store *: a callback for the `load` of a generated model.
 * While a save is under way the model before it is read. */
int ac_store_read(void *store, uint32_t at, void *data, uint32_t size);

#ifdef __cplusplus
}
#endif

#endif
