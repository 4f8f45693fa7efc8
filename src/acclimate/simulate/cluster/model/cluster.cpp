// SPDX-License-Identifier: Apache-2.0
#include "cluster.hpp"

#include <cstring>

Cluster::Cluster(const Config &c)
    : config(c), l1(c.l1_bytes), l2(c.l2_bytes), l3(c.l3_bytes), bank_turn(c.banks), fpu_turn(c.fpus),
      fpu_divider(c.fpus), bank_wanted(c.banks), dma(c.dma_queue),
      udma(c.l3_setup, c.l3_rate),
      races(c.check_races ? c.l1_bytes : 0) {
    // Trap: hand mepc and mcause over and stay.
    rom = {
        0x341022F3, // csrr t0, mepc
        0x34202373, // csrr t1, mcause
        0x1A1003B7, // lui  t2, IO
        0x0053A823, // sw   t0, 16(t2)
        0x0063AA23, // sw   t1, 20(t2)
        0x0000006F, // j    .
    };
}

void Cluster::start(u32 entry, u32 end, u32 stack_low, u32 bytes, u32 host_return) {
    cores.clear();
    for (u32 i = 0; i < config.cores; i++)
        cores.push_back(std::make_unique<Core>(i, entry, config.icache_bytes));
    code_end = end;
    stacks = stack_low;
    stack_bytes = bytes;
    team = (1u << config.cores) - 1;
    marks.assign((end - L2_BASE) / 2 + 1, 0);
    for (u32 at = L2_BASE; at + 4 <= end; at += 2)
        if (u32 w; memcpy(&w, memory(at), 4), is_loop_instruction(w))
            marks[(at - L2_BASE) / 2] |= LOOP;
    marks[(host_return - L2_BASE) / 2] |= END;
    slots = 1;
}

void Cluster::attribute(u32 low, u32 high, u16 slot) {
    for (u32 at = low; at < high && at < code_end; at += 2)
        marks[(at - L2_BASE) / 2] |= (slot + 1) & SLOT;
    slots = slot + 1u > slots ? slot + 1u : slots;
}

void Cluster::call(u32 function, const u32 *arguments) {
    host_call[0] = function;
    memcpy(host_call + 1, arguments, 8 * sizeof(u32));
    host_pending = true;
    stopped = false;
    result = Outcome{};
    for (u16 &mark : marks)
        mark &= u16(~BEGIN);
    marks[(function - L2_BASE) / 2] |= BEGIN;
    counters.assign(u64(slots) * config.cores * EVENTS, 0);
}

void Cluster::run(u64 cycles, Outcome &outcome) {
    const u64 end = now + cycles;
    while (now < end && !stopped)
        cycle();
    if (!stopped) {
        result.status = RUNNING;
        result.cycles = counting ? now - began : 0;
        result.pc = cores[0]->pc;
    }
    outcome = result;
}

u8 *Cluster::memory(u32 address) {
    if (address - L1_BASE < config.l1_bytes)
        return &l1[address - L1_BASE];
    if (address - L2_BASE < config.l2_bytes)
        return &l2[address - L2_BASE];
    return nullptr;
}

void Cluster::fail(u32 status, u32 number, u32 pc, u32 address, u32 value) {
    if (stopped)
        return;
    stopped = true;
    result.status = status;
    result.core = number;
    result.pc = pc;
    result.address = address;
    result.value = value;
    result.cycles = counting ? now - began : 0;
}

void Cluster::cycle() {
    bool awake = !dma.idle() || !udma.idle();
    for (auto &core : cores)
        if (!core->asleep) {
            low(*core);
            awake = true;
        }
    if (config.fpus < config.cores)
        share_fpus();
    share_banks();
    events();
    for (u32 i = 0; i < config.cores; i++) {
        if (cores[i]->asleep)
            continue;
        awake = true;
        finish(i);
    }
    move_dma();
    move_udma();
    now++;
    if (!awake)
        fail(DEADLOCK, 0, cores[0]->pc);
}

// (1) The clock is low: responses of the last cycle arrive.
void Cluster::low(Core &core) {
    Vcore &rtl = core.rtl;
    rtl.clk_i = 0;
    rtl.data_gnt_i = 1;
    rtl.fpu_allow_i = 1;
    rtl.instr_rvalid_i = 0;
    if (core.fetching && --core.fetch_cycles == 0) {
        rtl.instr_rvalid_i = 1;
        rtl.instr_rdata_i = core.fetch_address - ROM_BASE < rom.size() * 4
                                ? rom[(core.fetch_address - ROM_BASE) / 4]
                                : word(core.fetch_address);
        core.fetching = false;
    }
    rtl.instr_gnt_i = !core.fetching;
    if (core.l2_cycles && --core.l2_cycles == 0)
        core.answer = true;
    rtl.data_rvalid_i = core.answer;
    rtl.data_rdata_i = core.answer_data;
    core.answer = false;
    core.fpu_denied = false;
    rtl.eval();
    core.granted = true;
}

