/*
 * The core's state, shared by its parts: one per process.
 *
 * A slot is in one of these states, and each state has one owner:
 *	behind the frontier   the window
 *	free                  the space (space.h): its extents, void or resident
 *	on a shelf            the shard whose shelf it is (shard.h)
 *	in a span             the span's block (span.h), recorded at the span's first slot
 *	in a span freed       the shard whose list it is in (recent.h), recorded likewise
 *	in mappings           the mmap family (mm/pages.h), all of it or pages of it
 *	in transit            the call that took it from the space, until it gives it back
 * The record of a slot says which of the used states it is in; free slots, slots in transit and the
 * inner slots of a span say SLOT_INNER.
 *
 * Locks, in order: mapping < init < shelf (of a shard) < space < outside (os/lock.h). Each part's
 * header says what its lock guards. A block's own record (npages, nslots, ntail, nhead) is guarded
 * by its owner: two threads must not free or resize one block at once.
 */
#ifndef UMPA_CORE_CORE_H
#define UMPA_CORE_CORE_H

#include <umpa/page.h>

#include "core/books.h"
#include "core/streak.h"
#include "core/surplus.h"
#include "frame/bins.h"
#include "frame/inbox.h"
#include "frame/shelf.h"
#include "os/lock.h"
#include "os/mover.h"
#include "os/os.h"
#include "va/extents.h"
#include "va/window.h"

enum slot_use {
	SLOT_INNER,
	SLOT_SHELF,  /* holds runs, and the tail of a span perhaps */
	SLOT_SPAN,   /* a span begins here */
	SLOT_RECENT, /* one did, and was freed: recent.h */
	SLOT_MAPPED, /* all its pages belong to mappings (mm/pages.h); from here on no blocks */
	SLOT_PART_MAPPED, /* some of them do: on the mappings' shelf */
};

struct slot_record {
	uint32_t use;    /* atomic: misuse is told from it without a lock */
	uint32_t shard;  /* SLOT_SHELF: whose shelf; mapped: whose shard (mm/pages.h). atomic */
	uint32_t nslots; /* SLOT_SPAN: whole slots held, room for growth included */
	uint16_t ntail;  /* SLOT_SPAN: pages in the slot behind those, shared with runs */
	uint16_t nhead;  /* pages in the slot before, shared with runs; 0 if no span. atomic */
	uint64_t npages; /* SLOT_SPAN: pages of the block, without its head */
	uint64_t lack;   /* SLOT_SPAN: which of its first slots were handed out void, as far as that
			    is of interest (untouched.h) */
	uint32_t marked; /* a block that begins here may have unlike pages (block.h). atomic */
	int is_left;     /* SLOT_SPAN: the pool could have filled what it lacks; mapped: a mark of
			    mm/left.h, atomic then */
};

enum {
	RECENT_NSPANS = 8
};

/* Spans freed lately (recent.h), the last one at the end. */
struct umpa_recent {
	struct slot span[RECENT_NSPANS];
	uint32_t n; /* atomic: looked at without the lock */
	uint32_t nslots;
};

/* Two cache lines, which are fetched together, as shards are different threads'. */
enum {
	SHARD_ALIGN = 128
};

struct umpa_shard {
	struct umpa_lock lock; /* guards all below but the inbox, and the run maps of the shelf's
				  slots */
	unsigned number;
	struct umpa_shelf shelf;
	uint64_t nallocs, nfrees, block_npages;
	uint64_t nslots_in_place;          /* of the list below. atomic */
	uint64_t nmappings, mapped_npages; /* its threads have mapped, less ended. atomic */
	struct umpa_recent recent;
	struct umpa_span_books spans;
	uint64_t uneven_npages;    /* of the last span that left much of its last slot. atomic */
	uint32_t naside_looked_at; /* pages set aside that the nursery's idle ones may be beside */
	unsigned nidle_max; /* idle pages a slot of the nursery may have; 0: not decided yet */
	struct umpa_run
		idle_given; /* the longest row that went to the kernel last; npages 0: none */
	uint64_t idle_given_ns;
	struct umpa_inbox inbox; /* the shelf's runs that threads of other shards have freed */
	struct umpa_bins bins;   /* and those that were freed lately */
} __attribute__((aligned(SHARD_ALIGN)));

struct umpa_space {
	struct umpa_lock lock; /* guards all below, and the window's frontier */
	struct umpa_extents extents;
	uint32_t ntransit; /* calls that hold slots in transit */
	uint32_t nresting; /* forks that wait for those, and that no others begin before */
	uint32_t nused;    /* slots that are not free. atomic */
	uint32_t npool;    /* resident free slots, counted when nused was. atomic */
	uint64_t npooled;  /* resident slots that became free, on the whole */
	struct umpa_surplus surplus;
	/* Looked at all the time without the lock, and hardly ever written. */
	uint32_t nnursery __attribute__((aligned(64))); /* slots at the window's front that are for
							   runs only */
	uint32_t nnursery_used; /* of those, handed out so far; they never come back. atomic */
	int locked;    /* opened memory gets frames at once (mlockall): open no more than needed */
	int over;      /* the pool holds more than it may: umpa_pool_keep_limit() acts. atomic */
	int grown;     /* slots were handed out that the kernel fills: umpa_idle_give_for_growth()
			  acts. atomic */
	int has_given; /* surplus.ngiven is not 0. atomic */
};

