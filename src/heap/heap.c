/* Where a request goes when it is not plainly small: the slow halves of the malloc family. */
#include "heap/heap.h"

#include <stdint.h>

#include "core/core.h"
#include "core/options.h"
#include "core/page.h"
#include "core/pool.h"
#include "core/space.h"
#include "core/sparse.h"
#include "heap/huge.h"
#include "heap/learn.h"
#include "heap/prove.h"

#define FIRST_NBYTES_MAX ((size_t)128 << 10)

size_t umpa_heap_min, umpa_heap_plain;
int umpa_heap_had_first;

enum route {
	TO_UMPA,
	TO_ENGINE,
	TO_BOOT, /* there is no engine yet, and this very call may be part of finding it */
};

/* The threshold once umpa may act; 0 while it is too early to say. */
static size_t decide_min(void)
{
	switch (umpa_host_consent()) {
	case UMPA_CONSENT_GIVEN:
		__atomic_store_n(&umpa_pool_sheds, 1, __ATOMIC_RELAXED);
		return umpa_option(OPTION_malloc_min);
	case UMPA_CONSENT_NEVER:
		return SIZE_MAX;
	default:
		return 0;
	}
}

void umpa_heap_look_from(size_t nbytes)
{
	size_t min = __atomic_load_n(&umpa_heap_min, __ATOMIC_RELAXED);

	/* Pairs with umpa_heap_is_small(): the engine and the threshold are set before it. */
	__atomic_store_n(&umpa_heap_plain, nbytes < min ? nbytes : min, __ATOMIC_RELEASE);
}

void umpa_heap_retire(void)
{
	umpa_heap_start();
	__atomic_store_n(&umpa_heap_min, SIZE_MAX, __ATOMIC_RELEASE);
	umpa_heap_look_from(SIZE_MAX);
	umpa_huge_stop();
}

