/* SPDX-License-Identifier: Apache-2.0 */
#include "utterances.h"

#include <stddef.h>
#include <string.h>

#include "values.h"

#define MAGIC 0x32554341u /* "ACU2" */
#define HEAD_BYTES 16u
#define TAIL_BYTES 8u
#define COUNT_MAX 0x1FFFFFFFu /* four bytes each are still within 31 bits */

uint32_t ac_utterances_bytes(const ac_flash *flash, int format, uint32_t count) {
    if (!ac_flash_usable(flash) || count > COUNT_MAX ||
        (!ac_values_is_sound(format) && !ac_values_is_features(format))) {
        return 0;
    }
    /* Below 2^31 and two grains: no sum can overflow. */
    return ac_flash_round(flash, HEAD_BYTES) + ac_flash_round(flash, ac_values_bytes(format, count)) +
           ac_flash_round(flash, TAIL_BYTES);
}

static uint32_t payload_start(const ac_utterances *log, uint32_t at) {
    return at + ac_flash_round(log->flash, HEAD_BYTES);
}

/* Reads the head at `at`: 1 if it is whole and its record fits, 0 if not, -1 if the memory fails. */
static int read_head(const ac_utterances *log, uint32_t at, ac_utterances_entry *entry) {
    ac_values_reader from = ac_values_reader_at(log->flash, at, HEAD_BYTES - 4);
    const uint32_t magic = ac_values_take(&from, 4);
    const uint32_t count = ac_values_take(&from, 4);
    const uint32_t label_and_format = ac_values_take(&from, 4);
    ac_values_reader check = ac_values_reader_at(log->flash, at + HEAD_BYTES - 4, 4);
    const uint32_t crc = ac_values_take(&check, 4);
    if (from.error != 0 || check.error != 0) {
        return -1;
    }
    const int format = (int)(label_and_format >> 16 & 0xFFu);
    const uint32_t bytes = ac_utterances_bytes(log->flash, format, count);
    if (magic != MAGIC || crc != ~from.crc || count == 0 || bytes == 0 || bytes > log->flash->size - at) {
        return 0;
    }
    entry->at = at;
    entry->count = count;
    entry->label = (uint16_t)label_and_format;
    entry->format = (uint8_t)format;
    return 1;
}

static uint32_t tail_start(const ac_utterances *log, const ac_utterances_entry *entry) {
    const uint32_t bytes = ac_values_bytes(entry->format, entry->count);
    return payload_start(log, entry->at) + ac_flash_round(log->flash, bytes);
}

/* 1 and the checksum of the values if the tail was written, 0 if not, -1 if the memory fails. */
static int read_tail(const ac_utterances *log, const ac_utterances_entry *entry, uint32_t *crc) {
    ac_values_reader from = ac_values_reader_at(log->flash, tail_start(log, entry), TAIL_BYTES);
    *crc = ac_values_take(&from, 4);
    const uint32_t complement = ac_values_take(&from, 4);
    return from.error != 0 ? -1 : *crc == ~complement;
}

/* One past the last byte that is not blank; -1 in *error if the memory fails. */
static uint32_t used_bytes(const ac_flash *flash, int *error) {
    uint8_t piece[AC_FLASH_GRAIN_MAX];
    for (uint32_t end = flash->size; end > 0;) {
        const uint32_t now = end < sizeof piece ? end : (uint32_t)sizeof piece;
        if (flash->read(flash->user, end - now, piece, now) != 0) {
            *error = -1;
            return 0;
        }
        for (uint32_t i = now; i > 0; i--) {
            if (piece[i - 1] != 0xFFu) {
                return end - now + i;
            }
        }
        end -= now;
    }
    return 0;
}

/* Walks over the records. What is no head is passed over by the size of one: a torn head has no values after
 * it, and every walk over the same bytes takes the same steps. */
