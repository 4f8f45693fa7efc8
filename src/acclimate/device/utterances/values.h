/* SPDX-License-Identifier: Apache-2.0 */
/* The values of an utterance as bytes in flash: streams out and in, with the checksum of what passed, and the
 * formats. A part of the module `utterances`, not for others. */
#ifndef AC_VALUES_H
#define AC_VALUES_H

#include "utterances.h"

typedef struct {
    const ac_flash *flash;
    uint32_t at;     /* of the grain in `piece` */
    uint32_t filled; /* bytes in it */
    uint32_t crc;
    int error;
    uint8_t piece[AC_FLASH_GRAIN_MAX];
} ac_values_writer;

typedef struct {
    const ac_flash *flash;
    uint32_t at;   /* of the bytes after `piece` */
    uint32_t left; /* bytes after it */
    uint32_t taken;
    uint32_t crc;
    int error;
    uint8_t piece[AC_FLASH_GRAIN_MAX];
} ac_values_reader;

int ac_values_is_sound(int format);
int ac_values_is_features(int format);

/* Bytes of values alone; count is at most 2^29. */
uint32_t ac_values_bytes(int format, uint32_t count);

ac_values_writer ac_values_writer_at(const ac_flash *flash, uint32_t at);
ac_values_reader ac_values_reader_at(const ac_flash *flash, uint32_t at, uint32_t bytes);

/* The lowest `bytes` of a number; the next ones of a stream, ones after its end. */
void ac_values_put(ac_values_writer *to, uint32_t value, uint32_t bytes);
uint32_t ac_values_take(ac_values_reader *from, uint32_t bytes);

/* Writes what is left, filled up to a grain. */
void ac_values_flush(ac_values_writer *to);

/* 1 if no value is NaN or infinite. */
int ac_values_are_finite(const float *x, uint32_t count);

/* Reads x[count] of sound whose bytes begin at `at`, with the checksum of these; 0, or what `read` returns.
 */
int ac_values_read_s16(const ac_team *team, const ac_flash *flash, uint32_t at, int format, int16_t *x,
                       uint32_t count, uint32_t *crc);

/* x[count] with count > 0, in a format for its type. */
void ac_values_put_s16(ac_values_writer *to, int format, const int16_t *x, uint32_t count);
void ac_values_put_f32(ac_values_writer *to, int format, const float *x, uint32_t count);
void ac_values_take_f32(ac_values_reader *from, int format, float *x, uint32_t count);

#endif