// (2) Core i computes in unit i % fpus: one request a cycle, and one division at a time.
void Cluster::share_fpus() {
    const u32 sharers = (config.cores + config.fpus - 1) / config.fpus;
    for (u32 unit = 0; unit < config.fpus; unit++) {
        u32 winner = sharers;
        for (u32 k = 0; k < sharers; k++) {
            const u32 place = (fpu_turn[unit] + k) % sharers, number = unit + place * config.fpus;
            if (number >= config.cores || cores[number]->asleep || !cores[number]->rtl.fpu_req_o)
                continue;
            Core &core = *cores[number];
            const bool busy = core.rtl.fpu_divides_o && fpu_divider[unit] && fpu_divider[unit] != number + 1;
            if (winner == sharers && !busy) {
                winner = place;
                if (core.rtl.fpu_divides_o)
                    fpu_divider[unit] = number + 1;
                continue;
            }
            core.fpu_denied = true;
            core.rtl.fpu_allow_i = 0;
            core.rtl.eval();
        }
        if (winner < sharers)
            fpu_turn[unit] = (winner + 1) % sharers;
        if (fpu_divider[unit] && cores[fpu_divider[unit] - 1]->rtl.fpu_done_o)
            fpu_divider[unit] = 0;
    }
}

// (2) Each L1 bank serves one requester a cycle; the words of the DMA ask like cores.
void Cluster::share_banks() {
    for (u32 i = 0; i < config.cores; i++) {
        Core &core = *cores[i];
        if (core.asleep || !core.rtl.data_req_o)
            continue;
        if (core.l2_cycles) {
            core.granted = false;
            continue;
        }
        const u32 offset = core.rtl.data_addr_o - L1_BASE;
        if (offset < config.l1_bytes && config.banks) {
            const u32 bank = offset >> 2 & (config.banks - 1);
            if (!bank_wanted[bank])
                touched_banks.push_back(bank);
            bank_wanted[bank] |= 1u << i;
        }
    }
    u32 requesters = config.cores;
    for (Port &port : dma.ports) {
        port.words = 0;
        if (!port.moves(now))
            continue;
        port.words = config.dma_bytes / 4;
        port.granted = (1u << port.words) - 1;
        for (u32 k = 0; k < port.words && config.banks; k++) {
            const u32 bank = ((port.queue.front().l1 - L1_BASE) / 4 + k) & (config.banks - 1);
            if (!bank_wanted[bank])
                touched_banks.push_back(bank);
            bank_wanted[bank] |= 1u << (requesters + k);
        }
        requesters += port.words;
    }
    for (u32 bank : touched_banks) {
        u32 wanted = bank_wanted[bank];
        bank_wanted[bank] = 0;
        if (!(wanted & (wanted - 1)))
            continue;
        const u32 later = wanted >> bank_turn[bank] << bank_turn[bank];
        const u32 winner = u32(__builtin_ctz(later ? later : wanted));
        bank_turn[bank] = (winner + 1) % requesters;
        for (wanted &= ~(1u << winner); wanted; wanted &= wanted - 1) {
            const u32 loser = u32(__builtin_ctz(wanted));
            const u32 word = loser - config.cores, first = dma.ports[0].words;
            if (loser < config.cores)
                cores[loser]->granted = false;
            else if (word < first)
                dma.ports[0].granted &= ~(1u << word);
            else
                dma.ports[1].granted &= ~(1u << (word - first));
        }
    }
    touched_banks.clear();
}

// (4) Words that got their bank move, in order up to the first that did not.
void Cluster::move_dma() {
    for (Port &port : dma.ports)
        for (u32 k = 0; k < port.words && (port.granted >> k & 1) && port.moves(now); k++) {
            const Transfer &t = port.queue.front();
            const u32 bytes = ::Dma::piece(t);
            u8 *inner = memory(t.l1), *outer = memory(t.l2);
            if (!inner || !outer || !memory(t.l1 + bytes - 1) || !memory(t.l2 + bytes - 1))
                return fail(external(t.l2) ? IN_L3 : BAD_DMA, t.core, t.pc, inner ? t.l2 : t.l1, !t.to_l1);
            memcpy(t.to_l1 ? inner : outer, t.to_l1 ? outer : inner, bytes);
            dma.advance(port, bytes);
        }
}

// (4) Bytes between L3 and L2; `page` has checked the addresses.
void Cluster::move_udma() {
    u32 at, bytes;
    const Page *p = udma.step(now, at, bytes);
    if (!p)
        return;
    u8 *const inner = &l2[p->l2 - L2_BASE] + at, *const outer = &l3[p->l3 - L3_BASE] + at;
    memcpy(p->to_l2 ? inner : outer, p->to_l2 ? outer : inner, bytes);
    udma.finish(now + 1);
}

