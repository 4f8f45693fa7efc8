// SPDX-License-Identifier: Apache-2.0
// What Python calls.
#include "cluster.hpp"

extern "C" {

Cluster *cluster_new(const Config *config) { return new Cluster(*config); }

void cluster_delete(Cluster *cluster) { delete cluster; }

u8 *cluster_memory(Cluster *cluster, u32 address) {
    u8 *const at = cluster->memory(address);
    return at ? at : cluster->external(address);
}

void cluster_start(Cluster *cluster, u32 entry, u32 code_end, u32 stacks, u32 stack_bytes, u32 host_return) {
    cluster->start(entry, code_end, stacks, stack_bytes, host_return);
}

void cluster_attribute(Cluster *cluster, u32 low, u32 high, u32 slot) {
    cluster->attribute(low, high, u16(slot));
}

void cluster_call(Cluster *cluster, u32 function, const u32 *arguments) { cluster->call(function, arguments); }

void cluster_run(Cluster *cluster, u64 cycles, Outcome *outcome) { cluster->run(cycles, *outcome); }

const u64 *cluster_counters(Cluster *cluster) { return cluster->counters.data(); }

u32 cluster_slots(Cluster *cluster) { return cluster->slots; }
}
