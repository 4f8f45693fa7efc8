/* SPDX-License-Identifier: Apache-2.0 */
/* a > b for Arm cores without FPU. NOTE: that of compiler_rt in Zig 0.15 is true for NaN; its a < b is
 * right. */
#ifdef __arm__
__attribute__((pcs("aapcs"))) int __aeabi_fcmplt(float a, float b);
__attribute__((pcs("aapcs"))) int __aeabi_fcmpgt(float a, float b);

int __aeabi_fcmpgt(float a, float b) {
    return __aeabi_fcmplt(b, a);
}
#else
typedef int not_for_this_processor;
#endif
