/* SPDX-License-Identifier: Apache-2.0 */
/* A log of labelled utterances, sound or features, in flash or in RAM.
 *
 * A record is a head (magic, count, label, format, CRC-32 of these), the values, and a tail (CRC-32 of the
 * values' bytes and its complement), each filled up to a whole grain with 0xFF; all little endian. The tail
 * comes last, so after a power failure an utterance is there whole or not at all; the bytes that were spent
 * on it are free again after a clear. Records are only appended.
 *
 *     static ac_utterances_entry index[120];
 *     ac_utterances log;
 *     ac_utterances_open(&log, &flash, index, 120);
 *     ac_utterances_append_s16(&log, label, AC_UTTERANCES_ADPCM, pcm, 16000);
 *     ac_utterances_read_s16(&log, 7, pcm, 16000);
 *
 * In RAM: give an ac_flash with the callbacks ac_flash_ram_*, grain 1, and the memory as `user`. */
#ifndef AC_UTTERANCES_H
#define AC_UTTERANCES_H

#include "../codec/codec.h"
#include "../flash/flash.h"
#include "../team/team.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How values are kept. The first three are for s16, the others for f32. */
enum {
    AC_UTTERANCES_PCM16 = 0, /* 2 bytes each, exact */
    AC_UTTERANCES_ADPCM = 1, /* half a byte each, and 4 for every 256 */
    AC_UTTERANCES_MULAW = 2, /* 1 byte each */
    AC_UTTERANCES_F32 = 3,   /* 4 bytes each, exact */
    AC_UTTERANCES_S8 = 4     /* 1 byte each, and 4: round(v / scale), scale = largest |v| / 127 */
};

enum {
    AC_UTTERANCES_OK = 0,
    AC_UTTERANCES_FULL = 1,          /* neither the memory nor the index takes another one of this size */
    AC_UTTERANCES_BAD_CALL = -1,     /* an argument that cannot be; nothing has changed */
    AC_UTTERANCES_FLASH_FAILED = -2, /* a callback failed, or does not keep what was written: open again */
    AC_UTTERANCES_DAMAGED = -3,      /* the checksum is wrong; what was read is not to be used */
    AC_UTTERANCES_NOT_FINITE = -4    /* a value is NaN or infinite, which S8 cannot keep */
};

typedef struct {
    uint32_t at;    /* [B] of the head */
    uint32_t count; /* values */
    uint16_t label;
    uint8_t format;
} ac_utterances_entry;

/* Belongs to the caller, who only reads it. */
typedef struct {
    const ac_flash *flash;
    ac_utterances_entry *index;
    uint32_t index_size;
    uint32_t count; /* utterances */
    uint32_t end;   /* [B]: where the next record begins */
} ac_utterances;

/* Bytes of a record; 0 if they are more than 32 bits count, or the format is unknown. */
uint32_t ac_utterances_bytes(const ac_flash *flash, int format, uint32_t count);

/* Lists the utterances of a memory in index[index_size]; FULL if there are more. Reads heads and tails, and
 * once the memory after the last record. A memory that was never used needs a clear first. */
int ac_utterances_open(ac_utterances *log, const ac_flash *flash, ac_utterances_entry *index,
                       uint32_t index_size);

/* Erases all. After a power failure some utterances may be left, whole or DAMAGED when they are read; clear
 * again. */
int ac_utterances_clear(ac_utterances *log);

/* Appends x[count] in a format for its type. */
int ac_utterances_append_s16(ac_utterances *log, uint16_t label, int format, const int16_t *x,
                             uint32_t count);
int ac_utterances_append_f32(ac_utterances *log, uint16_t label, int format, const float *x, uint32_t count);

/* Reads utterance `number` into x[capacity], whose first index[number].count values it becomes; BAD_CALL if
 * there is none, its format is of the other type, or it does not fit. */
int ac_utterances_read_s16(const ac_utterances *log, uint32_t number, int16_t *x, uint32_t capacity);
int ac_utterances_read_f32(const ac_utterances *log, uint32_t number, float *x, uint32_t capacity);

/* Sound, decoded and checked by all cores of a team, which may be NULL; the caller alone reads the memory. */
int ac_utterances_read_s16_by(const ac_team *team, const ac_utterances *log, uint32_t number, int16_t *x,
                              uint32_t capacity);

/* How many there are of a class. */
uint32_t ac_utterances_of_class(const ac_utterances *log, uint16_t label);

#ifdef __cplusplus
}
#endif

#endif
