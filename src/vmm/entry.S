/* The ways into guest mode, and out of it: by ports (vmm/guest.h), and for good. */
#include "vmm/guest.h"
#include "vmm/left.h"

	.text

/* Calls umpa_vmm_run_apart() further down the stack, a page at least of which is nobody's, with a
 * sixth argument: where the frame pointer is. That page gets it too, which says that this call is
 * not over; and faults where it is hidden, from a function that has left, and runs another. */
	.globl umpa_vmm_run
	.type umpa_vmm_run, @function
umpa_vmm_run:
	.cfi_startproc
	push	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp, -16
	mov	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	push	%rbx
	.cfi_offset %rbx, -24
	push	%r12
	.cfi_offset %r12, -32
	push	%r13
	.cfi_offset %r13, -40
	push	%r14
	.cfi_offset %r14, -48
	push	%r15
	.cfi_offset %r15, -56
	sub	$4096, %rsp
	and	$-4096, %rsp
	mov	%rbp, (%rsp)
	mov	%rbp, %r9
	call	umpa_vmm_run_apart
	lea	-LEFT_SAVED_NBYTES(%rbp), %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	.cfi_def_cfa %rsp, 8
	ret
	.cfi_endproc
	.size umpa_vmm_run, . - umpa_vmm_run

/* Goes on outside: registers of a trap (RDI); before that what is in the other ones (RSI, or none),
 * by XRSTOR of these parts (RDX), or FXRSTOR where there are none; and gives the CPU back (RCX). */
	.globl umpa_left_go_on
	.hidden umpa_left_go_on
	.type umpa_left_go_on, @function
umpa_left_go_on:
	test	%rsi, %rsi
	jz	2f
	mov	%edx, %eax
	shr	$32, %rdx
	mov	%edx, %r8d
	or	%eax, %r8d
	jz	1f
	xrstor64 (%rsi)
	jmp	2f
1:
	fxrstor64 (%rsi)
2:
	mov	%rdi, %rsp
	movq	$0, (%rcx)
	jmp	go_on

	.globl umpa_guest_enter
	.hidden umpa_guest_enter
	.type umpa_guest_enter, @function
umpa_guest_enter:
	.cfi_startproc
	.cfi_def_cfa %rbp, 16 /* of umpa_vmm_run(), so that an exception finds who called that */
	.cfi_offset %rbp, -16
	.cfi_offset %rbx, -24
	.cfi_offset %r12, -32
	.cfi_offset %r13, -40
	.cfi_offset %r14, -48
	.cfi_offset %r15, -56
	test	$GUEST_ENTER_HIDES, %cl
	jz	1f
	push	%rdi
	push	%rsi
	push	%rdx
	push	%rcx
	call	umpa_guest_hide
	pop	%rcx
	pop	%rdx
	pop	%rsi
	pop	%rdi
1:
	test	$GUEST_ENTER_FORGETS, %cl
	jz	1f
	mov	%cr3, %rax
	mov	%rax, %cr3
1:
	test	$GUEST_ENTER_ROUNDS, %cl
	jz	2f
	ldmxcsr	%gs:GUEST_MXCSR
	fldcw	%gs:GUEST_FCW
2:
	call	*%rdx
	out	%al, $GUEST_PORT_DONE
	ud2
	.cfi_endproc

/* Where a `syscall` goes. It has changed RCX, the way back, and R11 alone, and so does this: the red
 * zone below the stack stays. */
	.globl umpa_guest_call
	.hidden umpa_guest_call
	.type umpa_guest_call, @function
umpa_guest_call:
	out	%al, $GUEST_PORT_CALL
	jmp	*%rcx

/* Where it goes on after that if page tables were changed meanwhile. */
	.globl umpa_guest_call_forgets
	.hidden umpa_guest_call_forgets
	.type umpa_guest_call_forgets, @function
umpa_guest_call_forgets:
	mov	%cr3, %r11
	mov	%r11, %cr3
	jmp	*%rcx

	.globl umpa_guest_interrupt
	.hidden umpa_guest_interrupt
	.type umpa_guest_interrupt, @function
umpa_guest_interrupt:
	out	%al, $GUEST_PORT_FLUSH
	mov	%cr3, %rax
	mov	%rax, %cr3
	ret

/* A trap comes in on a stack of its own. Some vectors have an error code, the others get one. */
	.globl umpa_guest_traps
	.hidden umpa_guest_traps
	.type umpa_guest_traps, @function
	.balign 16
umpa_guest_traps:
	vector = 0
	.rept	GUEST_NVECTORS
	.balign 16
	.if	vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 && vector != 29 && vector != 30
	push	$0
	.endif
	push	$vector
	jmp	trap
	vector = vector + 1
	.endr

trap:
	push	%rdi
	push	%rsi
	push	%rdx
	push	%rcx
	push	%rax
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %rdi
	cld
	call	umpa_guest_trap
go_on:
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rsi
	pop	%rdi
	add	$16, %rsp
	iretq
	.section .note.GNU-stack, "", @progbits
