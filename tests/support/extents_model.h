/*
 * Extents against a naive model: the state of every slot in an array, looked through from end to
 * end. Each step does one operation on both, picked by numbers, and says what differs.
 */
#ifndef UMPA_TESTS_EXTENTS_MODEL_H
#define UMPA_TESTS_EXTENTS_MODEL_H

#include "numbers.h"
#include "va/extents.h"

enum {
	EXTENTS_MODEL_NSLOTS_MAX = 1024
};

struct extents_model {
	struct umpa_extents extents;
	uint32_t nslots_max; /* grows no further */
	struct umpa_extent tag[EXTENTS_MODEL_NSLOTS_MAX];
	unsigned char state[EXTENTS_MODEL_NSLOTS_MAX];
	uint64_t nsteps;
};

/* Nothing known yet; at most nslots_max later; origin as in struct umpa_extents. */
void extents_model_init(struct extents_model *m, uint32_t nslots_max, uint32_t origin);

/* NULL, or what is wrong: the operation and what it did. */
const char *extents_model_step(struct extents_model *m, struct numbers *numbers);

/* Compares everything, as a step does from time to time. NULL, or what is wrong. */
const char *extents_model_compare(const struct extents_model *m);

#endif
