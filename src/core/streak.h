/*
 * Streaks: whether a program touches what it is handed out, told by few. Each so manieth is one to
 * tell by: it is handed out without frames, and when it ends these tell whether it was touched.
 * After enough in a row that were not, the streak is on, until one was. Those to tell by are the
 * fewer the more of them were touched, and the more the longer the row.
 *
 * Any number of threads; what races is a guess that is made again soon. All zero is a streak of
 * which nothing is known.
 */
#ifndef UMPA_CORE_STREAK_H
#define UMPA_CORE_STREAK_H

#include <stdint.h>

enum {
	STREAK_EACH_MAX = 4096, /* the less often the more of them were touched */
	STREAK_NROW = 16,       /* the streak is on after so many in a row that were not */
	STREAK_NROW_DOUBLE = 3, /* and after so many twice as many as before are to tell by */
};

/* All atomic. */
struct umpa_streak {
	uint32_t nasked;     /* that could have been one to tell by */
	uint32_t each;       /* of which so manieth is; 0: not decided yet */
	uint32_t nuntouched; /* in a row */
};

/* 1 if it is on. */
static inline int umpa_streak_is_on(const struct umpa_streak *s)
{
	return __atomic_load_n(&s->nuntouched, __ATOMIC_RELAXED) >= STREAK_NROW;
}

/* 1 if this is one to tell by; each_min: at most each so manieth is, a power of two. */
int umpa_streak_is_next(struct umpa_streak *s, uint32_t each_min);

/* What it told. 1: that ends the streak. */
int umpa_streak_note(struct umpa_streak *s, uint32_t each_min, int touched);

#endif
