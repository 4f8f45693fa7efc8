/* SPDX-License-Identifier: Apache-2.0 */
/* Start of every core: a stack, then core 0 serves the host and the others serve ac_fork. */
    .section .text.start, "ax"
    .globl _start
_start:
    li      t0, 0x6000          /* mstatus.FS: floating point on */
    csrs    mstatus, t0
    csrr    a0, mhartid
    la      t0, ac_stacks
    la      t1, ac_stack_bytes
    addi    t2, a0, 1
    mul     t2, t2, t1
    add     sp, t0, t2
    slli    t2, a0, 4           /* stacks begin in different banks: cores push and pop in step */
    sub     sp, sp, t2
    bnez    a0, 2f
1:  li      s0, 0x1B2000C0      /* wait for a call from the host */
    .insn i 0x0B, 3, s1, 0(s0)  /* cv.elw */
    li      s0, 0x1A100044
    lw      a0, 0(s0)
    lw      a1, 4(s0)
    lw      a2, 8(s0)
    lw      a3, 12(s0)
    lw      a4, 16(s0)
    lw      a5, 20(s0)
    lw      a6, 24(s0)
    lw      a7, 28(s0)
    jalr    s1
    .globl ac_host_return
ac_host_return:
    li      s0, 0x1A100018
    sw      a0, 0(s0)
    j       1b
2:  call    ac_serve
