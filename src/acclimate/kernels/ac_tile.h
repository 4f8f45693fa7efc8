/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles of a matrix product, in plain loops that compilers keep in vector registers at -O3.
 *
 * NOTE: what makes clang vectorise them without -ffast-math. The long loop is outside of a short one that it
 * unrolls first; indices from one pointer are small, so that it need not check for overflow; no store goes to
 * a local array with an index that it cannot compute. */
#ifndef AC_TILE_H
#define AC_TILE_H

#include "ac.h"

/* A row of a tile is one vector of 512 bits, two of 256, or four of 128; there are as many rows as leave some
 * of the 32 registers (16 with 256 bits) for the operands. */
enum { AC_COLUMNS = 16 };
#ifdef __AVX512F__
enum { AC_ROWS = 8, AC_ROWS_LOG2 = 3 };
#else
enum { AC_ROWS = 4, AC_ROWS_LOG2 = 2 };
#endif

/* tile[i][j] = sum over t < taps, k < length of
 * a[row[i] + tap_a[t] + k * step_a] * b[tap_b[t] + k * step_b + j]. */
static inline void ac_tile_product(float tile[AC_ROWS][AC_COLUMNS], const float *restrict a,
                                   const int32_t *restrict row, const int32_t *restrict tap_a, int32_t step_a,
                                   const float *restrict b, const int32_t *restrict tap_b, int32_t step_b,
                                   int32_t taps, int32_t length) {
    float sum[AC_ROWS][AC_COLUMNS];
    for (int32_t i = 0; i < AC_ROWS; i++)
        for (int32_t j = 0; j < AC_COLUMNS; j++)
            sum[i][j] = 0.0f;
    for (int32_t t = 0; t < taps; t++) {
        const float *at = a + tap_a[t], *bt = b + tap_b[t];
        for (int32_t k = 0; k < length; k++) {
            float left[AC_ROWS];
            for (int32_t i = 0; i < AC_ROWS; i++)
                left[i] = at[row[i] + k * step_a];
            /* NOTE: with j inside, clang unrolls it before it vectorises, and loses the registers. */
            for (int32_t j = 0; j < AC_COLUMNS; j++)
                for (int32_t i = 0; i < AC_ROWS; i++)
                    sum[i][j] += left[i] * bt[k * step_b + j];
        }
    }
    for (int32_t i = 0; i < AC_ROWS; i++)
        for (int32_t j = 0; j < AC_COLUMNS; j++)
            tile[i][j] = sum[i][j];
}

/* Offsets of the rows of a tile that begins at row `first`; rows from `count` on repeat the last one. */
static inline void ac_tile_rows(int32_t row[AC_ROWS], int32_t first, int32_t count, int32_t step) {
    for (int32_t i = 0; i < AC_ROWS; i++)
        row[i] = ac_min_i32(first + i, count - 1) * step;
}

/* bias[i] = b[first + i]; rows from `count` on repeat the last one; 0 if b is NULL. */
static inline void ac_tile_bias(float bias[AC_ROWS], const float *restrict b, int32_t first, int32_t count) {
    for (int32_t i = 0; i < AC_ROWS; i++)
        bias[i] = b == NULL ? 0.0f : b[ac_min_i32(first + i, count - 1)];
}

/* tile = clamp(tile + bias of the row, lo, hi). */
static inline void ac_tile_clamp(float tile[AC_ROWS][AC_COLUMNS], const float bias[AC_ROWS], float lo,
                                 float hi) {
    for (int32_t j = 0; j < AC_COLUMNS; j++)
        for (int32_t i = 0; i < AC_ROWS; i++)
            tile[i][j] = ac_clampf(tile[i][j] + bias[i], lo, hi);
}

/* to[i * step + j] = tile[i][j] for i < rows, j < columns; both may be larger than the tile. */
static inline void ac_tile_store(float *restrict to, int32_t step, float tile[AC_ROWS][AC_COLUMNS],
                                 int32_t rows, int32_t columns) {
    for (int32_t i = 0; i < AC_ROWS && i < rows; i++)
        if (columns >= AC_COLUMNS)
            for (int32_t j = 0; j < AC_COLUMNS; j++)
                to[i * step + j] = tile[i][j];
        else
            for (int32_t j = 0; j < columns; j++)
                to[i * step + j] = tile[i][j];
}

/* to[i * step + j] = ac_blend(itself, tile[i][j]) for i < rows, j < columns; both may be larger than the
 * tile. */
static inline void ac_tile_blend(float *restrict to, int32_t step, float tile[AC_ROWS][AC_COLUMNS],
                                 int32_t rows, int32_t columns, float keep, float scale) {
    for (int32_t i = 0; i < AC_ROWS && i < rows; i++)
        if (columns >= AC_COLUMNS)
            for (int32_t j = 0; j < AC_COLUMNS; j++)
                to[i * step + j] = ac_blend(to[i * step + j], tile[i][j], keep, scale);
        else
            for (int32_t j = 0; j < columns; j++)
                to[i * step + j] = ac_blend(to[i * step + j], tile[i][j], keep, scale);
}

