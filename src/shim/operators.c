/*
 * C++'s operators new and delete, by their names where size_t is long. glibc's users would reach
 * malloc without them. But an engine that brings operators of its own (jemalloc, mimalloc,
 * tcmalloc) would be asked past umpa for blocks of every size.
 *
 * A program may replace some of them and rely on the others to call those, as the language says: an
 * array's on the single object's, a sized delete on the unsized. So these call their basis through
 * the loader's tables, and this file is compiled so that nothing is assumed of what is found there.
 *
 * Where umpa and the engine have nothing to give, the operator of C++'s own library is asked: it
 * knows of new_handler and of exceptions, which pass through here. An engine's may not: mimalloc,
 * which is C, ends the program.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "heap/heap.h"
#include "shim/next.h"

typedef void *new_fn(size_t nbytes);
typedef void *aligned_fn(size_t nbytes, size_t align);
typedef void *nothrow_fn(size_t nbytes, const void *nothrow);
typedef void delete_fn(void *p);
typedef void delete_with_fn(void *p, size_t nbytes_or_align);
typedef void delete_nothrow_fn(void *p, const void *nothrow);
typedef void delete_sized_aligned_fn(void *p, size_t nbytes, size_t align);
typedef void delete_aligned_nothrow_fn(void *p, size_t align, const void *nothrow);

#define NEW                      "_Znwm"
#define NEW_ARRAY                "_Znam"
#define NEW_ALIGNED              "_ZnwmSt11align_val_t"
#define NEW_NOTHROW              "_ZnwmRKSt9nothrow_t"
#define NEW_ARRAY_NOTHROW        "_ZnamRKSt9nothrow_t"
#define OPERATOR(type, name, as) extern public_api type name __asm__(as)

OPERATOR(new_fn, umpa_new, NEW);
OPERATOR(new_fn, umpa_new_array, NEW_ARRAY);
OPERATOR(aligned_fn, umpa_new_aligned, NEW_ALIGNED);
OPERATOR(aligned_fn, umpa_new_array_aligned, "_ZnamSt11align_val_t");
OPERATOR(nothrow_fn, umpa_new_nothrow, NEW_NOTHROW);
OPERATOR(nothrow_fn, umpa_new_array_nothrow, NEW_ARRAY_NOTHROW);

OPERATOR(delete_fn, umpa_delete, "_ZdlPv");
OPERATOR(delete_fn, umpa_delete_array, "_ZdaPv");
OPERATOR(delete_with_fn, umpa_delete_sized, "_ZdlPvm");
OPERATOR(delete_with_fn, umpa_delete_array_sized, "_ZdaPvm");
OPERATOR(delete_nothrow_fn, umpa_delete_nothrow, "_ZdlPvRKSt9nothrow_t");
OPERATOR(delete_nothrow_fn, umpa_delete_array_nothrow, "_ZdaPvRKSt9nothrow_t");
OPERATOR(delete_with_fn, umpa_delete_aligned, "_ZdlPvSt11align_val_t");
OPERATOR(delete_with_fn, umpa_delete_array_aligned, "_ZdaPvSt11align_val_t");
OPERATOR(delete_sized_aligned_fn, umpa_delete_sized_aligned, "_ZdlPvmSt11align_val_t");
OPERATOR(delete_sized_aligned_fn, umpa_delete_array_sized_aligned, "_ZdaPvmSt11align_val_t");
OPERATOR(delete_aligned_nothrow_fn, umpa_delete_aligned_nothrow,
	"_ZdlPvSt11align_val_tRKSt9nothrow_t");
OPERATOR(delete_aligned_nothrow_fn, umpa_delete_array_aligned_nothrow,
	"_ZdaPvSt11align_val_tRKSt9nothrow_t");

/* --- new ------------------------------------------------------------------------------------ */

static void *find_in(const char *library, const char *name)
{
	void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD), *found = NULL;

	if (handle) {
		found = dlsym(handle, name);
		dlclose(handle);
	}
	return found;
}

/* The operator of C++'s library, or of the next one that has it, into *function, or NULL. */
static void find_thrower(const char *name, void *function)
{
	static const char *const libraries[] = {"libstdc++.so.6", "libc++abi.so.1", "libc++.so.1"};
	void *found = NULL;

	for (size_t i = 0; i < array_len(libraries) && !found; i++)
		found = find_in(libraries[i], name);
	if (found)
		memcpy(function, &found, sizeof(found));
	else
		umpa_find_next(name, function);
}

