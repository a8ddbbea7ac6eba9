#include "core/streak.h"

static uint32_t each_of(const struct umpa_streak *s, uint32_t each_min)
{
	uint32_t each = __atomic_load_n(&s->each, __ATOMIC_RELAXED);

	return each ? each : each_min;
}

int umpa_streak_is_next(struct umpa_streak *s, uint32_t each_min)
{
	uint32_t row = __atomic_load_n(&s->nuntouched, __ATOMIC_RELAXED);
	uint32_t each = each_of(s, each_min) >> row / STREAK_NROW_DOUBLE;

	return __atomic_add_fetch(&s->nasked, 1, __ATOMIC_RELAXED) % (each ? each : 1) == 0;
}

static int note_touched(struct umpa_streak *s, uint32_t each_min)
{
	uint32_t each = each_of(s, each_min);
	int was_on = umpa_streak_is_on(s);

	__atomic_store_n(&s->nuntouched, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->each, each < STREAK_EACH_MAX ? each * 4 : each, __ATOMIC_RELAXED);
	return was_on;
}

static int note_untouched(struct umpa_streak *s, uint32_t each_min)
{
	uint32_t each = each_of(s, each_min);

	if (umpa_streak_is_on(s))
		return 0;
	__atomic_fetch_add(&s->nuntouched, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&s->each, each > each_min ? each / 2 : each, __ATOMIC_RELAXED);
	return 0;
}

int umpa_streak_note(struct umpa_streak *s, uint32_t each_min, int touched)
{
	return touched ? note_touched(s, each_min) : note_untouched(s, each_min);
}