/* Interleaves the two halves of v[2 * half], `times` times: 2^times rows of equal length are transposed. */
static inline void ac_riffle(float *restrict v, int32_t half, int32_t times) {
    float mixed[AC_COLUMNS * AC_COLUMNS];
    for (int32_t n = 0; n < times; n++) {
        for (int32_t i = 0; i < half; i++) {
            mixed[2 * i] = v[i];
            mixed[2 * i + 1] = v[i + half];
        }
        for (int32_t i = 0; i < 2 * half; i++)
            v[i] = mixed[i];
    }
}

/* to[j * step + i] = ac_blend(itself, tile[i][j]) for i < rows, j < columns; both may be larger than the
 * tile. */
static inline void ac_tile_blend_turned(float *restrict to, int32_t step, float tile[AC_ROWS][AC_COLUMNS],
                                        int32_t rows, int32_t columns, float keep, float scale) {
    float turned[AC_COLUMNS * AC_ROWS];
    for (int32_t i = 0; i < AC_ROWS; i++)
        for (int32_t j = 0; j < AC_COLUMNS; j++)
            turned[i * AC_COLUMNS + j] = tile[i][j];
    ac_riffle(turned, AC_ROWS * AC_COLUMNS / 2, AC_ROWS_LOG2);
    for (int32_t j = 0; j < AC_COLUMNS && j < columns; j++)
        if (rows >= AC_ROWS)
            for (int32_t i = 0; i < AC_ROWS; i++)
                to[j * step + i] = ac_blend(to[j * step + i], turned[j * AC_ROWS + i], keep, scale);
        else
            for (int32_t i = 0; i < rows; i++)
                to[j * step + i] = ac_blend(to[j * step + i], turned[j * AC_ROWS + i], keep, scale);
}

/* to[length][AC_COLUMNS] = transpose of from[rows,length], zero in columns from `rows` on. */
static inline void ac_turn(float *restrict to, const float *restrict from, int32_t rows, int32_t length) {
    int32_t k = 0;
    for (; k + AC_COLUMNS <= length; k += AC_COLUMNS) {
        float block[AC_COLUMNS * AC_COLUMNS];
        for (int32_t i = 0; i < AC_COLUMNS; i++)
            if (i < rows)
                for (int32_t j = 0; j < AC_COLUMNS; j++)
                    block[i * AC_COLUMNS + j] = from[i * length + k + j];
            else
                for (int32_t j = 0; j < AC_COLUMNS; j++)
                    block[i * AC_COLUMNS + j] = 0.0f;
        ac_riffle(block, AC_COLUMNS * AC_COLUMNS / 2, 4);
        for (int32_t i = 0; i < AC_COLUMNS * AC_COLUMNS; i++)
            to[k * AC_COLUMNS + i] = block[i];
    }
    for (; k < length; k++)
        for (int32_t i = 0; i < AC_COLUMNS; i++)
            to[k * AC_COLUMNS + i] = i < rows ? from[i * length + k] : 0.0f;
}

/* tail[length][AC_COLUMNS] = the last columns % AC_COLUMNS columns of x[length,columns], zero behind them: a
 * tile reads whole rows. */
static inline void ac_copy_tail(float *restrict tail, const float *restrict x, int32_t length,
                                int32_t columns) {
    const int32_t rest = columns % AC_COLUMNS;
    for (int32_t k = 0; rest > 0 && k < length; k++) {
        for (int32_t j = 0; j < rest; j++)
            tail[k * AC_COLUMNS + j] = x[k * columns + columns - rest + j];
        for (int32_t j = rest; j < AC_COLUMNS; j++)
            tail[k * AC_COLUMNS + j] = 0.0f;
    }
}

/* y[rows,columns] = clamp(a * x[length,columns] + b[rows], lo, hi) with a at a[i * row_a + k * step_a]; b may
 * be NULL; this core computes its share of the rows. `tail` holds AC_COLUMNS * length words. */
static inline void ac_multiply(float *restrict y, const float *restrict x, const float *restrict a,
                               const float *restrict b, float *restrict tail, int32_t rows, int32_t length,
                               int32_t columns, int32_t row_a, int32_t step_a, float lo, float hi,
                               int32_t core, int32_t cores) {
    const int32_t first = ac_split(rows, core, cores), last = ac_split(rows, core + 1, cores);
    const int32_t whole = columns - columns % AC_COLUMNS, tap[1] = {0};
    int32_t row[AC_ROWS];
    float tile[AC_ROWS][AC_COLUMNS], bias[AC_ROWS];
    ac_copy_tail(tail, x, length, columns);
    for (int32_t j = 0; j < columns; j += AC_COLUMNS)
        for (int32_t i = first; i < last; i += AC_ROWS) {
            ac_tile_rows(row, i, last, row_a);
            ac_tile_bias(bias, b, i, last);
            ac_tile_product(tile, a, row, tap, step_a, j < whole ? x + j : tail, tap,
                            j < whole ? columns : AC_COLUMNS, 1, length);
            ac_tile_clamp(tile, bias, lo, hi);
            ac_tile_store(y + i * columns + j, columns, tile, last - i, columns - j);
        }
}

#endif
