/*
 * Bare metal: page tables of one's own. A function of the program runs in guest mode, ring 0, over
 * page tables that lie in the program's own memory and that it writes itself; the second-level
 * tables of the hardware confine it to memory that the process has anyway. Mapping, moving or
 * unmapping a page there is a store, and a page fault is the program's own to handle: no kernel
 * code runs. For x86-64 with /dev/kvm, unprivileged; experimental.
 *
 * The function sees the process as it is: code, stack, heap, thread-local variables. System calls
 * are forwarded, at the price of leaving guest mode. Addresses of umpa's window, and no others, may
 * be led elsewhere, to pages of the window: page tables say where a page of the window *is seen*,
 * while its content stays with the page that the host knows it by, its *home*.
 *
 * Functions return 0 or -errno, and leave errno alone.
 *
 * Source of the idea: N. Douglas 2011 (page tables for the process itself); A. Belay et al.,
 * "Dune", OSDI 2012 (by hardware virtualisation).
 */
#ifndef UMPA_VMM_H
#define UMPA_VMM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum umpa_vmm_class {
	UMPA_VMM_NONE,     /* can't be had */
	UMPA_VMM_EMULATED, /* instructions are interpreted: right, and of no use for speed */
	UMPA_VMM_SHADOW, /* the kernel shadows page tables: each change costs what it costs there */
	UMPA_VMM_NATIVE
};

struct umpa_vmm_caps {
	enum umpa_vmm_class level;
	int error;               /* -errno that umpa_vmm_create() would give without flags, of the
				    process as it lies now; 0 */
	unsigned physical_nbits; /* of a guest's physical addresses; 0 if not known */
	unsigned ncpus_max;
	int gib_leaves; /* page tables may have leaves of a GiB */
	char why[96];   /* why not, or ""; for people */
};

/* Whether bare metal can be had, and of what kind. Takes some milliseconds. Thread-safe. */
void umpa_vmm_probe(struct umpa_vmm_caps *caps);

/* Take what is of use for trying things alone: an emulated host, one that shadows page tables, or
 * one whose guests lack instructions that libc uses here; functions must do without those then. */
#define UMPA_VMM_ALLOW_SLOW 0x01u
/* Where there is no machine to be had, functions run outside, as any other: see "blocks" below for
 * what they have then. What would be a fault record ends the program. */
#define UMPA_VMM_ALLOW_HOST 0x02u

#define UMPA_VMM_NCPUS_MAX 1024

struct umpa_vmm_options {
	unsigned flags;
	size_t stack_nbytes;   /* of the function; 0: 1 MiB */
	size_t window_nbytes;  /* of umpa's window, from its begin on; 0: what is in use, and 16 GiB
				*/
	uint64_t time_ns;      /* that a function may take in guest mode; 0: as long as it likes */
	size_t holding_nbytes; /* address space for blocks that are allocated inside; 0: none is
				  set apart */
	size_t frames_nbytes;  /* of the holding, that begin with frames of the pool, as far as it
				  has some; no more than holding_nbytes. 0: what machines before
				  have left there */
	unsigned ncpus; /* functions that may run at a time, each in a thread of its own, and each
			   with so much stack and holding; 0: 1; UMPA_VMM_NCPUS_MAX, or what
			   the host gives (struct umpa_vmm_caps) */
};

struct umpa_vmm;

/*
 * Makes a machine for this process as it is laid out now. options may be NULL. -ENODEV, -EACCES: no
 * /dev/kvm, or it may not be used; -ENOTSUP: it lacks something, the process needs more bits of
 * physical address than it has, or it is slow and that was not allowed, or functions would run
 * outside and a time is set for them; -ENOMEM, also where the machine does not reach that much
 * holding, or there is no memory for page tables, one for every superpage and 129 for every
 * CPU; -EMFILE, -ENFILE; -EINVAL. Thread-safe.
 */
int umpa_vmm_create(struct umpa_vmm **vmm, const struct umpa_vmm_options *options);

