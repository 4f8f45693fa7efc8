/* SPDX-License-Identifier: Apache-2.0 */
/* Reads sound by all cores of a team. Bytes that do not lie in memory come at once to the end of the array
 * that the samples will fill: no other memory is needed. */
#include <stddef.h>
#include <string.h>

#include "values.h"

typedef struct {
    const uint8_t *bytes;
    uint32_t size; /* of bytes */
    uint32_t parts;
    uint32_t each; /* bytes of every part but the first */
    uint32_t sums[AC_TEAM_MOST];
} checked;

static void check_part(void *work, int32_t part) {
    checked *all = work;
    const uint32_t first = all->size - (all->parts - 1) * all->each;
    const uint32_t begin = part == 0 ? 0 : first + (uint32_t)(part - 1) * all->each;
    const uint32_t size = part == 0 ? first : all->each;
    all->sums[part] = ac_crc32(part == 0 ? ~0u : 0u, all->bytes + begin, size);
}

static uint32_t checksum(const ac_team *team, const uint8_t *bytes, uint32_t size) {
    checked all = {bytes, size, ac_team_parts(team), 0, {0}};
    all.each = size / all.parts & ~3u; /* whole words */
    ac_team_do(team, check_part, &all);
    uint32_t crc = all.sums[0];
    const uint32_t power = all.parts > 1 ? ac_crc32_power(all.each) : 0;
    for (uint32_t i = 1; i < all.parts; i++) {
        crc = ac_crc32_join(crc, all.sums[i], power);
    }
    return crc;
}

typedef struct {
    int16_t *x;
    const uint8_t *bytes;
    int format;
    uint32_t count;
    uint32_t begin; /* blocks [begin, end) are decoded */
    uint32_t end;
    uint32_t parts;
} decoded;

static void decode_part(void *work, int32_t part) {
    const decoded *all = work;
    const uint32_t blocks = all->end - all->begin;
    const uint32_t begin = all->begin + ac_team_begin(blocks, (uint32_t)part, all->parts);
    const uint32_t end = all->begin + ac_team_begin(blocks, (uint32_t)part + 1, all->parts);
    const uint32_t first = begin * AC_CODEC_BLOCK, last = end * AC_CODEC_BLOCK;
    const uint32_t count = (last < all->count ? last : all->count) - first;
    const uint8_t *bytes = all->bytes + ac_values_bytes(all->format, first);
    int16_t *x = all->x + first;
    if (begin == end) {
        return;
    }
    if (all->format == AC_UTTERANCES_ADPCM) {
        ac_codec_adpcm_unpack(x, bytes, count);
    }
    for (uint32_t i = 0; i < count && all->format == AC_UTTERANCES_MULAW; i++) {
        x[i] = ac_codec_mulaw_decode(bytes[i]);
    }
    for (uint32_t i = 0; i < count && all->format == AC_UTTERANCES_PCM16; i++) {
        x[i] = (int16_t)(uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8);
    }
}

/* Rounds: the blocks of one are written where no byte is that is still to be read, of which `ahead` lie
 * before those of block 0; UINT32_MAX: they lie elsewhere. The last block is always one of its own, which its
 * bytes may lie in. */
static void decode(const ac_team *team, decoded *all, uint32_t ahead) {
    const uint32_t blocks = (all->count + AC_CODEC_BLOCK - 1) / AC_CODEC_BLOCK;
    /* A sample of 16 bits takes the place of its own bytes. */
    const int apart = ahead == UINT32_MAX || all->format == AC_UTTERANCES_PCM16;
    for (all->begin = 0; all->begin < blocks; all->begin = all->end) {
        const uint32_t read = ac_values_bytes(all->format, all->begin * AC_CODEC_BLOCK);
        const uint32_t open_blocks = (ahead + read) / (2 * AC_CODEC_BLOCK);
        all->end = open_blocks > all->begin ? open_blocks : all->begin + 1;
        if (apart || all->end > blocks) {
            all->end = blocks;
        }
        const int shared = all->end - all->begin > 1;
        all->parts = shared ? ac_team_parts(team) : 1;
        ac_team_do(shared ? team : NULL, decode_part, all);
    }
}

int ac_values_read_s16(const ac_team *team, const ac_flash *flash, uint32_t at, int format, int16_t *x,
                       uint32_t count, uint32_t *crc) {
    uint8_t few[8]; /* for one or two samples, which are shorter than their bytes */
    const uint32_t size = ac_values_bytes(format, count);
    const uint8_t *mapped = ac_flash_mapped(flash);
    decoded all = {x, NULL, format, count, 0, 0, 1};
    if (mapped != NULL) {
        all.bytes = mapped + at;
    } else {
        uint8_t *bytes = size > 2 * count ? few : (uint8_t *)x + (2 * count - size);
        const int error = flash->read(flash->user, at, bytes, size);
        if (error != 0) {
            return error;
        }
        all.bytes = bytes;
    }
    *crc = checksum(team, all.bytes, size);
    decode(team, &all, mapped != NULL || all.bytes == few ? UINT32_MAX : 2 * count - size);
    return 0;
}
