/* The ways into guest mode, and out of it by ports (vmm/guest.h). */
#include "vmm/guest.h"

	.text

	.globl umpa_guest_enter
	.hidden umpa_guest_enter
	.type umpa_guest_enter, @function
umpa_guest_enter:
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