/* Ends it; no function may run in it, and no thread use it any more, nor free, resize or ask for
 * blocks of it meanwhile. NULL is fine. Blocks that were allocated inside stay, as functions saw
 * them: they are the program's from then on, as where there is no machine. They are lost, and their
 * memory with them, where umpa_vmm_sync() of all of the holding would refuse, where a function was
 * ended in the middle of an allocation, and where the program has changed pages of the holding
 * outside, by umpa_mprotect(), umpa_mlock() and the like. Other pages of the window are where the
 * host has them. Thread-safe for different machines. */
void umpa_vmm_destroy(struct umpa_vmm *vmm);

enum umpa_vmm_cause {
	UMPA_VMM_FAULT_NONE,
	UMPA_VMM_FAULT_TRAP,     /* an exception of the processor: `vector` */
	UMPA_VMM_FAULT_MEMORY,   /* nothing is behind an address that page tables lead to */
	UMPA_VMM_FAULT_HALT,     /* hlt */
	UMPA_VMM_FAULT_SHUTDOWN, /* page tables or stack are beyond faulting; ip is not known */
	UMPA_VMM_FAULT_TIME,     /* it has taken longer than it may */
	UMPA_VMM_FAULT_BROKEN,   /* what the host does not know how to go on with */
	UMPA_VMM_FAULT_LEFT      /* it has not come back: it runs, or has left by longjmp() or so */
};

struct umpa_vmm_fault {
	enum umpa_vmm_cause cause;
	unsigned vector;  /* 14: page fault, 6: undefined instruction, 13: general protection ... */
	uint64_t code;    /* the processor's error code: for a page fault 1 protection, 2 write, 8
			     reserved bits, 16 execution */
	uint64_t address; /* that was touched: page faults; 0 if not known */
	uint64_t ip, sp;  /* where; 0 if not known */
};

/* What handlers of page faults may call is compiled as they are, into whatever calls it: vectors
 * are the interrupted function's. */
#if defined(__x86_64__) && defined(__GNUC__)
#define UMPA_G_INLINE static inline __attribute__((always_inline, target("general-regs-only")))
#else
#define UMPA_G_INLINE static inline
#endif

/* What the function has inside, for itself. */
struct umpa_guest;

/*
 * Runs fn(guest, arg) in guest mode, on a stack of its own, and gives back in *ret what it
 * returned. 0; -EFAULT: it did what it may not, and *fault, if not NULL, says what: it is over, its
 * stack with it, the program goes on, and the machine can be used again. -ETIMEDOUT: the
 * same where it took too long; time is looked at in guest mode alone, and it is let come to the end
 * of what it does to blocks, up to a second. -EBUSY: as many functions run in it as it has CPUs;
 * -ESTALE: another process made it (fork); -EAGAIN: there is no timer for the limit
 * (RLIMIT_SIGPENDING); -EIO: the host can't go on. Thread-safe: a thread gets
 * the CPU that it had last, where that is free.
 *
 * fn may be left by longjmp(), an exception or pthread_exit(), as any function: umpa_vmm_run() does
 * not come back then, and *fault stays what it is meanwhile, UMPA_VMM_FAULT_LEFT. The program goes
 * on where that led to: inside until it makes a system call, faults, is interrupted, or comes down
 * to the stack that umpa_vmm_run() had; then outside, and the CPU is free. (What functions see and
 * the host does not is out of sight from there on; see umpa_vmm_sync().) Nobody may come back to a
 * function that was left. Of a CPU that was left by longjmp() outside, out of a signal's handler,
 * or by a function that runs outside, the thread learns that it is free when it calls
 * umpa_vmm_run() or umpa_vmm_sync() next. fn may call any code of the program. System calls are
 * made for it, but fork, clone, exec and the like (ENOSYS), and those that would take away what it
 * stands on (EINVAL); memory that the system maps where the machine does not reach is given back at
 * once (ENOMEM). A pointer into the window in a system call means what fn sees there; where that is
 * nothing, or in several places and the call can be made neither with a list of them nor with a
 * copy, EFAULT; so it is where the kernel would write to pages that may not be written (as of calls
 * that umpa knows: no fault handler is asked). Lists, messages and their like are looked into; a
 * pointer in any other structure (of an ioctl, of a socket option) means what is there outside.
 */
