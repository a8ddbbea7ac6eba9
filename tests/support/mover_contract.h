/*
 * What every mover must do, as one body of tests: run against the fake mover on the fake OS and
 * against every mover of the kernel. A case is a function that plans and checks, called from a
 * TEST.
 */
#ifndef UMPA_TESTS_MOVER_CONTRACT_H
#define UMPA_TESTS_MOVER_CONTRACT_H

#include <stddef.h>
#include <stdint.h>

#include "os/mover.h"

#define CONTRACT_NSLOTS 16u

/* Who is tested, and on what pages. */
struct contract {
	/* 0, or -errno: the mover can't be had here, and the case is skipped. */
	int (*init)(struct umpa_mover *m, void *window, size_t nbytes);
	/* The program touches: every page has a frame afterwards. */
	void (*touch)(void *addr, size_t nbytes);
	int huge; /* slots are advised huge */
};

/* A window of CONTRACT_NSLOTS opened slots with its mover; setup takes SETUP_NCHECKS checks. */
struct bench {
	struct umpa_mover mover;
	char *window;
	const struct contract *contract;
};

#define SETUP_NCHECKS 3
void contract_setup(struct bench *b, const struct contract *c);
void contract_finish(struct bench *b);

char *bench_slot(const struct bench *b, size_t i);
/* Frames behind the pages, each page with a tag of its own, counted from tag on. */
void bench_fill(const struct bench *b, char *addr, size_t nbytes, uint64_t tag);
/* The pages hold those tags. / The pages have no frame. */
int bench_holds(const char *addr, size_t nbytes, uint64_t tag);
int bench_absent(const char *addr, size_t nbytes);
/* As the rules say after a call that moved so much of [src, src + nbytes), filled with tag. */
int bench_is_moved(const char *dst, const char *src, size_t nbytes, size_t moved, uint64_t tag);
int bench_move(struct bench *b, char *dst, char *src, size_t nbytes, unsigned flags, size_t *moved);

#define CONTRACT_CASES(X)                                                                          \
	X(content_follows)                                                                         \
	X(source_can_be_used_again)                                                                \
	X(several_slots_in_one_call)                                                               \
	X(ends_of_the_window)                                                                      \
	X(back_and_forth)                                                                          \
	X(occupied_destination_is_refused)                                                         \
	X(occupied_later_destination_stops)                                                        \
	X(empty_source_is_refused)                                                                 \
	X(empty_later_source_stops)                                                                \
	X(holes_are_left_out)                                                                      \
	X(hole_stops)                                                                              \
	X(unbacked_destination_takes_again)                                                        \
	X(single_pages)                                                                            \
	X(renewed_parts_move)                                                                      \
	X(unaligned_ends)                                                                          \
	X(rotation_of_all_slots)

#define DECLARE(name) void contract_##name(const struct contract *c);
CONTRACT_CASES(DECLARE)
#undef DECLARE

#endif