static size_t at_least_1(size_t nbytes)
{
	return nbytes ? nbytes : 1;
}

/* Out of memory in a program that has no library to throw with. */
_Noreturn static void give_up(const char *name)
{
	umpa_warn("%s: out of memory, and no library of C++ to tell of it", name);
	abort();
}

cold_path static void *new_by_next(size_t nbytes)
{
	new_fn *next;

	find_thrower(NEW, &next);
	if (!next)
		give_up("operator new");
	return next(nbytes);
}

void *umpa_new(size_t nbytes)
{
	void *p = umpa_heap_malloc(at_least_1(nbytes));

	return likely(p) ? p : new_by_next(nbytes);
}

void *umpa_new_array(size_t nbytes)
{
	return umpa_new(nbytes);
}

void *umpa_new_aligned(size_t nbytes, size_t align)
{
	void *p = umpa_heap_memalign(align, at_least_1(nbytes));
	aligned_fn *next;

	if (likely(p))
		return p;
	find_thrower(NEW_ALIGNED, &next);
	if (!next)
		give_up("operator new");
	return next(nbytes, align);
}

void *umpa_new_array_aligned(size_t nbytes, size_t align)
{
	return umpa_new_aligned(nbytes, align);
}

/* Where the linker put the library. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char __etext[] __attribute__((visibility("hidden")));

static int is_ours(uintptr_t function)
{
	return function - (uintptr_t)__ehdr_start < (uintptr_t)__etext - (uintptr_t)__ehdr_start;
}

/* 1 if the program or a library before this one has put its own in the place of these. */
static int replaced(void)
{
	static new_fn *const volatile found[] = {umpa_new, umpa_new_array};
	static int answer; /* atomic: 0 not asked yet, 1 no, 2 yes */
	int known = __atomic_load_n(&answer, __ATOMIC_RELAXED);

	if (likely(known))
		return known - 1;
	known = 1;
	for (size_t i = 0; i < array_len(found); i++)
		if (!is_ours((uintptr_t)found[i]))
			known = 2;
	__atomic_store_n(&answer, known, __ATOMIC_RELAXED);
	return known - 1;
}

/* These are to call the throwing ones and catch what they throw, which is for C++. */
static void *new_nothrow(size_t nbytes, const void *nothrow, const char *name)
{
	void *p = replaced() ? NULL : umpa_heap_malloc(at_least_1(nbytes));
	nothrow_fn *next;

	if (likely(p))
		return p;
	find_thrower(name, &next);
	return next ? next(nbytes, nothrow) : NULL;
}

void *umpa_new_nothrow(size_t nbytes, const void *nothrow)
{
	return new_nothrow(nbytes, nothrow, NEW_NOTHROW);
}

void *umpa_new_array_nothrow(size_t nbytes, const void *nothrow)
{
	return new_nothrow(nbytes, nothrow, NEW_ARRAY_NOTHROW);
}

/* --- delete --------------------------------------------------------------------------------- */

void umpa_delete(void *p)
{
	umpa_heap_free(p);
}

void umpa_delete_array(void *p)
{
	umpa_delete(p);
}

void umpa_delete_sized(void *p, size_t nbytes)
{
	(void)nbytes;
	umpa_delete(p);
}

void umpa_delete_array_sized(void *p, size_t nbytes)
{
	(void)nbytes;
	umpa_delete_array(p);
}

void umpa_delete_nothrow(void *p, const void *nothrow)
{
	(void)nothrow;
	umpa_delete(p);
}

void umpa_delete_array_nothrow(void *p, const void *nothrow)
{
	(void)nothrow;
	umpa_delete_array(p);
}

void umpa_delete_aligned(void *p, size_t align)
{
	(void)align;
	umpa_heap_free(p);
}

void umpa_delete_array_aligned(void *p, size_t align)
{
	umpa_delete_aligned(p, align);
}

void umpa_delete_sized_aligned(void *p, size_t nbytes, size_t align)
{
	(void)nbytes;
	umpa_delete_aligned(p, align);
}

void umpa_delete_array_sized_aligned(void *p, size_t nbytes, size_t align)
{
	(void)nbytes;
	umpa_delete_array_aligned(p, align);
}

void umpa_delete_aligned_nothrow(void *p, size_t align, const void *nothrow)
{
	(void)nothrow;
	umpa_delete_aligned(p, align);
}

void umpa_delete_array_aligned_nothrow(void *p, size_t align, const void *nothrow)
{
	(void)nothrow;
	umpa_delete_array_aligned(p, align);
}
