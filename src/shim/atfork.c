/*
 * An engine that has its memory from umpa holds its own locks when it comes here. So fork must take
 * its locks before umpa's, and calls what was registered first last. The engine may be loaded, and
 * register, before umpa's own constructor runs: whoever is the first to register, umpa does so
 * before. pthread_atfork() of a library built with glibc is the second name here; one that was
 * built with a very old glibc, or looks it up as tcmalloc does, uses the first.
 */
#include <pthread.h>

#include "base/compiler.h"
#include "core/fork.h"
#include "shim/next.h"

typedef void phase_fn(void);

int __register_atfork(phase_fn *prepare, phase_fn *parent, phase_fn *child, void *library);

/* A library that is not told stays registered when it is unloaded, as with glibc's. */
public_api int pthread_atfork(phase_fn *prepare, phase_fn *parent, phase_fn *child)
{
	return __register_atfork(prepare, parent, child, NULL);
}

public_api int __register_atfork(
	phase_fn *prepare, phase_fn *parent, phase_fn *child, void *library)
{
	int (*next)(phase_fn *, phase_fn *, phase_fn *, void *);

	umpa_fork_register();
	umpa_find_next("__register_atfork", &next);
	return next(prepare, parent, child, library);
}
