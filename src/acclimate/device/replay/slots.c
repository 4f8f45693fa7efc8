/* SPDX-License-Identifier: Apache-2.0 */
#include "slots.h"

#include <stddef.h>
#include <string.h>

#define NOWHERE UINT32_MAX

int ac_replay_flush(ac_replay *replay) {
    if (replay == NULL || replay->labels == NULL) {
        return AC_REPLAY_BAD_CALL;
    }
    if (!replay->dirty) {
        return AC_REPLAY_OK;
    }
    const ac_flash *flash = replay->flash;
    if (flash->erase(flash->user, replay->at, flash->sector) != 0 ||
        flash->write(flash->user, replay->at, replay->sector, flash->sector) != 0) {
        return AC_REPLAY_FLASH_FAILED;
    }
    replay->dirty = 0;
    return AC_REPLAY_OK;
}

/* The byte at offset `at` of the slots, in RAM; NULL if the flash fails. */
static uint8_t *byte_at(ac_replay *replay, uint32_t at) {
    if (replay->flash == NULL) {
        return replay->slots + at;
    }
    const ac_flash *flash = replay->flash;
    const uint32_t within = at % flash->sector;
    if (replay->at != at - within) {
        if (ac_replay_flush(replay) != AC_REPLAY_OK) {
            return NULL;
        }
        replay->at = NOWHERE; /* until the read is done, the copy is of no sector */
        if (flash->read(flash->user, at - within, replay->sector, flash->sector) != 0) {
            return NULL;
        }
        replay->at = at - within;
    }
    return replay->sector + within;
}

static float scale_of(const ac_replay *replay) {
    return replay->settings.greatest / (float)((1u << replay->settings.bits) - 1);
}

static uint32_t quantised(float v, float scale, float most) {
    if (!(v > 0.0f)) {
        return 0;
    }
    const float steps = v / scale;
    const float bounded = steps < most ? steps : most;
    return (uint32_t)(bounded + 0.5f);
}

int ac_replay_slots_write(ac_replay *replay, uint32_t slot, const float *x) {
    const uint32_t bits = replay->settings.bits;
    const float scale = scale_of(replay), most = (float)((1u << bits) - 1);
    uint32_t at = slot * replay->slot_bytes, waiting = 0, held = 0;
    for (uint32_t i = 0; i < replay->settings.n; i++) {
        waiting |= quantised(x[i], scale, most) << held;
        held += bits;
        const int last = i + 1 == replay->settings.n;
        while (held >= 8 || (last && held > 0)) {
            uint8_t *byte = byte_at(replay, at++);
            if (byte == NULL) {
                return AC_REPLAY_FLASH_FAILED;
            }
            *byte = (uint8_t)waiting;
            replay->dirty = replay->flash != NULL;
            waiting >>= 8;
            held = held >= 8 ? held - 8 : 0;
        }
    }
    return AC_REPLAY_OK;
}

int ac_replay_slots_read(ac_replay *replay, uint32_t slot, float *x) {
    const uint32_t bits = replay->settings.bits, mask = (1u << bits) - 1;
    const float scale = scale_of(replay);
    uint32_t at = slot * replay->slot_bytes, waiting = 0, held = 0;
    for (uint32_t i = 0; i < replay->settings.n; i++) {
        if (held < bits) {
            const uint8_t *byte = byte_at(replay, at++);
            if (byte == NULL) {
                return AC_REPLAY_FLASH_FAILED;
            }
            waiting |= (uint32_t)*byte << held;
            held += 8;
        }
        x[i] = (float)(waiting & mask) * scale;
        waiting >>= bits;
        held -= bits;
    }
    return AC_REPLAY_OK;
}
