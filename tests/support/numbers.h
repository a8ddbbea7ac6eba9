/*
 * Numbers that decide what a test does next: from a seed without end, or from a fuzzer's bytes
 * until they are used up.
 */
#ifndef UMPA_TESTS_NUMBERS_H
#define UMPA_TESTS_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

struct numbers {
	uint64_t random;
	const uint8_t *at, *end; /* NULL: random ones */
};

static inline struct numbers numbers_of_seed(uint64_t seed)
{
	return (struct numbers){seed * 2 + 1, NULL, NULL};
}

static inline struct numbers numbers_of_bytes(const uint8_t *bytes, size_t n)
{
	return (struct numbers){1, bytes, bytes + n};
}

/* 1 if there are no more. */
static inline int numbers_end(const struct numbers *s)
{
	return s->at && s->at >= s->end;
}

/* A number below n, which is 1 to 65536. */
static inline uint32_t number_below(struct numbers *s, uint32_t n)
{
	uint32_t x = 0;

	if (!s->at) {
		s->random ^= s->random << 13;
		s->random ^= s->random >> 7;
		s->random ^= s->random << 17;
		return (uint32_t)((s->random * 0x2545f4914f6cdd1du) >> 40) % n;
	}
	for (uint32_t room = 1; room < n && s->at < s->end; room <<= 8)
		x = x << 8 | *s->at++;
	return x % n;
}

/* A number from 1 to max, the small ones more often: each power of two is as likely as the next. */
static inline uint32_t number_up_to(struct numbers *s, uint32_t max)
{
	uint32_t top = 1 + number_below(s, max);

	return 1 + number_below(s, top);
}

#endif
