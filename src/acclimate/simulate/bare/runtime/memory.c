/* SPDX-License-Identifier: Apache-2.0 */
/* Memory functions, a word at a time where both sides are aligned. */
#include <stdint.h>
#include <string.h>

/* May alias anything: C forbids to read memory of one type through another. */
typedef uint32_t __attribute__((may_alias)) word;

/* Without it the compiler sees in each loop the function that the loop is. */
#define PLAIN __attribute__((no_builtin))

PLAIN void *memcpy(void *to, const void *from, size_t size) {
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0) {
        for (; size >= 4; size -= 4, out += 4, in += 4) {
            *(word *)(void *)out = *(const word *)(const void *)in;
        }
    }
    for (; size > 0; size--) {
        *out++ = *in++;
    }
    return to;
}

PLAIN void *memmove(void *to, const void *from, size_t size) {
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((uintptr_t)to <= (uintptr_t)from || (uintptr_t)to - (uintptr_t)from >= size) {
        return memcpy(to, from, size);
    }
    while (size-- > 0) {
        out[size] = in[size];
    }
    return to;
}

PLAIN void *memset(void *to, int value, size_t size) {
    uint8_t *out = to;
    const uint8_t byte = (uint8_t)value;
    if (((uintptr_t)to & 3u) == 0) {
        const word four = byte * 0x01010101u;
        for (; size >= 4; size -= 4, out += 4) {
            *(word *)(void *)out = four;
        }
    }
    for (; size > 0; size--) {
        *out++ = byte;
    }
    return to;
}

PLAIN int memcmp(const void *a, const void *b, size_t size) {
    const uint8_t *one = a, *other = b;
    for (; size > 0; size--, one++, other++) {
        if (*one != *other) {
            return *one - *other;
        }
    }
    return 0;
}