/* What is left void of spans (untouched.h). All atomic. */
struct umpa_left_void {
	uint32_t move_ns;  /* that a move takes */
	uint32_t ndoubted; /* resident slots to look at, as they may be void */
	uint32_t nbegun;   /* spans while all were left */
	uint32_t nended;   /* rows of slots that such lacked */
	uint32_t watched;  /* the first slot of one, bare when it began, plus 1; 0: none */
	struct umpa_streak streak;
};

enum mover_state {
	MOVER_UNDECIDED,
	MOVER_CHOSEN
};

/* Counters of events off the locked paths; atomic, relaxed. */
struct umpa_events {
	uint64_t nreallocs_in_place, nreallocs_moved;
	uint64_t nslots_moved, nmove_calls, nmoves_refused, nslots_copied, nslots_from_kernel;
	uint64_t cleared_nbytes, trimmed_nbytes;
};

/* Each group begins a cache line: what is read all the time is not on one that others write. */
struct umpa_core {
	struct umpa_window window;
	struct umpa_os_machine machine;
	struct slot_record *record; /* per slot */
	struct umpa_run_map *map;   /* per slot */
	struct umpa_shard *shards;  /* nshards of them, and behind them their heights */
	size_t shards_nbytes;
	unsigned nshards;
	int huge;             /* huge pages may be behind slots */
	uint32_t keep_nslots; /* option keep; UINT32_MAX: auto */
	int mover_state; /* atomic, enum mover_state; mover is constant once it is MOVER_CHOSEN */
	struct umpa_mover mover __attribute__((aligned(SHARD_ALIGN)));
	struct umpa_space space __attribute__((aligned(SHARD_ALIGN)));
	struct umpa_events events __attribute__((aligned(SHARD_ALIGN)));
	struct umpa_left_void left_void;
	/* A bit for each shard that may have spans or runs freed lately. Set by who puts the first
	 * one in, cleared by umpa_recent_flush() alone: where sizes repeat nobody writes this line.
	 * atomic */
	uint64_t recent_shards __attribute__((aligned(SHARD_ALIGN)));
};

extern struct umpa_core umpa_core;

/* Makes umpa ready if it is not. After it, umpa_core.window may be empty (nbytes 0), if none can be
 * had: then the kernel serves every block. */
void umpa_core_start(void);
extern int umpa_core_started; /* atomic */

static inline int umpa_core_is_started(void)
{
	/* Pairs with the release store at the end of umpa_core_start(). */
	return likely(__atomic_load_n(&umpa_core_started, __ATOMIC_ACQUIRE));
}

static inline void umpa_core_need(void)
{
	if (!umpa_core_is_started())
		umpa_core_start();
}

/* More than the machine's memory: whether that is to be had the kernel shall say, which refuses it
 * as a rule, and which the window's address space does not ask. umpa is started before. */
static inline int umpa_core_is_beyond(size_t nbytes)
{
	return nbytes > umpa_core.machine.memory_nbytes;
}

/* The program limits its address space to so much: the window keeps what is in use of it, or a
 * quarter of that. Where umpa is not started there is nothing to do yet. */
void umpa_core_heed_limit(size_t as_limit_nbytes);

/* The system has refused nbytes of address space. If that is limited, the window gives up what is
 * not in use, for good. 1: it has; the system may be asked again. */
int umpa_core_yield(size_t nbytes);

/* Forgets everything and gives all memory back; no block may be in use. For tests. */
void umpa_core_stop(void);

static inline struct umpa_shard *umpa_shard(unsigned i)
{
	return &umpa_core.shards[i];
}

static inline void event_add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static inline void *slot_address(struct slot s)
{
	return umpa_window_at(&umpa_core.window, s, 0);
}

static inline void *page_address(struct slot s, size_t npages)
{
	return umpa_window_at(&umpa_core.window, s, npages);
}

static inline enum slot_use slot_use(struct slot s)
{
	return __atomic_load_n(&umpa_core.record[s.i].use, __ATOMIC_RELAXED);
}

/* Pages that a span which begins at this slot has in the slot before. For the owner of either. */
static inline unsigned slot_nhead(struct slot s)
{
	return s.i < umpa_window_nslots_open(&umpa_core.window)
		       ? __atomic_load_n(&umpa_core.record[s.i].nhead, __ATOMIC_RELAXED)
		       : 0;
}

static inline void slot_set_nhead(struct slot s, unsigned nhead)
{
	__atomic_store_n(&umpa_core.record[s.i].nhead, (uint16_t)nhead, __ATOMIC_RELAXED);
}

/* Of a slot on a shelf, or a mapped one. */
static inline unsigned slot_shard(struct slot s)
{
	return __atomic_load_n(&umpa_core.record[s.i].shard, __ATOMIC_RELAXED);
}

static inline void slot_set_shard(struct slot s, unsigned shard)
{
	__atomic_store_n(&umpa_core.record[s.i].shard, shard, __ATOMIC_RELAXED);
}

/* Of a mapped slot. */
static inline int slot_left(struct slot s)
{
	return __atomic_load_n(&umpa_core.record[s.i].is_left, __ATOMIC_RELAXED);
}

static inline void slot_set_left(struct slot s, int mark)
{
	__atomic_store_n(&umpa_core.record[s.i].is_left, mark, __ATOMIC_RELAXED);
}

static inline int slot_in_nursery(struct slot s)
{
	return s.i < umpa_core.space.nnursery;
}

static inline void slot_set_use(struct slot s, enum slot_use use)
{
	__atomic_store_n(&umpa_core.record[s.i].use, use, __ATOMIC_RELAXED);
}

#endif
