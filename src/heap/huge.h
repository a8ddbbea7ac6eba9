/*
 * Huge pages behind glibc's heap, once that is large.
 *
 * glibc's small blocks lie below the program break, which it raises by 132 KiB at a time: of a heap
 * of 100 MiB each page is a fault, dense as it is. glibc has huge pages there only if it is told to
 * before the program starts (glibc.malloc.hugetlb), and then a small process has a superpage, too.
 * So umpa looks after it: once the heap takes 24 MiB it is told to raise the break by a quarter of
 * that at a time, so that it ends where a superpage does, and what it has raised it by is advised
 * for huge pages before it is used. What was there before stays as it is: no process below 24 MiB
 * has any of this, and one above has at most a superpage at its heap's end that it does not fill.
 *
 * That holds where the program writes to what it allocates. One that hardly does, to buffers of 30
 * KB say, would have eight times what it has. So before a step is advised the one before is looked
 * at: its first superpage has base pages in any case, and seven of eight must have frames.
 *
 * To see that the break has changed takes a look at libc's own variable. Until the heap is large
 * that is done where it costs nothing: where pages are asked for, or a block freed that begins at a
 * page. Then small requests come by the slow functions, too (heap.h), which is fifteen instructions
 * each.
 *
 * When the break comes down again more is being freed, and what the heap has ahead goes back, too:
 * so it keeps no more than glibc would. Left alone is a heap that is not glibc's, that somebody has
 * tuned (learn.h), that has huge pages by glibc's own doing, or must not take memory ahead of need
 * (a limit, strict overcommit, memory that is locked), and one whose program asks by malloc_trim()
 * for memory rather than speed.
 *
 * Lock-free: relaxed atomics but for the order of stopping, and advice that may be given twice.
 * Keeps errno.
 */
#ifndef UMPA_HEAP_HUGE_H
#define UMPA_HEAP_HUGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "heap/engine.h"

#define HUGE_HEAP_NBYTES_MIN ((size_t)24 << 20)

/* What glibc keeps at its heap's end when it trims by itself, DEFAULT_TOP_PAD. */
#define HUGE_PAD_NBYTES ((size_t)128 << 10)

/* Where libc keeps the break, and the break as it was seen last. NULL: nothing is looked at, not
 * yet or no more. */
extern within_library const uintptr_t *umpa_huge_at;
extern within_library uintptr_t umpa_huge_seen;

/* umpa may act, and the engine has no heap yet. */
void umpa_huge_start(void);

/* For good: the heap is what it would have been. Result: 1 if it may have memory ahead that only a
 * trim gives back. Waits for the engine's lock. */
int umpa_huge_stop(void);

/* The same by the next request. For calls that take no lock without umpa, and may so be made by a
 * signal handler, or in a child of _Fork() while the heap is locked for ever. */
void umpa_huge_stop_soon(void);

/* What the heap is to have at its end beyond what glibc would keep there. */
size_t umpa_huge_ahead_nbytes(void);

void umpa_huge_look_closer(const uintptr_t *at);

/* Has the heap grown? */
static inline void umpa_huge_look(void)
{
	const uintptr_t *at = __atomic_load_n(&umpa_huge_at, __ATOMIC_RELAXED);

	if (at && unlikely(__atomic_load_n(at, __ATOMIC_RELAXED) !=
			   __atomic_load_n(&umpa_huge_seen, __ATOMIC_RELAXED)))
		umpa_huge_look_closer(at);
}

#endif
