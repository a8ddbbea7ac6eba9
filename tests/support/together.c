#include "together.h"

#include <pthread.h>

enum {
	NTHREADS_MAX = 8
};

uintptr_t together(unsigned nthreads, void *(*fn)(void *), void *(*last)(void *), uint64_t seed)
{
	pthread_t thread[NTHREADS_MAX];
	uint64_t seeds[NTHREADS_MAX];
	uintptr_t sum = 0;

	for (unsigned i = 0; i < nthreads; i++) {
		seeds[i] = seed + i;
		pthread_create(&thread[i], NULL, i + 1 == nthreads ? last : fn, &seeds[i]);
	}
	for (unsigned i = 0; i < nthreads; i++) {
		void *result;

		pthread_join(thread[i], &result);
		sum += (uintptr_t)result;
	}
	return sum;
}
