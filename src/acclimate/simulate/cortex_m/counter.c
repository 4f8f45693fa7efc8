/* SPDX-License-Identifier: Apache-2.0 */
/* Counts what a simulated Arm core executes, and estimates cycles with an in-order pipeline.
 *
 * Unicorn calls `ac_count` before every block of instructions without a branch inside. The counts
 * are exact. The time is a model: an instruction issues when the one before has, and when its
 * operands are there; a core of width 2 issues pairs. `operation` says what each instruction needs;
 * it is made by cycles.py, from the tables cycles_*.toml. */
#include <stddef.h>
#include <stdint.h>

enum { REGISTERS = 49, UNITS = 8 };
enum { ALONE = 1, PIPELINED = 2, JOINS = 4 };

typedef struct {
    uint64_t reads;   /* operands, one bit per register */
    uint64_t address; /* operands that make an address */
    uint64_t late;    /* operands that may come `late_by` cycles after the issue */
    uint64_t writes;
    uint16_t issue;          /* cycles until the next instruction may issue */
    uint16_t result;         /* cycles from then on until an instruction can read what this one wrote */
    uint16_t address_result; /* the same if it needs it for an address */
    uint16_t late_by;
    uint16_t taken; /* cycles more if the next instruction is elsewhere */
    uint8_t unit;   /* what it occupies, 0 for nothing */
    uint8_t flags;
    uint8_t bytes; /* 0 where no instruction begins */
    uint8_t unused[3];
} operation;

typedef struct {
    const operation *operations; /* one per halfword of the code */
    uint64_t *counts;            /* executions, per halfword */
    uint64_t *cycles;            /* per halfword */
    const uint32_t *slots;       /* which slot an instruction begins, 0 for that of its caller */
    uint64_t *slot_counts;
    uint64_t *slot_cycles;
    void (*stop)(void *engine);
    uint64_t limit; /* instructions after which the engine stops */
    uint32_t start; /* of the code */
    uint32_t halfwords;
    uint32_t width;
    uint8_t capacity[UNITS]; /* instructions that a unit takes in one cycle */
    /* state */
    uint32_t slot;
    uint64_t instructions;
    uint64_t time;
    uint64_t group; /* when the youngest instruction issued */
    uint64_t ready[REGISTERS];
    uint64_t ready_address[REGISTERS];
    uint64_t last_writes;
    uint32_t end;  /* of the last block */
    uint32_t last; /* its last instruction */
    uint32_t room; /* instructions that can still join the youngest one */
    uint8_t last_unit;
    uint8_t last_flags;
    uint8_t unused[2];
    uint32_t fault_access; /* kind of the last wrong access to memory, 0 for none */
    uint32_t fault_address;
} counter;

void ac_begin(counter *c, uint32_t address);
void ac_count(void *engine, uint64_t address, uint32_t size, void *user);
int ac_fault(void *engine, int kind, uint64_t address, int size, int64_t value, void *user);
void ac_end(counter *c);

static uint64_t latest(const uint64_t *ready, uint64_t registers) {
    uint64_t time = 0;
    for (; registers != 0; registers &= registers - 1) {
        const uint64_t at = ready[__builtin_ctzll(registers)];
        time = at > time ? at : time;
    }
    return time;
}

static uint64_t operands_ready(const counter *c, const operation *o) {
    const uint64_t a = latest(c->ready, o->reads);
    const uint64_t b = latest(c->ready_address, o->address);
    const uint64_t late = latest(c->ready, o->late);
    const uint64_t d = late > o->late_by ? late - o->late_by : 0;
    const uint64_t ab = a > b ? a : b;
    return ab > d ? ab : d;
}

static int can_join(const counter *c, const operation *o, uint64_t ready) {
    if (c->room == 0 || (o->flags & ALONE) || ready > c->group) {
        return 0;
    }
    return o->unit != c->last_unit || c->capacity[o->unit] > 1;
}

static void spend(counter *c, uint32_t index, uint64_t cycles) {
    c->time += cycles;
    c->cycles[index] += cycles;
    c->slot_cycles[c->slot] += cycles;
}

static void execute(counter *c, uint32_t index, const operation *o) {
    const uint64_t ready = operands_ready(c, o);
    uint64_t issue = o->issue;
    if (can_join(c, o, ready)) {
        c->room--;
        const uint64_t end = c->group + issue;
        spend(c, index, end > c->time ? end - c->time : 0);
    } else {
        /* The address phase of a load or store overlaps the data phase of the load before it. */
        if ((o->flags & JOINS) && (c->last_flags & PIPELINED) && !(o->address & c->last_writes)) {
            issue--;
        }
        c->group = ready > c->time ? ready : c->time;
        c->room = o->flags & ALONE ? 0 : c->width - 1;
        spend(c, index, c->group + issue - c->time);
    }
    for (uint64_t left = o->writes; left != 0; left &= left - 1) {
        const int at = __builtin_ctzll(left);
        c->ready[at] = c->group + issue + o->result;
        c->ready_address[at] = c->group + issue + o->address_result;
    }
    c->last_unit = o->unit;
    c->last_flags = o->flags;
    c->last_writes = o->writes;
}

/* The branch at the end of the last block was taken. */
static void take(counter *c) {
    if (c->last < c->halfwords) {
        spend(c, c->last, c->operations[c->last].taken);
    }
    c->room = 0;
}

/* Before a call of the function at `address`. */
void ac_begin(counter *c, uint32_t address) {
    c->slot = 0;
    c->instructions = c->time = c->group = c->last_writes = 0;
    for (int i = 0; i < REGISTERS; i++) {
        c->ready[i] = c->ready_address[i] = 0;
    }
    c->end = address;
    c->last = c->halfwords;
    c->room = 0;
    c->last_unit = c->last_flags = 0;
    c->fault_access = 0;
}

void ac_count(void *engine, uint64_t address, uint32_t size, void *user) {
    counter *c = user;
    uint32_t index = ((uint32_t)address - c->start) / 2;
    const uint32_t end = index + size / 2;
    if ((uint32_t)address != c->end) {
        take(c);
    }
    c->end = (uint32_t)address + size;
    if (end > c->halfwords || end < index) {
        c->last = c->halfwords;
        return;
    }
    while (index < end && c->operations[index].bytes != 0) {
        const operation *o = &c->operations[index];
        if (c->slots[index] != 0) {
            c->slot = c->slots[index];
        }
        c->instructions++;
        c->counts[index]++;
        c->slot_counts[c->slot]++;
        execute(c, index, o);
        c->last = index;
        index += o->bytes / 2u;
    }
    if (c->instructions > c->limit) {
        c->stop(engine);
    }
}

/* Unicorn calls this for an access outside of the memories, or against their rights. */
int ac_fault(void *engine, int kind, uint64_t address, int size, int64_t value, void *user) {
    counter *c = user;
    (void)engine;
    (void)size;
    (void)value;
    c->fault_access = (uint32_t)kind;
    c->fault_address = (uint32_t)address;
    return 0;
}

/* After the call: its last instruction was a taken branch, to where nothing is counted. */
void ac_end(counter *c) {
    take(c);
}