void umpa_heap_start(void)
{
	size_t none = 0;

	if (!umpa_engine_start() || __atomic_load_n(&umpa_heap_min, __ATOMIC_RELAXED) ||
		!__atomic_compare_exchange_n(
			&umpa_heap_min, &none, decide_min(), 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		return;
	umpa_heap_look_from(SIZE_MAX);
	if (umpa_host_consent() == UMPA_CONSENT_GIVEN)
		umpa_huge_start();
}

static enum route route_of(size_t nbytes)
{
	size_t min = __atomic_load_n(&umpa_heap_min, __ATOMIC_ACQUIRE);

	if (unlikely(!min)) {
		umpa_heap_start();
		if (!umpa_engine_known())
			return TO_BOOT;
		min = __atomic_load_n(&umpa_heap_min, __ATOMIC_ACQUIRE);
	}
	return min && nbytes >= min ? TO_UMPA : TO_ENGINE;
}

/* More than any malloc gives. Refused here, as not every engine sets errno then. */
static int is_too_much(size_t nbytes)
{
	return nbytes > PTRDIFF_MAX;
}

int umpa_heap_is_beyond(size_t nbytes)
{
	if (likely(nbytes < (size_t)1 << 30))
		return 0;
	umpa_core_need();
	return umpa_core_is_beyond(nbytes);
}

/* C++'s library asks for 71 KiB when it starts. A process that wants no more is to do without the
 * core, so its first block of about that size is the engine's. */
static int is_the_first(size_t nbytes)
{
	return !umpa_core_is_started() && nbytes < FIRST_NBYTES_MAX &&
	       !__atomic_exchange_n(&umpa_heap_had_first, 1, __ATOMIC_RELAXED);
}

void *umpa_heap_block(size_t nbytes, unsigned flags)
{
	void *p = NULL;

	umpa_huge_look();
	if (unlikely(is_the_first(nbytes)))
		return NULL;
	/* Not every engine sets errno. */
	if (umpa_heap_is_beyond(nbytes))
		return umpa_heap_refuse();
	if (nbytes < SLOT_NBYTES && unlikely(umpa_sparse_blocks()))
		return NULL;
	/* Who asks for an alignment, of an image or a matrix, fills what it gets. */
	if (nbytes >= PROVE_NBYTES_MIN && !(flags & ~UMPA_ZERO))
		p = umpa_prove_alloc(nbytes, (flags & UMPA_ZERO) != 0);
	if (!p)
		p = umpa_alloc(nbytes, flags);
	if (likely(p))
		umpa_learn_of_block(nbytes);
	return p;
}

static inline void *alloc(size_t nbytes, unsigned flags)
{
	enum route route = route_of(nbytes);
	void *p;

	if (is_too_much(nbytes))
		return umpa_heap_refuse();
	if (route == TO_BOOT)
		return umpa_boot_alloc(nbytes);
	if (route == TO_UMPA) {
		p = umpa_heap_block(nbytes, flags);
		if (likely(p))
			return p;
	}
	return flags & UMPA_ZERO ? umpa_engine.calloc(1, nbytes) : umpa_engine.malloc(nbytes);
}

void *umpa_heap_malloc_slow(size_t nbytes)
{
	if (umpa_heap_is_small_yet(nbytes))
		return umpa_engine.malloc(nbytes);
	return alloc(nbytes, 0);
}

void *umpa_heap_calloc_slow(size_t nbytes)
{
	if (umpa_heap_is_small_yet(nbytes))
		return umpa_engine.calloc(1, nbytes);
	return alloc(nbytes, UMPA_ZERO);
}

void umpa_heap_free_slow(void *p)
{
	if (umpa_owns_block(p)) {
		umpa_learn_of_free();
		umpa_prove_end(p);
		umpa_page_free(p, "free");
	} else if (p && !umpa_boot_owns(p) && (umpa_engine_known() || umpa_engine_start())) {
		umpa_huge_look();
		umpa_engine.free(p);
	}
}

size_t umpa_heap_usable_size_slow(void *p)
{
	if (umpa_owns_block(p))
		return umpa_page_usable_size(p, "malloc_usable_size");
	if (umpa_boot_owns(p))
		return umpa_boot_usable_size(p);
	return p && umpa_engine_start() ? umpa_engine.usable_size(p) : 0;
}

/* --- aligned -------------------------------------------------------------------------------- */

static int is_power_of_two(size_t n)
{
	return n && !(n & (n - 1));
}

/* A block of umpa if it can have this alignment; NULL: ask the engine, also about what is wrong. */
static void *alloc_aligned(size_t align, size_t nbytes)
{
	return is_power_of_two(align) ? umpa_heap_block(nbytes, UMPA_ALIGN(__builtin_ctzl(align)))
				      : NULL;
}

static void *boot_aligned(size_t align, size_t nbytes)
{
	return align <= PAGE_NBYTES ? umpa_boot_alloc(nbytes) : NULL;
}

int umpa_heap_posix_memalign_slow(void **out, size_t align, size_t nbytes)
{
	enum route route;
	int saved = errno, error = 0;
	void *p = NULL;

	if (umpa_heap_is_small_yet(nbytes))
		return umpa_engine.posix_memalign(out, align, nbytes);
	route = route_of(nbytes);
	if (align % sizeof(void *) || !is_power_of_two(align))
		return EINVAL;
	if (is_too_much(nbytes))
		return ENOMEM;
	if (route == TO_BOOT)
		p = boot_aligned(align, nbytes);
	else if (route == TO_UMPA)
		p = alloc_aligned(align, nbytes);
	if (!p)
		error = route == TO_BOOT ? ENOMEM : umpa_engine.posix_memalign(&p, align, nbytes);
	if (!error)
		*out = p;
	errno = saved;
	return error;
}

/* memalign and aligned_alloc differ in what an odd alignment means; only the engine's are told of
 * it. */
static void *aligned_slow(size_t align, size_t nbytes, void *(*const *engines)(size_t, size_t))
{
	enum route route;
	void *p;

	if (umpa_heap_is_small_yet(nbytes))
		return (*engines)(align, nbytes);
	route = route_of(nbytes);
	if (is_too_much(nbytes) && is_power_of_two(align))
		return umpa_heap_refuse();
	if (route == TO_BOOT)
		return boot_aligned(align, nbytes);
	p = route == TO_UMPA ? alloc_aligned(align, nbytes) : NULL;
	return p ? p : (*engines)(align, nbytes);
}

void *umpa_heap_aligned_alloc_slow(size_t align, size_t nbytes)
{
	return aligned_slow(align, nbytes, &umpa_engine.aligned_alloc);
}

void *umpa_heap_memalign_slow(size_t align, size_t nbytes)
{
	return aligned_slow(align, nbytes, &umpa_engine.memalign);
}
