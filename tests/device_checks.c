/* SPDX-License-Identifier: Apache-2.0 */
/* The part of AddressSanitizer's run-time library that device modules need, stricter than the original: a
 * load or store must lie in memory that the test has given (`checks_allow`), in a constant table, or on the
 * stack near the function that makes it. The first fault is kept for the test to read, and all accesses are
 * counted, so a test can bound the time of a call without a clock. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define UNCHECKED __attribute__((no_sanitize("address", "undefined")))
#define RANGES 4096
#define STACK_BYTES 16384

struct global {
    uintptr_t begin, size, size_with_redzone;
    const char *name, *module;
    uintptr_t dynamic, location, odr;
};

static uintptr_t begins[RANGES], ends[RANGES];
static uint32_t allowed;
static char fault[200];
static uint64_t accesses;

UNCHECKED void checks_allow(uintptr_t begin, uintptr_t size) {
    if (allowed < RANGES) {
        begins[allowed] = begin;
        ends[allowed++] = begin + size;
    }
}

UNCHECKED void checks_reset(uint32_t keep) {
    allowed = keep;
    fault[0] = 0;
    accesses = 0;
}

UNCHECKED uint32_t checks_ranges(void) {
    return allowed;
}

UNCHECKED const char *checks_fault(void) {
    return fault;
}

UNCHECKED uint64_t checks_accesses(void) {
    return accesses;
}

UNCHECKED static void check(uintptr_t at, uintptr_t bytes, const char *what) {
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    accesses++;
    if (at >= here && at + bytes <= here + STACK_BYTES) {
        return;
    }
    for (uint32_t i = 0; i < allowed; i++) {
        if (at >= begins[i] && at + bytes <= ends[i]) {
            return;
        }
    }
    if (fault[0] == 0 && bytes != 0) {
        snprintf(fault, sizeof fault, "%s of %d bytes outside of what the caller gave", what, (int)bytes);
    }
}

void __asan_init(void) {
}

void __asan_version_mismatch_check_v8(void) {
}

UNCHECKED void __asan_register_elf_globals(uintptr_t *flag, void *start, void *stop) {
    (void)flag;
    for (const struct global *g = start; g < (const struct global *)stop; g++) {
        checks_allow(g->begin, g->size);
    }
}

void __asan_unregister_elf_globals(uintptr_t *flag, void *start, void *stop) {
    (void)flag, (void)start, (void)stop;
}

void __asan_handle_no_return(void) {
}

#define CHECKED(bytes)                                                                                       \
    UNCHECKED void __asan_load##bytes(uintptr_t at) {                                                        \
        check(at, bytes, "load");                                                                            \
    }                                                                                                        \
    UNCHECKED void __asan_store##bytes(uintptr_t at) {                                                       \
        check(at, bytes, "store");                                                                           \
    }
CHECKED(1)
CHECKED(2)
CHECKED(4)
CHECKED(8)
CHECKED(16)

UNCHECKED void __asan_loadN(uintptr_t at, uintptr_t bytes) {
    check(at, bytes, "load");
}

UNCHECKED void __asan_storeN(uintptr_t at, uintptr_t bytes) {
    check(at, bytes, "store");
}

UNCHECKED void *__asan_memcpy(void *to, const void *from, uintptr_t bytes) {
    check((uintptr_t)to, bytes, "store");
    check((uintptr_t)from, bytes, "load");
    accesses += bytes;
    for (uintptr_t i = 0; i < bytes; i++) {
        ((volatile char *)to)[i] = ((const volatile char *)from)[i];
    }
    return to;
}

UNCHECKED void *__asan_memset(void *to, int value, uintptr_t bytes) {
    check((uintptr_t)to, bytes, "store");
    accesses += bytes;
    for (uintptr_t i = 0; i < bytes; i++) {
        ((volatile char *)to)[i] = (char)value;
    }
    return to;
}