int umpa_vmm_run(struct umpa_vmm *vmm, long (*fn)(struct umpa_guest *guest, void *arg), void *arg,
	long *ret, struct umpa_vmm_fault *fault);

/*
 * Makes the host see in [addr, addr + nbytes), whole pages of the window, what functions see there:
 * contents are brought to where they are seen, superpages by carrying their frames, and each page
 * is led home again, open. No function may run. Of pages that led nowhere the content is what was
 * left over. Each page must be led to one of the range, or nowhere, and no two to the same; those
 * that are led elsewhere than home lie in blocks of umpa_alloc(). addr NULL and nbytes 0: all of
 * the holding, of whose blocks parts of each other's are led to. 0; -EINVAL: they are not so: what
 * functions see is as it was, though some of it may be at home by then; -ENOMEM; -EBUSY, -ESTALE,
 * -EIO as umpa_vmm_run(). Thread-safe.
 */
int umpa_vmm_sync(struct umpa_vmm *vmm, void *addr, size_t nbytes);

/* --- inside ---------------------------------------------------------------------------------
 *
 * Legal in fn alone. No call leaves guest mode but umpa_g_flush_others(), and none takes a lock.
 * Addresses are multiples of 4096 in umpa's window. Functions that run at a time see the same page
 * tables: they may change entries of different superpages as they like, and of the same as the
 * program has them agree. A change is seen on other CPUs when what they remember is flushed.
 */

#define UMPA_G_PRESENT  ((uint64_t)1)
#define UMPA_G_WRITABLE ((uint64_t)1 << 1)
#define UMPA_G_ACCESSED ((uint64_t)1 << 5)
#define UMPA_G_DIRTY    ((uint64_t)1 << 6)
#define UMPA_G_LEAF     ((uint64_t)1 << 7) /* of an entry for a superpage: it is no table */
#define UMPA_G_ADDRESS  ((uint64_t)0x000ffffffffff000)
#define UMPA_G_OPEN     (UMPA_G_PRESENT | UMPA_G_WRITABLE | UMPA_G_ACCESSED | UMPA_G_DIRTY)

/* On a page fault in the window: 0 to go on, anything else to fault. It must be compiled for
 * general registers alone (gcc and clang: target("general-regs-only")): others are fn's still. It
 * has a stack of 60 KiB, and faults within it the same, four in all. */
typedef int umpa_g_fault_fn(struct umpa_guest *g, void *addr, uint64_t code, void *arg);

struct umpa_guest {
	uintptr_t base; /* the window */
	size_t nbytes;
	uint64_t physical;      /* where page tables find it */
	uint64_t *superpage;    /* an entry a superpage */
	uintptr_t table_offset; /* from the entry that leads to a table to where it is */
	umpa_g_fault_fn *on_fault;
	void *on_fault_arg;
	struct umpa_holding *holding; /* where blocks are allocated; NULL: none is set apart */
	struct umpa_peers *peers;     /* the machine's CPUs; this is of one: */
	unsigned number;
	unsigned nchanges;       /* of the books of blocks, that are under way */
	uint64_t ninterruptions; /* of other CPUs, that this one's functions have asked for */
};

#ifdef __cplusplus /* these are C's casts */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#endif

/* 1: fn is in guest mode. 0: it runs outside (UMPA_VMM_ALLOW_HOST), and has the functions for
 * blocks at the end of this header alone. */
UMPA_G_INLINE int umpa_g_is_inside(const struct umpa_guest *g)
{
	return g->superpage != NULL;
}

/* The number of the superpage that an address is in, from the window's begin. */
UMPA_G_INLINE size_t umpa_g_superpage_of(const struct umpa_guest *g, const void *addr)
{
	return ((uintptr_t)addr - g->base) >> 21;
}

/* A superpage is made of pages. */
UMPA_G_INLINE int umpa_g_is_split(uint64_t superpage)
{
	return superpage && !(superpage & UMPA_G_LEAF);
}

