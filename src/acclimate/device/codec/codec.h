/* SPDX-License-Identifier: Apache-2.0 */
/* Sound in fewer bits: IMA ADPCM with 4 bits, and mu-law with 8. */
#ifndef AC_CODEC_H
#define AC_CODEC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where an ADPCM stream stands. Encoder and decoder begin with the same. */
typedef struct {
    int16_t predicted; /* the last sample as the decoder has it */
    uint8_t index;     /* of the step, 0 .. 88; anything above counts as 88 */
} ac_codec_adpcm;

/* The code 0 .. 15 of the next sample. Signal to noise on spoken words: 26 dB in the middle, below 17 dB for
 * one in ten. */
uint8_t ac_codec_adpcm_encode(ac_codec_adpcm *state, int16_t sample);

/* The next sample of a code, whose upper four bits do not count. */
int16_t ac_codec_adpcm_decode(ac_codec_adpcm *state, uint8_t code);

/* A stream of whole blocks: the state before each (predicted in 2 B, index, 0) stands before its codes, two
 * to a byte, the lower four bits first. So blocks can be decoded in any order, and by several cores. Decodes
 * x[count] from the first block on. NOTE: the bytes may be the end of x itself, if their last one is its last
 * one.
 */
#define AC_CODEC_BLOCK 256 /* samples */
#define AC_CODEC_STATE_BYTES 4
void ac_codec_adpcm_unpack(int16_t *x, const uint8_t *bytes, uint32_t count);

/* G.711 mu-law. Error at most (|sample| + 132) / 32 up to 32635; about 37 dB on speech. */
uint8_t ac_codec_mulaw_encode(int16_t sample);
int16_t ac_codec_mulaw_decode(uint8_t code);

#ifdef __cplusplus
}
#endif

#endif
