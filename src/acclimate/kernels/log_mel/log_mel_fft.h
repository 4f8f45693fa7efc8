/* SPDX-License-Identifier: Apache-2.0 */
/* Power spectrum of real numbers: a complex FFT in place, decimation in time.
 *
 * z[points] holds complex numbers as re, im; points = 4^a * R, R 4 or 8. First each block of R points becomes
 * a transform of R numbers (log_mel_blocks.h), then stages of radix 4 make one block of four. The numbers
 * that a block begins with are those whose index ends in the digits to the base 4 of the block's place,
 * reversed; so the frequencies come out in order.
 *
 * A butterfly is six fused operations: p = a + w b takes four, and a - w b = 2 a - p two. */
#ifndef AC_LOG_MEL_FFT_H
#define AC_LOG_MEL_FFT_H

#include "../ac.h"

/* R. */
static inline int32_t ac_fft_radix(int32_t points) {
    while (points > 8)
        points /= 4;
    return points;
}

/* Transforms of four numbers v[0], v[1], ... (re, im), the odd ones times `scale`, to z[0], z[step], ... */
static inline void ac_fft_four(float *restrict z, const float *restrict v, float scale, int32_t step) {
    const float sr = v[0] + v[4], si = v[1] + v[5], dr = v[0] - v[4], di = v[1] - v[5];
    const float tr = v[2] + v[6], ti = v[3] + v[7], er = v[2] - v[6], ei = v[3] - v[7];
    z[0] = sr + scale * tr, z[1] = si + scale * ti;
    z[2 * step] = dr + scale * ei, z[2 * step + 1] = di - scale * er;
    z[4 * step] = sr - scale * tr, z[4 * step + 1] = si - scale * ti;
    z[6 * step] = dr - scale * ei, z[6 * step + 1] = di + scale * er;
}

/* Transform of the first `present` numbers of eight, 5 or 8; the others are zero. */
static inline void ac_fft_eight(float *restrict z, const float *restrict v, int32_t present) {
    float even[8], odd[8];
    for (int32_t i = 0; i < 8; i++) {
        even[i] = i / 2 + 4 < present ? v[i] + v[i + 8] : v[i];
        odd[i] = i / 2 + 4 < present ? v[i] - v[i + 8] : v[i];
    }
    /* Times exp(-j pi i / 4), i = 0 .. 3, but for the factor sqrt(1/2) where i is odd: it comes below. */
    const float turned[8] = {odd[0], odd[1],  odd[3] + odd[2], odd[3] - odd[2],
                             odd[5], -odd[4], odd[7] - odd[6], -(odd[7] + odd[6])};
    ac_fft_four(z, even, 1.0f, 2);
    ac_fft_four(z + 2, turned, 0.70710678f, 2);
}

/* Radix 4 in place: points a, b, c, d of four transforms that follow each other; w holds w, w^2.
 * Neighbouring statements do not need each other: an operation may take two cycles. */
static inline void ac_fft_butterfly(float *a, float *b, float *c, float *d, const float w[4]) {
    float pr = a[0] + w[2] * c[0], pi = a[1] + w[2] * c[1]; /* a + w^2 c */
    float qr = b[0] + w[2] * d[0], qi = b[1] + w[2] * d[1]; /* b + w^2 d */
    pr = pr - w[3] * c[1], pi = pi + w[3] * c[0];
    qr = qr - w[3] * d[1], qi = qi + w[3] * d[0];
    const float mr = 2.0f * a[0] - pr, mi = 2.0f * a[1] - pi; /* a - w^2 c */
    const float nr = 2.0f * b[0] - qr, ni = 2.0f * b[1] - qi; /* b - w^2 d */
    float ar = pr + w[0] * qr, ai = pi + w[0] * qi;
    float br = mr + w[0] * ni, bi = mi - w[0] * nr; /* times -j w */
    ar = ar - w[1] * qi, ai = ai + w[1] * qr;
    br = br + w[1] * nr, bi = bi + w[1] * ni;
    a[0] = ar, a[1] = ai;
    b[0] = br, b[1] = bi;
    c[0] = 2.0f * pr - ar, c[1] = 2.0f * pi - ai;
    d[0] = 2.0f * mr - br, d[1] = 2.0f * mi - bi;
}

/* One stage: blocks of 4 * quarter points. The inner loop is the longer one. */
static inline void ac_fft_stage(float *restrict z, const float *restrict twiddle, int32_t points,
                                int32_t quarter) {
    const int32_t blocks = points / 4 / quarter, step = 2 * quarter;
    if (blocks > quarter) {
        for (int32_t n = 0; n < quarter; n++) {
            const float *const t = twiddle + 4 * blocks * n;
            const float w[4] = {t[0], t[1], t[2], t[3]}; /* of all blocks */
            float *at = z + 2 * n;
            for (int32_t block = 0; block < blocks; block++) {
                ac_fft_butterfly(at, at + step, at + 2 * step, at + 3 * step, w);
                at += 4 * step;
            }
        }
        return;
    }
    for (int32_t block = 0; block < blocks; block++) {
        float *const at = z + 4 * step * block;
        for (int32_t n = 0; n < quarter; n++) {
            const float *const t = twiddle + 4 * blocks * n;
            const float w[4] = {t[0], t[1], t[2], t[3]};
            ac_fft_butterfly(at + 2 * n, at + 2 * n + step, at + 2 * n + 2 * step, at + 2 * n + 3 * step, w);
        }
    }
}

/* All stages after that of the blocks of R points. */
static inline void ac_fft_stages(float *restrict z, const float *restrict twiddle, int32_t points) {
    for (int32_t quarter = ac_fft_radix(points); quarter < points; quarter *= 4)
        ac_fft_stage(z, twiddle, points, quarter);
}

/* power[k - from] = 4 |X[k]|^2 of the bins from <= k < to of pairs of real numbers that were transformed as
 * z. 2 X[k] = (Z[k] + Z[-k]*) + split[k] * (Z[k] - Z[-k]*) / j: the even numbers, then the odd ones. */
static inline void ac_fft_power(float *power, const float *z, const float *restrict split, int32_t points,
                                int32_t from, int32_t to) {
    for (int32_t k = from; k < to; k++) {
        const float *const own = z + 2 * k, *const mirror = z + 2 * (points - k);
        const float ar = own[0], ai = own[1], br = mirror[0], bi = mirror[1];
        const float c = split[2 * k], s = split[2 * k + 1];
        const float odd_re = ai + bi, odd_im = br - ar;
        float re = ar + br, im = ai - bi; /* the even numbers */
        re = re + odd_re * c, im = im + odd_im * c;
        re = re - odd_im * s, im = im + odd_re * s;
        power[k - from] = re * re + im * im;
    }
}

/* power[bins] = 4 |X|^2 in place of z: bin k takes word k, which no bin behind it reads. Those of the upper
 * half read what the lower half overwrites, so they come first and wait in `high`. */
static inline void ac_fft_powers(float *z, float *restrict high, const float *restrict split, int32_t points,
                                 int32_t bins) {
    const int32_t half = points / 2, low = ac_min_i32(bins, half);
    ac_fft_power(high, z, split, points, half, bins);
    const float zero = 2.0f * (z[0] + z[1]); /* bin 0 is its own mirror image */
    ac_fft_power(z + 1, z, split, points, 1, low);
    z[0] = zero * zero;
    for (int32_t k = half; k < bins; k++)
        z[k] = high[k - half];
}

#endif