/* The 512 entries that such a superpage's entry leads to. */
UMPA_G_INLINE uint64_t *umpa_g_table(const struct umpa_guest *g, uint64_t superpage)
{
	return (uint64_t *)(superpage + g->table_offset);
}

/* The entry itself, to be written with one store. level 1: of the superpage, which may be exchanged
 * but not changed where it is split. Level 0: of the page, where its superpage is. */
UMPA_G_INLINE volatile uint64_t *umpa_g_pte(struct umpa_guest *g, const void *addr, int level)
{
	uint64_t *superpage = &g->superpage[umpa_g_superpage_of(g, addr)];

	if (level)
		return superpage;
	return &umpa_g_table(
		g, __atomic_load_n(superpage, __ATOMIC_ACQUIRE))[(uintptr_t)addr >> 12 & 511];
}

/* What this CPU remembers of the page at addr; where its superpage is not split, of all of that. */
UMPA_G_INLINE void umpa_g_flush(const void *addr)
{
#if defined(__x86_64__)
	__asm__ volatile("invlpg (%0)" : : "r"(addr) : "memory");
#else
	(void)addr;
#endif
}

/* All that this CPU remembers. */
UMPA_G_INLINE void umpa_g_flush_all(void)
{
#if defined(__x86_64__)
	uint64_t root;

	__asm__ volatile("mov %%cr3, %0\n\tmov %0, %%cr3" : "=r"(root) : : "memory");
#endif
}

/* All that the machine's other CPUs remember. Costs them an interruption, those that run a function
 * and have not forgotten since: they leave guest mode, and so does this one, to wait for them. */
void umpa_g_flush_others(struct umpa_guest *g);

/* The entry that leads to a page's home; with UMPA_G_LEAF to a superpage's. */
UMPA_G_INLINE uint64_t umpa_g_entry(const struct umpa_guest *g, const void *home)
{
	return ((uintptr_t)home - g->base + g->physical) | UMPA_G_OPEN;
}

/* Where an entry leads to: the home, which the host knows the page by. NULL: nowhere. */
UMPA_G_INLINE void *umpa_g_home_of(const struct umpa_guest *g, uint64_t entry)
{
	return entry & UMPA_G_PRESENT ? (char *)g->base + ((entry & UMPA_G_ADDRESS) - g->physical)
				      : NULL;
}

/* The home of a byte that is seen at addr: what a system call may be given. NULL: nothing is. */
UMPA_G_INLINE void *umpa_g_home(struct umpa_guest *g, const void *addr)
{
	uint64_t entry = __atomic_load_n(umpa_g_pte(g, addr, 1), __ATOMIC_ACQUIRE);
	size_t inside = (uintptr_t)addr & (((size_t)1 << 21) - 1);
	char *home;

	if (umpa_g_is_split(entry)) {
		entry = umpa_g_table(g, entry)[inside >> 12];
		inside &= 4095;
	}
	home = (char *)umpa_g_home_of(g, entry);
	return home ? home + inside : NULL;
}

/* A table of entries for pages, and its end: for the next two. */
uint64_t *umpa_g_begin_table(struct umpa_guest *g);
void umpa_g_end_table(struct umpa_guest *g, uint64_t *table);

/* Makes a superpage consist of pages, which lead where it led. There is nothing to flush, and other
 * CPUs may do the same. */
UMPA_G_INLINE void umpa_g_split(struct umpa_guest *g, const void *addr)
{
	uint64_t *superpage = &g->superpage[umpa_g_superpage_of(g, addr)], *table, i;
	uint64_t led_to = __atomic_load_n(superpage, __ATOMIC_ACQUIRE);

	if (umpa_g_is_split(led_to))
		return;
	table = umpa_g_begin_table(g);
	do {
		for (i = 0; i < 512; i++)
			table[i] = led_to ? (led_to & ~UMPA_G_LEAF) + (i << 12) : 0;
		if (__atomic_compare_exchange_n(superpage, &led_to,
			    (uintptr_t)table - g->table_offset, 0, __ATOMIC_ACQ_REL,
			    __ATOMIC_ACQUIRE))
			return;
	} while (!umpa_g_is_split(led_to));
	umpa_g_end_table(g, table); /* another one was first */
}

