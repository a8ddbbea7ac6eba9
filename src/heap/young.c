#include "heap/young.h"

#include "heap/learn.h"

size_t umpa_young_left, umpa_young_max;

void umpa_young_begin(size_t nbytes)
{
	__atomic_store_n(&umpa_young_max, nbytes, __ATOMIC_RELAXED);
	__atomic_store_n(&umpa_young_left, nbytes, __ATOMIC_RELAXED);
}

int umpa_young_spend(size_t nbytes)
{
	size_t left = __atomic_load_n(&umpa_young_left, __ATOMIC_RELAXED), then;

	do {
		then = nbytes < left ? left - nbytes : 0;
	} while (!__atomic_compare_exchange_n(
		&umpa_young_left, &left, then, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	/* The engine learns from it by itself, until umpa is the one to tell it. */
	if (then)
		umpa_learn_of_block(nbytes);
	return then != 0;
}
