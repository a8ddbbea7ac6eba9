/* Whose memory a process has. */
#ifndef UMPA_SHIM_VFORK_H
#define UMPA_SHIM_VFORK_H

#include <pthread.h>
#include <unistd.h>

/*
 * 1 in a child of vfork(): it has its parent's memory, but limits and rights of its own. libc's
 * idea of which thread this is, which it writes into a lock that it must know the owner of, is its
 * parent's then too.
 */
static inline int umpa_has_parents_memory(void)
{
	pthread_mutex_t m = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	int owner;

	pthread_mutex_lock(&m);
	owner = m.__data.__owner;
	pthread_mutex_unlock(&m);
	return owner != gettid();
}

#endif
