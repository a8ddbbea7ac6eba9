/*
 * Untouched spans: whether a program of several threads touches what its large blocks lack.
 *
 * A span lies where most of its frames are already, and what it lacks is moved there. Each move is
 * an interrupt to every processor that runs another of the program's threads, 12 us and more in a
 * virtual machine: where two threads hand out blocks of 1 to 64 MiB and touch nothing, that is nine
 * tenths of all they do, and less is done than by the kernel, which gives addresses alone. So where
 * moves take that long what a span lacks is *left* void now and then, and when it is freed it tells
 * whether it was touched (streak.h). While the streak is on all is left: the kernel's fault for one
 * that is touched after all takes as long as some ten moves.
 *
 * To look at them takes a system call as well, longer than all else. So while all is left most
 * slots are given back unseen, *believed* to be resident, as is allowed of a free slot (space.h),
 * and are the next span's: nothing is asked or moved for it. Some are looked at still, and some
 * blocks are watched. Once one was touched, spans look at what they take, until as many slots were
 * looked at as may be believed wrongly.
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
	LEFT_EACH_MIN = 16,  /* each so manieth that lacks frames is left */
	LEFT_LOOK_EACH = 8,  /* while all are left, each so manieth that ends is looked at */
	LEFT_WATCH_EACH = 4, /* and each so manieth that begins */
	LEFT_WATCH_FOR = 3,  /* when so many more have */
	LEFT_MOVE_NS = 5000  /* where a move takes less it is as soon moved as looked at */
};

/* What a span lacks: a bit for each of its first slots that is void. */
struct umpa_lack {
	uint64_t slots;
	int is_left; /* no frames shall be moved there: umpa_untouched_learn() at the end */
};

/* What the first nslots slots of a grant lack that is left, or that the pool may not have. None
 * where it has, or moves are cheap and nobody wants to know. */
struct umpa_lack umpa_untouched_leave(const struct space_grant *g, uint32_t nslots);

/* A move for a span took so long. */
void umpa_untouched_note_move(uint64_t ns);

/* Some of what was left of a span was touched by its end, or not. */
void umpa_untouched_learn(int touched);

/* 1 if all that spans lack is left, also of the slots that they share. */
int umpa_untouched_all_left(void);

/* While all are left: the grant is a span's from now on, and may be watched: who fills block after
 * block and frees none tells nothing otherwise. */
void umpa_untouched_watch(const struct space_grant *g);

/* 1 if slots that a span lacked, in a row, shall be given back as resident, unseen. */
int umpa_untouched_pass(void);

/* 1 if resident slots had better be looked at when they are taken. */
int umpa_untouched_doubts(void);

/* So many were looked at. */
void umpa_untouched_note_looked(uint32_t nslots);

#endif