static int list(ac_utterances *log) {
    const ac_flash *flash = log->flash;
    int error = 0;
    uint32_t at = 0;
    const uint32_t used = used_bytes(flash, &error);
    while (at < used && error == 0) {
        ac_utterances_entry entry;
        uint32_t crc;
        const uint32_t head = ac_flash_round(flash, HEAD_BYTES);
        const int whole = flash->size - at < head ? 0 : read_head(log, at, &entry);
        const int kept = whole == 1 ? read_tail(log, &entry, &crc) : whole;
        if (kept < 0) {
            return AC_UTTERANCES_FLASH_FAILED;
        }
        if (kept == 1 && log->count == log->index_size) {
            log->end = flash->size;
            return AC_UTTERANCES_FULL;
        }
        if (kept == 1) {
            log->index[log->count++] = entry;
        }
        const uint32_t step = whole == 1 ? ac_utterances_bytes(flash, entry.format, entry.count) : head;
        at = flash->size - at < step ? flash->size : at + step;
    }
    log->end = at;
    return error != 0 ? AC_UTTERANCES_FLASH_FAILED : AC_UTTERANCES_OK;
}

int ac_utterances_open(ac_utterances *log, const ac_flash *flash, ac_utterances_entry *index,
                       uint32_t index_size) {
    if (log == NULL) {
        return AC_UTTERANCES_BAD_CALL;
    }
    memset(log, 0, sizeof *log);
    if (!ac_flash_usable(flash) || (index == NULL && index_size != 0)) {
        return AC_UTTERANCES_BAD_CALL;
    }
    log->flash = flash;
    log->index = index;
    log->index_size = index_size;
    const int status = list(log);
    if (status == AC_UTTERANCES_FLASH_FAILED) {
        log->count = 0;
        log->end = flash->size; /* nothing is known, so nothing may be written */
    }
    return status;
}

int ac_utterances_clear(ac_utterances *log) {
    if (log == NULL || log->flash == NULL) {
        return AC_UTTERANCES_BAD_CALL;
    }
    const ac_flash *flash = log->flash;
    log->count = 0;
    log->end = flash->size;
    for (uint32_t at = flash->size; at > 0; at -= flash->sector) {
        if (flash->erase(flash->user, at - flash->sector, flash->sector) != 0) {
            return AC_UTTERANCES_FLASH_FAILED;
        }
    }
    log->end = 0;
    return AC_UTTERANCES_OK;
}

/* Puts words into a piece that is blank after them, and writes it: a head or a tail, in one write. */
static int write_words(const ac_flash *flash, uint32_t at, const uint32_t *words, uint32_t count) {
    uint8_t piece[HEAD_BYTES + AC_FLASH_GRAIN_MAX];
    memset(piece, 0xFF, sizeof piece);
    for (uint32_t i = 0; i < 4 * count; i++) {
        piece[i] = (uint8_t)(words[i / 4] >> (8 * (i % 4)));
    }
    return flash->write(flash->user, at, piece, ac_flash_round(flash, 4 * count));
}

static int write_head(const ac_flash *flash, const ac_utterances_entry *entry) {
    const uint32_t words[3] = {MAGIC, entry->count, entry->label | (uint32_t)entry->format << 16};
    uint8_t bytes[12];
    uint32_t head[4];
    for (uint32_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(words[i / 4] >> (8 * (i % 4)));
    }
    const uint32_t crc = ac_crc32(~0u, bytes, sizeof bytes);
    memcpy(head, words, sizeof words);
    head[3] = ~crc;
    return write_words(flash, entry->at, head, 4);
}

/* Room for a record after the last one: OK, FULL, or BAD_CALL. */
static int make_entry(const ac_utterances *log, uint16_t label, int format, uint32_t count,
                      ac_utterances_entry *entry) {
    if (count == 0 || count > COUNT_MAX) {
        return AC_UTTERANCES_BAD_CALL;
    }
    if (log->count == log->index_size ||
        ac_utterances_bytes(log->flash, format, count) > log->flash->size - log->end) {
        return AC_UTTERANCES_FULL;
    }
    entry->at = log->end;
    entry->count = count;
    entry->label = label;
    entry->format = (uint8_t)format;
    return AC_UTTERANCES_OK;
}

