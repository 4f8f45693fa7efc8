/* SPDX-License-Identifier: Apache-2.0 */
#include "replay.h"

#include <stddef.h>
#include <string.h>

#include "slots.h"

uint32_t ac_replay_bytes(uint32_t slots, uint32_t n, uint32_t bits) {
    if (slots == 0 || slots > AC_REPLAY_SLOTS || n == 0 || n > AC_VECTOR_MAX || bits == 0 || bits > 8) {
        return 0;
    }
    const uint64_t bytes = (uint64_t)slots * ((n * bits + 7) / 8);
    return bytes > INT32_MAX ? 0 : (uint32_t)bytes;
}

static int are_possible(const ac_replay_settings *settings) {
    return settings->policy >= AC_REPLAY_RESERVOIR && settings->policy <= AC_REPLAY_ECBRS &&
           ac_vector_within(settings->greatest, 1e-6f, 1e6f) && ac_vector_within(settings->quota, 0.0f, 1.0f);
}

static int begin(ac_replay *replay, const ac_replay_settings *settings, uint16_t *labels, uint32_t capacity,
                 ac_replay_class *classes, uint32_t K, uint32_t bytes) {
    if (replay == NULL || settings == NULL || labels == NULL || classes == NULL || K == 0 ||
        K > AC_REPLAY_CLASSES || !are_possible(settings)) {
        return AC_REPLAY_BAD_CALL;
    }
    const uint32_t needed = ac_replay_bytes(capacity, settings->n, settings->bits);
    if (needed == 0 || needed > bytes) {
        return AC_REPLAY_BAD_CALL;
    }
    memset(replay, 0, sizeof *replay);
    memset(classes, 0, K * sizeof *classes);
    replay->settings = *settings;
    ac_random_seed(&replay->random, settings->seed, 0);
    replay->labels = labels;
    replay->classes = classes;
    replay->capacity = capacity;
    replay->K = K;
    replay->slot_bytes = needed / capacity;
    replay->at = UINT32_MAX;
    return AC_REPLAY_OK;
}

int ac_replay_start(ac_replay *replay, const ac_replay_settings *settings, uint16_t *labels,
                    uint32_t capacity, ac_replay_class *classes, uint32_t K, uint8_t *slots, uint32_t bytes) {
    if (slots == NULL) {
        return AC_REPLAY_BAD_CALL;
    }
    const int begun = begin(replay, settings, labels, capacity, classes, K, bytes);
    if (begun == AC_REPLAY_OK) {
        replay->slots = slots;
    }
    return begun;
}

int ac_replay_start_flash(ac_replay *replay, const ac_replay_settings *settings, uint16_t *labels,
                          uint32_t capacity, ac_replay_class *classes, uint32_t K, const ac_flash *flash,
                          uint8_t *sector) {
    if (sector == NULL || !ac_flash_usable(flash)) {
        return AC_REPLAY_BAD_CALL;
    }
    const int begun = begin(replay, settings, labels, capacity, classes, K, flash->size);
    if (begun == AC_REPLAY_OK) {
        replay->flash = flash;
        replay->sector = sector;
    }
    return begun;
}

/* The class most seen, of several the first. */
static uint32_t most_seen(const ac_replay *replay) {
    uint32_t best = 0;
    for (uint32_t k = 1; k < replay->K; k++) {
        best = replay->classes[k].seen > replay->classes[best].seen ? k : best;
    }
    return best;
}

/* The largest number of slots that a class but `spared` has. */
static uint32_t largest(const ac_replay *replay, uint32_t spared) {
    uint32_t most = 0;
    for (uint32_t k = 0; k < replay->K; k++) {
        if (k != spared && replay->classes[k].kept > most) {
            most = replay->classes[k].kept;
        }
    }
    return most;
}

/* Member `number` of the slots whose class has `kept` members, or of class `only` if it is below K. */
static uint32_t member(const ac_replay *replay, uint32_t number, uint32_t only, uint32_t kept,
                       uint32_t spared) {
    uint32_t slot = 0;
    for (; slot + 1 < replay->count; slot++) {
        const uint32_t k = replay->labels[slot];
        const int counts = only < replay->K ? k == only : k != spared && replay->classes[k].kept == kept;
        if (counts && number-- == 0) {
            break;
        }
    }
    return slot;
}

static uint32_t random_member(ac_replay *replay, uint32_t k) {
    return member(replay, ac_random_below(&replay->random, replay->classes[k].kept), k, 0, replay->K);
}

static int is_above_quota(const ac_replay *replay, uint32_t k) {
    const float quota = replay->settings.quota * (float)replay->capacity;
    return (float)replay->classes[k].kept > quota;
}

/* A random slot of a largest class; all of these count as full from now on. `spared` is left alone if another
 * class has a slot. */
static uint32_t slot_of_largest(ac_replay *replay, uint32_t spared) {
    uint32_t kept = largest(replay, spared), members = 0;
    if (kept == 0) {
        spared = replay->K;
        kept = largest(replay, spared);
    }
    for (uint32_t k = 0; k < replay->K; k++) {
        if (k != spared && replay->classes[k].kept == kept) {
            replay->classes[k].full = 1;
            members += kept;
        }
    }
    return member(replay, ac_random_below(&replay->random, members), replay->K, kept, spared);
}