/* Leads all of a superpage somewhere, or with 0 nowhere. */
UMPA_G_INLINE void umpa_g_set_superpage(struct umpa_guest *g, const void *addr, uint64_t entry)
{
	volatile uint64_t *superpage = umpa_g_pte(g, addr, 1);
	uint64_t led_to = *superpage;

	*superpage = entry;
	if (umpa_g_is_split(led_to))
		umpa_g_end_table(g, umpa_g_table(g, led_to));
}

/* 1 if a superpage is at addr, all of it within npages. */
UMPA_G_INLINE int umpa_g_is_superpage(const void *addr, size_t npages)
{
	return npages >= 512 && !((uintptr_t)addr & (((size_t)1 << 21) - 1));
}

/* Leads npages from addr on to the pages at home, superpages by one entry where both are. What was
 * seen there is not seen any more: flush, if it may be remembered. */
UMPA_G_INLINE void umpa_g_map(struct umpa_guest *g, void *addr, const void *home, size_t npages)
{
	char *at = (char *)addr;
	const char *from = (const char *)home;

	while (npages) {
		int whole = umpa_g_is_superpage(at, npages) && umpa_g_is_superpage(from, npages);
		size_t n = whole ? 512 : 1;

		if (whole) {
			umpa_g_set_superpage(g, at, umpa_g_entry(g, from) | UMPA_G_LEAF);
		} else {
			umpa_g_split(g, at);
			*umpa_g_pte(g, at, 0) = umpa_g_entry(g, from);
		}
		at += n << 12;
		from += n << 12;
		npages -= n;
	}
}

/* Nothing is seen there: who touches it faults. Flush. */
UMPA_G_INLINE void umpa_g_unmap(struct umpa_guest *g, void *addr, size_t npages)
{
	char *at = (char *)addr;

	while (npages) {
		int whole = umpa_g_is_superpage(at, npages);
		size_t n = whole ? 512 : 1;

		if (whole) {
			umpa_g_set_superpage(g, at, 0);
		} else {
			umpa_g_split(g, at);
			*umpa_g_pte(g, at, 0) = 0;
		}
		at += n << 12;
		npages -= n;
	}
}

/* Writable, or read-only; what is not there stays so. Flush. */
UMPA_G_INLINE void umpa_g_protect(struct umpa_guest *g, void *addr, size_t npages, int writable)
{
	char *at = (char *)addr;

	while (npages) {
		int whole =
			umpa_g_is_superpage(at, npages) && !umpa_g_is_split(*umpa_g_pte(g, at, 1));
		size_t n = whole ? 512 : 1;
		volatile uint64_t *entry;
		uint64_t bits;

		if (!whole)
			umpa_g_split(g, at);
		entry = umpa_g_pte(g, at, whole);
		bits = *entry & ~UMPA_G_WRITABLE;
		*entry = bits && writable ? bits | UMPA_G_WRITABLE : bits;
		at += n << 12;
		npages -= n;
	}
}

/* Exchanges what is seen at n superpages and n others, whatever they are made of. Flush. */
UMPA_G_INLINE void umpa_g_exchange(struct umpa_guest *g, void *a, void *b, size_t n)
{
	volatile uint64_t *x = umpa_g_pte(g, a, 1), *y = umpa_g_pte(g, b, 1);

	for (; n; n--, x++, y++) {
		uint64_t entry = *x;

		*x = *y;
		*y = entry;
	}
}

/* Pages from there on to the end of the superpage. */
UMPA_G_INLINE size_t umpa_g_npages_left(const void *addr)
{
	return 512 - ((uintptr_t)addr >> 12 & 511);
}

/* The same of npages and npages others, which don't overlap: superpages by one entry where both
 * are. Flush. */
