/*
 * Untouched spans: whether a program of several threads touches what its large blocks lack.
 *
 * A span lies where most of its frames are already, and what it lacks is moved there. Each move is
 * an interrupt to every processor that runs another of the program's threads, 12 us and more in a
 * virtual machine: where two threads hand out blocks of 1 to 64 MiB and touch nothing, that is nine
 * tenths of all they do, and less is done than by the kernel, which gives addresses alone. So where
 * moves take that long what a span lacks is *left* void now and then, and when it is freed it tells
 * whether it was touched. Once enough in a row were not, all is left, until one was: the kernel's
 * fault for it takes as long as some ten moves.
 *
 * Any number of threads; what races is a guess that is made again soon.
 */
#ifndef UMPA_CORE_UNTOUCHED_H
#define UMPA_CORE_UNTOUCHED_H

#include "core/space.h"

/* Spans look back on so many of their slots. */
enum {
	LEFT_NSLOTS_MAX = 64
};

enum {
	LEFT_EACH_MIN = 16,   /* each so manieth that lacks frames is left */
	LEFT_EACH_MAX = 4096, /* the less often the more of them were touched */
	LEFT_NROW = 16,       /* after so many in a row that were not, all are */
	LEFT_MOVE_NS = 5000,  /* where a move takes less it is as soon moved as looked at */
	LEFT_SHARE = 4 /* of the slots in use and in the pool, one in so many at most is left: what
			  may be touched yet, with the pool's frames lying elsewhere */
};

/* What a span lacks: a bit for each of its first slots that is void. */
struct umpa_lack {
	uint64_t slots;
	int is_left; /* no frames shall be moved there: umpa_untouched_end() then, for each */
};

/* What the first nslots slots of a grant lack that is left, or that the pool may not have. None
 * where it has, or moves are cheap and nobody wants to know. */
struct umpa_lack umpa_untouched_leave(const struct space_grant *g, uint32_t nslots);

/* A move for a span took so long. */
void umpa_untouched_note_move(uint64_t ns);

enum umpa_untouched {
	LEFT_UNTOUCHED,
	LEFT_TOUCHED,
	LEFT_UNKNOWN /* and nothing is to be learned */
};

/* nslots that were left are a span's no more. */
void umpa_untouched_end(uint32_t nslots, enum umpa_untouched what);

#endif
