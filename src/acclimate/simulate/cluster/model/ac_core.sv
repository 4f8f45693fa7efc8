// SPDX-License-Identifier: Apache-2.0
// One core of the cluster: CV32E40P with its FPU, a gate on the FPU's requests, and taps for the
// profile. The gate is how FPUs are shared: each core keeps the data path of its own, but a request
// passes only when the C++ arbiter allows it, so timing is that of the shared unit.

module ac_core #(
    parameter ZFINX = 1,
    parameter FPU_LATENCY = 0
) (
    input logic clk_i,
    input logic rst_ni,
    input logic [31:0] hart_id_i,
    input logic [31:0] boot_addr_i,
    input logic [31:0] mtvec_addr_i,

    output logic        instr_req_o,
    input  logic        instr_gnt_i,
    input  logic        instr_rvalid_i,
    output logic [31:0] instr_addr_o,
    input  logic [31:0] instr_rdata_i,

    output logic        data_req_o,
    input  logic        data_gnt_i,
    input  logic        data_rvalid_i,
    output logic        data_we_o,
    output logic [ 3:0] data_be_o,
    output logic [31:0] data_addr_o,
    output logic [31:0] data_wdata_o,
    input  logic [31:0] data_rdata_i,

    input  logic fpu_allow_i,
    output logic fpu_req_o,
    output logic fpu_divides_o,
    output logic fpu_done_o,

    output logic sleep_o,

    // What happens in this cycle, for the profile.
    output logic [31:0] pc_o,
    output logic        issue_o,      // the instruction at pc_o leaves the decode stage
    output logic        decoding_o,   // the decode stage holds an instruction
    output logic        load_use_o,   // it waits for a load
    output logic        jump_use_o,   // it is a jump that waits for its register
    output logic        fpu_wait_o,   // it waits for the FPU

    // Hardware loops, for the check of their rules.
    output logic [1:0][31:0] loop_start_o,
    output logic [1:0][31:0] loop_end_o,
    output logic [1:0][31:0] loop_count_o
);

  import cv32e40p_apu_core_pkg::*;

  logic apu_busy, apu_req, apu_gnt, apu_rvalid, fpu_gnt, fpu_clk;
  logic [   APU_NARGS_CPU-1:0][31:0] apu_operands;
  logic [     APU_WOP_CPU-1:0]       apu_op;
  logic [APU_NDSFLAGS_CPU-1:0]       apu_flags;
  logic [                31:0]       apu_rdata;
  logic [APU_NUSFLAGS_CPU-1:0]       apu_rflags;

  cv32e40p_core #(
      .COREV_PULP      (1),
      .COREV_CLUSTER   (1),
      .FPU             (1),
      .FPU_ADDMUL_LAT  (FPU_LATENCY),
      .FPU_OTHERS_LAT  (0),
      .ZFINX           (ZFINX),
      .NUM_MHPMCOUNTERS(0)
  ) core_i (
      .clk_i,
      .rst_ni,
      .pulp_clock_en_i(1'b1),
      .scan_cg_en_i   (1'b0),
      .boot_addr_i,
      .mtvec_addr_i,
      .dm_halt_addr_i     ('0),
      .hart_id_i,
      .dm_exception_addr_i('0),
      .instr_req_o,
      .instr_gnt_i,
      .instr_rvalid_i,
      .instr_addr_o,
      .instr_rdata_i,
      .data_req_o,
      .data_gnt_i,
      .data_rvalid_i,
      .data_we_o,
      .data_be_o,
      .data_addr_o,
      .data_wdata_o,
      .data_rdata_i,
      .apu_busy_o    (apu_busy),
      .apu_req_o     (apu_req),
      .apu_gnt_i     (apu_gnt),
      .apu_operands_o(apu_operands),
      .apu_op_o      (apu_op),
      .apu_flags_o   (apu_flags),
      .apu_rvalid_i  (apu_rvalid),
      .apu_result_i  (apu_rdata),
      .apu_flags_i   (apu_rflags),
      .irq_i           ('0),
      .irq_ack_o       (),
      .irq_id_o        (),
      .debug_req_i      (1'b0),
      .debug_havereset_o(),
      .debug_running_o  (),
      .debug_halted_o   (),
      .fetch_enable_i(1'b1),
      .core_sleep_o  (sleep_o)
  );

  cv32e40p_clock_gate fpu_clock_gate_i (
      .clk_i,
      .en_i        (apu_req | apu_busy),
      .scan_cg_en_i(1'b0),
      .clk_o       (fpu_clk)
  );

  cv32e40p_fp_wrapper #(
      .FPU_ADDMUL_LAT(FPU_LATENCY),
      .FPU_OTHERS_LAT(0)
  ) fpu_i (
      .clk_i         (fpu_clk),
      .rst_ni,
      .apu_req_i     (apu_req & fpu_allow_i),
      .apu_gnt_o     (fpu_gnt),
      .apu_operands_i(apu_operands),
      .apu_op_i      (apu_op),
      .apu_flags_i   (apu_flags),
      .apu_rvalid_o  (apu_rvalid),
      .apu_rdata_o   (apu_rdata),
      .apu_rflags_o  (apu_rflags)
  );

  assign apu_gnt       = fpu_gnt & fpu_allow_i;
  assign fpu_req_o     = apu_req;
  assign fpu_divides_o = apu_op[3:1] == 3'b010;  // DIV = 4 and SQRT = 5 of fpnew_pkg::operation_e
  assign fpu_done_o    = apu_rvalid;

  assign pc_o         = core_i.pc_id;
  assign issue_o      = core_i.id_stage_i.minstret;
  assign decoding_o   = core_i.id_stage_i.instr_valid_i;
  assign load_use_o   = core_i.id_stage_i.load_stall;
  assign jump_use_o   = core_i.id_stage_i.jr_stall;
  assign fpu_wait_o   = core_i.id_stage_i.apu_stall;
  assign loop_start_o = core_i.hwlp_start;
  assign loop_end_o   = core_i.hwlp_end;
  assign loop_count_o = core_i.hwlp_cnt;

endmodule