UMPA_G_INLINE void umpa_g_exchange_pages(struct umpa_guest *g, void *a, void *b, size_t npages)
{
	char *p = (char *)a, *q = (char *)b;
	size_t n, i;

	for (; npages; npages -= n, p += n << 12, q += n << 12) {
		volatile uint64_t *x, *y;

		if (umpa_g_is_superpage(p, npages) && umpa_g_is_superpage(q, npages)) {
			umpa_g_exchange(g, p, q, npages / 512);
			n = npages / 512 * 512;
			continue;
		}
		n = umpa_g_npages_left(p) < npages ? umpa_g_npages_left(p) : npages;
		n = umpa_g_npages_left(q) < n ? umpa_g_npages_left(q) : n;
		umpa_g_split(g, p);
		umpa_g_split(g, q);
		x = umpa_g_pte(g, p, 0);
		y = umpa_g_pte(g, q, 0);
		for (i = 0; i < n; i++) {
			uint64_t entry = x[i];

			x[i] = y[i];
			y[i] = entry;
		}
	}
}

/* fn, which is asked at each page fault in the window; NULL: none. */
UMPA_G_INLINE void umpa_g_on_fault(struct umpa_guest *g, umpa_g_fault_fn *fn, void *arg)
{
	g->on_fault = fn;
	g->on_fault_arg = arg;
}

#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

/* --- blocks ---------------------------------------------------------------------------------
 *
 * The page API (umpa/page.h, umpa/rewire.h) for fn: the same meanings, flags and errors, errno
 * included, but that UMPA_RESERVE has no effect. In guest mode, with a holding, nothing of it
 * leaves guest mode or takes a lock: a block that is alloc'ed takes the place of one that was
 * freed, and where superpages must move, entries are exchanged; frames that there are not yet come
 * by the kernel's fault. Without a holding, and outside, they are the functions they are named
 * after: so a program gives the same results on any host.
 *
 * Each CPU has a holding. Any function may be given a block of another one's, to use, to free or to
 * resize: it is freed without a lock or an interruption, and is that one's again when it looks for
 * room; where it can't stay as it is it is resized to a place in the holding of who asks, the
 * frames of its superpages with it. umpa_g_realloc() of such a block, where it moves,
 * umpa_g_unback() of superpages, and umpa_g_move() and umpa_g_swap() have other CPUs forget, by
 * umpa_g_flush_others(), where others run. Frames are not balanced between holdings.
 *
 * umpa_g_move() and umpa_g_swap() bring pages by their entries, wherever they lie in blocks of
 * holdings; what is moved in part is led to page by page until umpa_vmm_sync(). Bytes are copied
 * where pages are of other blocks, or protected, and of fewer than 64 where other CPUs would have
 * to be interrupted.
 *
 * A block of a holding stays when the machine ends. Outside it may be freed, resized
 * and asked for its size by the page API, like any. It is at its address inside; for the host,
 * after umpa_vmm_sync(). A pointer into it may be given to system calls as it is: they get the page
 * that is seen. What is seen in several places may be read, written, sent and received, also by
 * lists (readv, sendmsg): up to 4 KiB as a copy, else 1024 places at a time, which of more are done
 * alone, or, where they make a message, none (EFAULT). Of structures and names, up to 4 KiB, calls
 * get a copy; where the place itself matters (futex), and of calls that umpa doesn't know, it must
 * be one (EFAULT). Blocks from umpa_alloc() may be passed, too. Handlers of page faults may call
 * these for blocks of the holding.
 */
void *umpa_g_alloc(struct umpa_guest *g, size_t nbytes, unsigned flags);
void umpa_g_free(struct umpa_guest *g, void *block);
void *umpa_g_realloc(struct umpa_guest *g, void *block, size_t nbytes, unsigned flags);
size_t umpa_g_usable_size(struct umpa_guest *g, const void *block);

/* 0, or -1 and errno. That a range of the holding lies in one block is not looked at. */
int umpa_g_unback(struct umpa_guest *g, void *addr, size_t nbytes);
int umpa_g_move(struct umpa_guest *g, void *dst, void *src, size_t nbytes);
int umpa_g_swap(struct umpa_guest *g, void *a, void *b, size_t nbytes);

#ifdef __cplusplus
}
#endif

#endif
