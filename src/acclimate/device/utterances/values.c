/* SPDX-License-Identifier: Apache-2.0 */
#include "values.h"

#include <string.h>

int ac_values_is_sound(int format) {
    return format == AC_UTTERANCES_PCM16 || format == AC_UTTERANCES_ADPCM || format == AC_UTTERANCES_MULAW;
}

int ac_values_is_features(int format) {
    return format == AC_UTTERANCES_F32 || format == AC_UTTERANCES_S8;
}

uint32_t ac_values_bytes(int format, uint32_t count) {
    switch (format) {
    case AC_UTTERANCES_PCM16:
        return 2 * count;
    case AC_UTTERANCES_ADPCM:
        return AC_CODEC_STATE_BYTES * ((count + AC_CODEC_BLOCK - 1) / AC_CODEC_BLOCK) + (count + 1) / 2;
    case AC_UTTERANCES_F32:
        return 4 * count;
    case AC_UTTERANCES_S8:
        return 4 + count;
    default:
        return count;
    }
}

ac_values_writer ac_values_writer_at(const ac_flash *flash, uint32_t at) {
    ac_values_writer made = {flash, at, 0, ~0u, 0, {0}};
    return made;
}

ac_values_reader ac_values_reader_at(const ac_flash *flash, uint32_t at, uint32_t bytes) {
    ac_values_reader made = {flash, at, bytes, AC_FLASH_GRAIN_MAX, ~0u, 0, {0}};
    return made;
}

void ac_values_flush(ac_values_writer *to) {
    const ac_flash *flash = to->flash;
    if (to->filled == 0 || to->error != 0) {
        return;
    }
    to->crc = ac_crc32(to->crc, to->piece, to->filled);
    memset(to->piece + to->filled, 0xFF, flash->grain - to->filled);
    to->error = flash->write(flash->user, to->at, to->piece, flash->grain);
    to->at += flash->grain;
    to->filled = 0;
}

void ac_values_put(ac_values_writer *to, uint32_t value, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes && to->error == 0; i++) {
        to->piece[to->filled++] = (uint8_t)(value >> (8 * i));
        if (to->filled == to->flash->grain) {
            ac_values_flush(to);
        }
    }
}

static void refill(ac_values_reader *from) {
    const uint32_t now = from->left < sizeof from->piece ? from->left : (uint32_t)sizeof from->piece;
    memset(from->piece, 0xFF, sizeof from->piece);
    if (now != 0 && from->flash->read(from->flash->user, from->at, from->piece, now) != 0) {
        from->error = 1;
    }
    from->crc = ac_crc32(from->crc, from->piece, now);
    from->at += now;
    from->left -= now;
    from->taken = 0;
}

uint32_t ac_values_take(ac_values_reader *from, uint32_t bytes) {
    uint32_t value = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        if (from->taken == AC_FLASH_GRAIN_MAX) {
            refill(from);
        }
        value |= (uint32_t)from->piece[from->taken++] << (8 * i);
    }
    return value;
}

static uint32_t bits_of(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static float number_of(uint32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

void ac_values_put_s16(ac_values_writer *to, int format, const int16_t *x, uint32_t count) {
    ac_codec_adpcm state = {x[0], 0};
    for (uint32_t i = 0; i < count; i++) {
        if (format == AC_UTTERANCES_ADPCM && i % AC_CODEC_BLOCK == 0) {
            ac_values_put(to, (uint16_t)state.predicted | (uint32_t)state.index << 16, 4);
        }
        if (format == AC_UTTERANCES_PCM16) {
            ac_values_put(to, (uint16_t)x[i], 2);
        } else if (format == AC_UTTERANCES_MULAW) {
            ac_values_put(to, ac_codec_mulaw_encode(x[i]), 1);
        } else if (i % 2 == 0) {
            const uint32_t low = ac_codec_adpcm_encode(&state, x[i]);
            const uint32_t high = i + 1 < count ? ac_codec_adpcm_encode(&state, x[i + 1]) : 0u;
            ac_values_put(to, low | high << 4, 1);
        }
    }
}

int ac_values_are_finite(const float *x, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if ((bits_of(x[i]) & 0x7F800000u) == 0x7F800000u) {
            return 0;
        }
    }
    return 1;
}

/* Largest |x| / 127. */
static float scale_of(const float *x, uint32_t count) {
    float largest = 0.0f;
    for (uint32_t i = 0; i < count; i++) {
        const float size = x[i] < 0.0f ? -x[i] : x[i];
        largest = size > largest ? size : largest;
    }
    return largest / 127.0f;
}

/* Nearest whole number of scales, half away from zero. */
static int32_t in_scales(float v, float scale) {
    const float q = scale > 0.0f ? v / scale : 0.0f;
    const float bounded = q > 127.0f ? 127.0f : q < -127.0f ? -127.0f : q;
    return (int32_t)(bounded + (bounded < 0.0f ? -0.5f : 0.5f));
}

void ac_values_put_f32(ac_values_writer *to, int format, const float *x, uint32_t count) {
    const float scale = format == AC_UTTERANCES_S8 ? scale_of(x, count) : 0.0f;
    if (format == AC_UTTERANCES_S8) {
        ac_values_put(to, bits_of(scale), 4);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (format == AC_UTTERANCES_S8) {
            ac_values_put(to, (uint32_t)in_scales(x[i], scale), 1);
        } else {
            ac_values_put(to, bits_of(x[i]), 4);
        }
    }
}

void ac_values_take_f32(ac_values_reader *from, int format, float *x, uint32_t count) {
    const float scale = format == AC_UTTERANCES_S8 ? number_of(ac_values_take(from, 4)) : 0.0f;
    for (uint32_t i = 0; i < count; i++) {
        x[i] = format == AC_UTTERANCES_S8 ? scale * (float)(int8_t)ac_values_take(from, 1)
                                          : number_of(ac_values_take(from, 4));
    }
}