/* Writes a record of one of the two; its tail only if the values can be read back. */
static int append(ac_utterances *log, const ac_utterances_entry *entry, const int16_t *sound,
                  const float *features) {
    const ac_flash *flash = log->flash;
    uint32_t crc = ~0u;
    log->end = flash->size; /* until all has gone well: what a failure leaves behind, only a walk knows */
    if (write_head(flash, entry) != 0) {
        return AC_UTTERANCES_FLASH_FAILED;
    }
    ac_values_writer to = ac_values_writer_at(flash, payload_start(log, entry->at));
    if (sound != NULL) {
        ac_values_put_s16(&to, entry->format, sound, entry->count);
    } else {
        ac_values_put_f32(&to, entry->format, features, entry->count);
    }
    ac_values_flush(&to);
    const uint32_t bytes = ac_values_bytes(entry->format, entry->count);
    if (to.error != 0 || ac_flash_crc32(flash, payload_start(log, entry->at), bytes, &crc) != 0 ||
        crc != to.crc) {
        return AC_UTTERANCES_FLASH_FAILED;
    }
    const uint32_t tail[2] = {~crc, crc};
    if (write_words(flash, tail_start(log, entry), tail, 2) != 0) {
        return AC_UTTERANCES_FLASH_FAILED;
    }
    log->index[log->count++] = *entry;
    log->end = entry->at + ac_utterances_bytes(flash, entry->format, entry->count);
    return AC_UTTERANCES_OK;
}

int ac_utterances_append_s16(ac_utterances *log, uint16_t label, int format, const int16_t *x,
                             uint32_t count) {
    ac_utterances_entry entry;
    if (log == NULL || log->flash == NULL || x == NULL || !ac_values_is_sound(format)) {
        return AC_UTTERANCES_BAD_CALL;
    }
    const int status = make_entry(log, label, format, count, &entry);
    return status == AC_UTTERANCES_OK ? append(log, &entry, x, NULL) : status;
}

int ac_utterances_append_f32(ac_utterances *log, uint16_t label, int format, const float *x, uint32_t count) {
    ac_utterances_entry entry;
    if (log == NULL || log->flash == NULL || x == NULL || !ac_values_is_features(format)) {
        return AC_UTTERANCES_BAD_CALL;
    }
    const int status = make_entry(log, label, format, count, &entry);
    if (status != AC_UTTERANCES_OK) {
        return status;
    }
    if (format == AC_UTTERANCES_S8 && !ac_values_are_finite(x, count)) {
        return AC_UTTERANCES_NOT_FINITE;
    }
    return append(log, &entry, NULL, x);
}

static int is_readable(const ac_utterances *log, uint32_t number, const void *x, uint32_t capacity) {
    return log != NULL && log->flash != NULL && x != NULL && number < log->count &&
           log->index[number].count <= capacity;
}

/* Reads into one of the two, and compares the checksum. */
static int read_values(const ac_team *team, const ac_utterances *log, const ac_utterances_entry *entry,
                       int16_t *sound, float *features) {
    const uint32_t bytes = ac_values_bytes(entry->format, entry->count);
    ac_values_reader from = ac_values_reader_at(log->flash, payload_start(log, entry->at), bytes);
    uint32_t crc;
    if (sound != NULL) {
        from.error =
            ac_values_read_s16(team, log->flash, from.at, entry->format, sound, entry->count, &from.crc);
    } else {
        ac_values_take_f32(&from, entry->format, features, entry->count);
    }
    const int whole = read_tail(log, entry, &crc);
    if (from.error != 0 || whole < 0) {
        return AC_UTTERANCES_FLASH_FAILED;
    }
    return whole == 1 && crc == ~from.crc ? AC_UTTERANCES_OK : AC_UTTERANCES_DAMAGED;
}

int ac_utterances_read_s16_by(const ac_team *team, const ac_utterances *log, uint32_t number, int16_t *x,
                              uint32_t capacity) {
    if (!is_readable(log, number, x, capacity) || !ac_values_is_sound(log->index[number].format)) {
        return AC_UTTERANCES_BAD_CALL;
    }
    return read_values(team, log, &log->index[number], x, NULL);
}

int ac_utterances_read_s16(const ac_utterances *log, uint32_t number, int16_t *x, uint32_t capacity) {
    return ac_utterances_read_s16_by(NULL, log, number, x, capacity);
}

int ac_utterances_read_f32(const ac_utterances *log, uint32_t number, float *x, uint32_t capacity) {
    if (!is_readable(log, number, x, capacity) || !ac_values_is_features(log->index[number].format)) {
        return AC_UTTERANCES_BAD_CALL;
    }
    return read_values(NULL, log, &log->index[number], NULL, x);
}

uint32_t ac_utterances_of_class(const ac_utterances *log, uint16_t label) {
    uint32_t found = 0;
    for (uint32_t i = 0; log != NULL && i < log->count; i++) {
        found += log->index[i].label == label;
    }
    return found;
}
