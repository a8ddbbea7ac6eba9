#include "heap/engine.h"

struct umpa_engine umpa_engine = UMPA_ENGINE_UNKNOWN;

/* Set while this thread is looking for the engine: what it allocates meanwhile can't come from it.
 */
static __thread int finding __attribute__((tls_model("initial-exec")));

/*
 * An IFUNC resolver of another library may call malloc before this library is relocated: no
 * function of libc can be called then. This pointer holds its own address once relocations are
 * done.
 */
static const void *const volatile relocated_mark = (const void *)&relocated_mark;

static int relocated(void)
{
	return relocated_mark == (const void *)&relocated_mark;
}

#define PUBLISH(field, order) __atomic_store_n(&umpa_engine.field, found->field, order)

static void publish(const struct umpa_engine *found)
{
	PUBLISH(calloc, __ATOMIC_RELAXED);
	PUBLISH(realloc, __ATOMIC_RELAXED);
	PUBLISH(free, __ATOMIC_RELAXED);
	PUBLISH(posix_memalign, __ATOMIC_RELAXED);
	PUBLISH(aligned_alloc, __ATOMIC_RELAXED);
	PUBLISH(memalign, __ATOMIC_RELAXED);
	PUBLISH(usable_size, __ATOMIC_RELAXED);
	PUBLISH(mallopt, __ATOMIC_RELAXED);
	PUBLISH(begin, __ATOMIC_RELAXED);
	PUBLISH(end, __ATOMIC_RELAXED);
	PUBLISH(measures, __ATOMIC_RELAXED);
	PUBLISH(learns, __ATOMIC_RELAXED);
	PUBLISH(breaks, __ATOMIC_RELAXED);
	/* Pairs with umpa_engine_known(). */
	PUBLISH(malloc, __ATOMIC_RELEASE);
}

int umpa_engine_start(void)
{
	struct umpa_engine found = {0};
	int ok;

	if (umpa_engine_known())
		return 1;
	if (!relocated() || finding)
		return 0;
	finding = 1;
	ok = umpa_host_find_engine(&found);
	finding = 0;
	if (ok)
		publish(&found);
	return ok;
}
