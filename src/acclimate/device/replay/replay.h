/* SPDX-License-Identifier: Apache-2.0 */
/* A memory of latents, so that learning goes on without forgetting: which samples of a stream stay, in few
 * bits each.
 *
 * A latent x[n] is kept as n unsigned numbers of `bits` bits, q = floor(min(max(x, 0) / s, 2^bits - 1) + 1/2)
 * with s = greatest / (2^bits - 1), packed from the lowest bit of the first byte on: ceil(n bits / 8) bytes a
 * slot, slots without gaps. They lie in RAM or in an `ac_flash`. Flash is written through one sector in RAM:
 * what changes is there until another sector is touched or `ac_replay_flush`, and a power failure may lose
 * that sector. Labels and counters are in RAM; keep them, after a flush, with module `store`.
 *
 * Policies, for item t of a stream into M slots:
 *   RESERVOIR  with probability M / t it takes the place of any one: every item stays with equal probability
 *   CBRS       class balanced: an item of a class that was never the largest takes the place of one of a
 * largest class; one of another class, with probability (kept / seen) of its class, that of one of its class
 *   ECBRS      CBRS that leaves the class most seen its share `quota` of the slots
 *
 *     static uint8_t slots[1500 * 24];
 *     static uint16_t labels[1500];
 *     static ac_replay_class classes[5];
 *     ac_replay_settings settings = {AC_REPLAY_CBRS, 24, 8, 6.0f, 0.0f, 1};
 *     ac_replay replay;
 *     ac_replay_start(&replay, &settings, labels, 1500, classes, 5, slots, sizeof slots);
 *     ac_replay_offer(&replay, latent, label, NULL);
 *     ac_replay_draw(&replay, numbers, 107);  ac_replay_read(&replay, numbers[0], latent); */
#ifndef AC_REPLAY_H
#define AC_REPLAY_H

#include <stdint.h>

#include "../flash/flash.h"
#include "../random/random.h"
#include "../vector/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AC_REPLAY_SLOTS 1000000
#define AC_REPLAY_CLASSES 4096

/* Policies. */
enum { AC_REPLAY_RESERVOIR = 0, AC_REPLAY_CBRS = 1, AC_REPLAY_ECBRS = 2 };

enum {
    AC_REPLAY_OK = 0,           /* done; offer: it is kept */
    AC_REPLAY_PASSED = 1,       /* offer: it is not kept */
    AC_REPLAY_BAD_CALL = -1,    /* an argument that cannot be; nothing has changed */
    AC_REPLAY_NOT_FINITE = -2,  /* a feature is NaN or infinite; nothing has changed */
    AC_REPLAY_FLASH_FAILED = -3 /* a callback failed: what that sector holds is not known */
};

typedef struct {
    int policy;
    uint32_t n;     /* 1 .. AC_VECTOR_MAX */
    uint32_t bits;  /* 1 .. 8 */
    float greatest; /* of the latents, as calibrated; 1e-6 .. 1e6 */
    float quota;    /* 0 .. 1, for ECBRS */
    uint32_t seed;
} ac_replay_settings;

typedef struct {
    uint32_t kept; /* in the memory */
    uint32_t seen; /* in the stream */
    uint32_t full; /* 1 once it was a largest class of a full memory */
} ac_replay_class;

/* Belongs to the caller, who only reads it. */
typedef struct {
    ac_replay_settings settings;
    ac_random random;
    uint16_t *labels;         /* [capacity] */
    ac_replay_class *classes; /* [K] */
    uint8_t *slots;           /* in RAM, or NULL */
    const ac_flash *flash;    /* or NULL */
    uint8_t *sector;          /* RAM copy of one sector of the flash */
    uint32_t at;              /* which: offset [B], or UINT32_MAX */
    uint32_t dirty;           /* the copy was not written yet */
    uint32_t capacity;
    uint32_t K;
    uint32_t count; /* slots in use */
    uint32_t seen;  /* items offered */
    uint32_t slot_bytes;
} ac_replay;

/* ceil(n bits / 8) times the number of slots; 0 if it is beyond 31 bits or an argument cannot be. */
uint32_t ac_replay_bytes(uint32_t slots, uint32_t n, uint32_t bits);

/* Begins empty, with slots in RAM: slots[bytes], of which ac_replay_bytes are used. */
int ac_replay_start(ac_replay *replay, const ac_replay_settings *settings, uint16_t *labels,
                    uint32_t capacity, ac_replay_class *classes, uint32_t K, uint8_t *slots, uint32_t bytes);

/* The same with slots in flash; sector[flash->sector] is RAM. Nothing is erased yet. */
int ac_replay_start_flash(ac_replay *replay, const ac_replay_settings *settings, uint16_t *labels,
                          uint32_t capacity, ac_replay_class *classes, uint32_t K, const ac_flash *flash,
                          uint8_t *sector);

/* Offers x[n] of a class below K. OK or PASSED; *slot (may be NULL) becomes where it is. */
int ac_replay_offer(ac_replay *replay, const float *x, int32_t label, uint32_t *slot);

/* Puts x[n] into a slot that is in use, whatever the policy says. */
int ac_replay_put(ac_replay *replay, uint32_t slot, const float *x, int32_t label);

/* x[n] of a slot in use. */
int ac_replay_read(ac_replay *replay, uint32_t slot, float *x);

/* Different slots, all equally likely, in ascending order; count <= replay->count. */
int ac_replay_draw(ac_replay *replay, uint32_t *slots, uint32_t count);

/* One slot, each with probability 1 / kept of its class; under ECBRS those of the class most seen have weight
 * 1 when it is exactly at its quota. */
int ac_replay_draw_balanced(ac_replay *replay, uint32_t *slot);

/* Writes what waits in RAM. */
int ac_replay_flush(ac_replay *replay);

/* How a minibatch is shared when `fresh` samples are learned together with all `stored` ones: *batches
 * minibatches, each of *of_fresh new samples and as many stored ones as fill it up, *of_stored. */
int ac_replay_split(uint32_t fresh, uint32_t stored, uint32_t batch, uint32_t *batches, uint32_t *of_fresh,
                    uint32_t *of_stored);

/* How many slots the round `i` = 0, 1 .. of learning overwrites with some of its `fresh` samples: at most
 * capacity / (i + 1). */
uint32_t ac_replay_renewed(uint32_t capacity, uint32_t i, uint32_t fresh);

#ifdef __cplusplus
}
#endif

#endif
