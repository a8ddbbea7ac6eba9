/*
 * A shelf against a naive model: every page's owner and whether it was ever handed out, in arrays.
 * Each step does one operation on both, picked by numbers, and says what differs.
 */
#ifndef UMPA_TESTS_SHELF_MODEL_H
#define UMPA_TESTS_SHELF_MODEL_H

#include "frame/shelf.h"
#include "numbers.h"

enum {
	SHELF_MODEL_NSLOTS = 12
};

struct shelf_model {
	struct umpa_shelf shelf;
	struct umpa_run_map map[SHELF_MODEL_NSLOTS];
	int16_t leaf[HEIGHTS_FANOUT], inner[2 * HEIGHTS_FANOUT];
	int16_t pair_leaf[HEIGHTS_FANOUT], pair_inner[2 * HEIGHTS_FANOUT];
	int on_shelf[SHELF_MODEL_NSLOTS];
	uint32_t owner[SHELF_MODEL_NSLOTS]
		      [SLOT_NPAGES]; /* 0: free, 1: a tail, else one number a run */
	unsigned char aside[SHELF_MODEL_NSLOTS][SLOT_NPAGES]; /* a run set aside begins there */
	unsigned char dirty[SHELF_MODEL_NSLOTS][SLOT_NPAGES];
	uint32_t last_owner;
	uint64_t nsteps;
};

void shelf_model_init(struct shelf_model *m);

/* NULL, or what is wrong: the operation and what it did. */
const char *shelf_model_step(struct shelf_model *m, struct numbers *numbers);

/* Compares everything, as a step does from time to time. NULL, or what is wrong. */
const char *shelf_model_compare(const struct shelf_model *m);

#endif