/* The slot for item `seen` of class k in a full memory; `capacity` if it is passed over. */
static uint32_t choose(ac_replay *replay, uint32_t k) {
    const ac_replay_class *own = replay->classes + k;
    if (replay->settings.policy == AC_REPLAY_RESERVOIR) {
        const uint32_t at = ac_random_below(&replay->random, replay->seen);
        return at < replay->capacity ? at : replay->capacity;
    }
    if (own->full) {
        const int stays = ac_random_below(&replay->random, own->seen) < own->kept;
        return stays ? random_member(replay, k) : replay->capacity;
    }
    if (replay->settings.policy == AC_REPLAY_CBRS) {
        return slot_of_largest(replay, replay->K);
    }
    const uint32_t greatest = most_seen(replay);
    if (is_above_quota(replay, greatest)) {
        replay->classes[greatest].full = 1;
        return random_member(replay, greatest);
    }
    return slot_of_largest(replay, greatest);
}

static int refuses(const ac_replay *replay, const float *x, int32_t label) {
    if (replay == NULL || replay->labels == NULL || x == NULL || label < 0 || (uint32_t)label >= replay->K) {
        return AC_REPLAY_BAD_CALL;
    }
    return ac_vector_not_finite(x, replay->settings.n) != 0 ? AC_REPLAY_NOT_FINITE : AC_REPLAY_OK;
}

static int place(ac_replay *replay, uint32_t slot, const float *x, uint32_t label) {
    if (slot == replay->count) {
        replay->count++;
    } else {
        replay->classes[replay->labels[slot]].kept--;
    }
    replay->labels[slot] = (uint16_t)label;
    replay->classes[label].kept++;
    return ac_replay_slots_write(replay, slot, x);
}

int ac_replay_offer(ac_replay *replay, const float *x, int32_t label, uint32_t *slot) {
    const int refused = refuses(replay, x, label);
    if (refused != AC_REPLAY_OK) {
        return refused;
    }
    if (replay->seen == UINT32_MAX) {
        return AC_REPLAY_PASSED; /* counters are at their end: 4 billion items */
    }
    replay->seen++;
    replay->classes[label].seen++;
    const uint32_t at = replay->count < replay->capacity ? replay->count : choose(replay, (uint32_t)label);
    if (at == replay->capacity) {
        return AC_REPLAY_PASSED;
    }
    if (slot != NULL) {
        *slot = at;
    }
    return place(replay, at, x, (uint32_t)label);
}

int ac_replay_put(ac_replay *replay, uint32_t slot, const float *x, int32_t label) {
    const int refused = refuses(replay, x, label);
    if (refused != AC_REPLAY_OK) {
        return refused;
    }
    return slot >= replay->count ? AC_REPLAY_BAD_CALL : place(replay, slot, x, (uint32_t)label);
}

int ac_replay_read(ac_replay *replay, uint32_t slot, float *x) {
    if (replay == NULL || replay->labels == NULL || x == NULL || slot >= replay->count) {
        return AC_REPLAY_BAD_CALL;
    }
    return ac_replay_slots_read(replay, slot, x);
}

/* Selection sampling: one pass, no memory, every subset equally likely. */
int ac_replay_draw(ac_replay *replay, uint32_t *slots, uint32_t count) {
    if (replay == NULL || replay->labels == NULL || slots == NULL || count > replay->count) {
        return AC_REPLAY_BAD_CALL;
    }
    uint32_t found = 0;
    for (uint32_t slot = 0; found < count; slot++) {
        if (ac_random_below(&replay->random, replay->count - slot) < count - found) {
            slots[found++] = slot;
        }
    }
    return AC_REPLAY_OK;
}

int ac_replay_draw_balanced(ac_replay *replay, uint32_t *slot) {
    if (replay == NULL || replay->labels == NULL || slot == NULL || replay->count == 0) {
        return AC_REPLAY_BAD_CALL;
    }
    /* Weights 1 / kept of the items make classes equal, so a class has weight 1, or its items one each. */
    const uint32_t greatest = most_seen(replay);
    const float quota = replay->settings.quota * (float)replay->capacity;
    const uint32_t kept = replay->classes[greatest].kept;
    const int single = replay->settings.policy == AC_REPLAY_ECBRS && kept > 0 && (float)kept == quota;
    uint32_t weights = 0;
    for (uint32_t k = 0; k < replay->K; k++) {
        const uint32_t weight = single && k == greatest ? kept : 1;
        weights += replay->classes[k].kept > 0 ? weight : 0;
    }
    uint32_t number = ac_random_below(&replay->random, weights), k = 0;
    for (; k + 1 < replay->K; k++) {
        const uint32_t weight = replay->classes[k].kept == 0 ? 0 : single && k == greatest ? kept : 1;
        if (number < weight) {
            break;
        }
        number -= weight;
    }
    *slot = random_member(replay, k);
    return AC_REPLAY_OK;
}

int ac_replay_split(uint32_t fresh, uint32_t stored, uint32_t batch, uint32_t *batches, uint32_t *of_fresh,
                    uint32_t *of_stored) {
    if (batches == NULL || of_fresh == NULL || of_stored == NULL || fresh == 0 || batch == 0) {
        return AC_REPLAY_BAD_CALL;
    }
    const uint64_t together = (uint64_t)fresh + stored;
    const uint64_t whole = together / batch;
    /* Fewer than a minibatch are one; never more batches than new samples. */
    *batches = whole == 0 ? 1 : whole > fresh ? fresh : (uint32_t)whole;
    const uint32_t size = together < batch ? (uint32_t)together : batch;
    const uint32_t share = fresh / *batches;
    *of_fresh = share < size ? share : size;
    *of_stored = size - *of_fresh < stored ? size - *of_fresh : stored;
    return AC_REPLAY_OK;
}

uint32_t ac_replay_renewed(uint32_t capacity, uint32_t i, uint32_t fresh) {
    const uint32_t most = i == UINT32_MAX ? 0 : capacity / (i + 1);
    return most < fresh ? most : fresh;
}
