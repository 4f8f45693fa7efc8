/* SPDX-License-Identifier: Apache-2.0 */
/* The part of AddressSanitizer's run-time library that static arrays need. `zig cc` writes the checks
 * but ships no library; generated code has no heap, and its locals are checked by UBSan. Every load and
 * store calls in here (-asan-instrumentation-with-call-threshold=0): an address in the red zone after a
 * static array ends the program. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct global {
    uintptr_t begin, size, size_with_redzone;
    const char *name, *module;
    uintptr_t dynamic, location, odr;
};

static const struct global *ranges[64];
static size_t counts[64], registered;

void __asan_init(void) {
}

void __asan_version_mismatch_check_v8(void) {
}

void __asan_register_elf_globals(uintptr_t *flag, void *start, void *stop) {
    (void)flag;
    ranges[registered] = start;
    counts[registered++] = (size_t)((struct global *)stop - (struct global *)start);
}

void __asan_unregister_elf_globals(uintptr_t *flag, void *start, void *stop) {
    (void)flag, (void)start, (void)stop;
}

void __asan_handle_no_return(void) {
}

static void check(uintptr_t at, uintptr_t bytes, const char *what) {
    for (size_t r = 0; r < registered; r++) {
        for (size_t i = 0; i < counts[r]; i++) {
            const struct global *g = &ranges[r][i];
            const int inside = at >= g->begin && at < g->begin + g->size_with_redzone;
            if (inside && at + bytes > g->begin + g->size) {
                fprintf(stderr, "%s of %d bytes %d past the end of %s\n", what, (int)bytes,
                        (int)(at - g->begin - g->size), g->name);
                abort();
            }
        }
    }
}

#define CHECKED(bytes)                                                                                       \
    void __asan_load##bytes(uintptr_t at) {                                                                  \
        check(at, bytes, "load");                                                                            \
    }                                                                                                        \
    void __asan_store##bytes(uintptr_t at) {                                                                 \
        check(at, bytes, "store");                                                                           \
    }
CHECKED(1)
CHECKED(2)
CHECKED(4)
CHECKED(8)
CHECKED(16)

void __asan_loadN(uintptr_t at, uintptr_t bytes) {
    check(at, bytes, "load");
}

void __asan_storeN(uintptr_t at, uintptr_t bytes) {
    check(at, bytes, "store");
}

void *__asan_memcpy(void *to, const void *from, uintptr_t bytes) {
    check((uintptr_t)to, bytes, "store");
    check((uintptr_t)from, bytes, "load");
    for (uintptr_t i = 0; i < bytes; i++) {
        ((char *)to)[i] = ((const char *)from)[i];
    }
    return to;
}

void *__asan_memset(void *to, int value, uintptr_t bytes) {
    check((uintptr_t)to, bytes, "store");
    for (uintptr_t i = 0; i < bytes; i++) {
        ((char *)to)[i] = (char)value;
    }
    return to;
}