// (4) What a core wanted in this cycle happens, or it is told to wait.
void Cluster::finish(u32 number) {
    Core &core = *cores[number];
    Vcore &rtl = core.rtl;
    bool waits = false;
    if (rtl.data_req_o) {
        const Wait wait = rtl.data_we_o ? Wait::NONE : wait_of(rtl.data_addr_o);
        if (wait != Wait::NONE) {
            core.wait = wait;
            core.wait_id = (rtl.data_addr_o & 0xFF) >> 2;
            core.granted = core.granted && wakes(core, number);
            waits = !core.granted;
            if (core.granted) {
                core.answer = true;
                core.answer_data = consume(core, number);
            }
        } else if (core.granted) {
            access(number);
        }
    }
    if (!core.granted) {
        rtl.data_gnt_i = 0;
        rtl.eval();
    }
    const bool sleeps = waits && rtl.sleep_o && !core.fetching;
    if (rtl.issue_o)
        issued(number);
    if (counting) {
        u32 event;
        if (rtl.issue_o)
            event = INSTRUCTIONS;
        else if (waits)
            event = wait_event(core.wait);
        else if (core.l2_cycles && rtl.data_req_o + rtl.load_use_o + rtl.decoding_o)
            event = L2;
        else if (rtl.data_req_o && !core.granted)
            event = CONFLICT;
        else if (core.fpu_denied || rtl.fpu_wait_o)
            event = FPU;
        else if (rtl.load_use_o)
            event = LOAD_USE;
        else if (!rtl.decoding_o)
            event = core.fetching ? FETCH : BRANCH;
        else
            event = rtl.jump_use_o ? LOAD_USE : EXECUTE;
        counter(number, event)++;
        if (rtl.fpu_req_o && !core.fpu_denied)
            counter(number, FPU_OPS)++;
    }
    if (core.check_loop && --core.check_loop == 0)
        check_loops(number);
    const bool fetches = rtl.instr_req_o && rtl.instr_gnt_i;
    const u32 address = rtl.instr_addr_o;
    rtl.clk_i = 1;
    rtl.eval();
    if (fetches) {
        core.fetching = true;
        core.fetch_address = address & ~3u;
        core.fetch_cycles = 1;
        if (config.icache_bytes && !core.icache.hit(address))
            core.fetch_cycles += config.icache_miss;
    }
    if (sleeps && !core.fetching) {
        core.asleep = true;
        core.asleep_since = now + 1;
    }
}

// An instruction leaves the decode stage: profile, start and end of the call, hardware loops.
void Cluster::issued(u32 number) {
    Core &core = *cores[number];
    const u32 pc = core.rtl.pc_o, last = core.pc;
    core.pc = pc;
    const u32 place = (pc - L2_BASE) / 2;
    if (place < marks.size() && marks[place]) {
        const u16 mark = marks[place];
        if ((mark & BEGIN) && number == 0 && !counting) {
            counting = true;
            began = now;
            for (auto &other : cores) {
                other->slot = 0;
                other->asleep_since = now;
            }
        }
        if ((mark & END) && number == 0) {
            flush_sleepers();
            counting = false;
            result.cycles = now - began;
        }
        if (mark & SLOT)
            core.slot = u16((mark & SLOT) - 1);
        if (mark & LOOP) {
            core.check_loop = 2;
            if (core.loop_count(loop_number(word(pc))) != 0)
                fail(BAD_LOOP, number, pc, 0, LOOP_MODIFIED);
        }
    }
    for (u32 loop = 0; loop < 2; loop++) {
        const u32 start = core.loop_start(loop), end = core.loop_end(loop);
        if (core.loop_count(loop) && pc > start && pc < end && (last < start || last >= end))
            fail(BAD_LOOP, number, pc, 0, LOOP_ENTERED);
    }
}

void Cluster::check_loops(u32 number) {
    const Core &core = *cores[number];
    for (u32 loop = 0; loop < 2; loop++) {
        if (!core.loop_count(loop))
            continue;
        const u32 rule = check_body(core.loop_start(loop), core.loop_end(loop),
                                    [this](u32 at) { return word(at); });
        if (rule != LOOP_OK)
            return fail(BAD_LOOP, number, core.pc, 0, rule);
    }
    const bool nested = core.loop_count(0) && core.loop_count(1) &&
                        core.loop_start(0) < core.loop_end(1) && core.loop_start(1) < core.loop_end(0);
    if (nested && core.loop_end(1) < core.loop_end(0) + 8)
        fail(BAD_LOOP, number, core.pc, 0, LOOP_NESTING);
}

void Cluster::flush_sleepers() {
    for (u32 i = 0; i < config.cores; i++) {
        Core &core = *cores[i];
        if (!core.asleep)
            continue;
        counter(i, wait_event(core.wait)) += now - core.asleep_since;
        core.asleep_since = now;
    }
}
