#include "mm/attachments.h"

#include "base/units.h"
#include "mm/pages.h"

struct umpa_attachment {
	struct umpa_attachment *next;
	uintptr_t begin; /* where the segment's first page lies, or would */
	size_t npages;   /* of the segment */
	uint64_t serial; /* one for each shmat() */
	uint64_t held[]; /* a bit for each page of the segment: it is here */
};

static struct umpa_attachment *all; /* read atomically without the lock */
static uint64_t last_serial;        /* atomic */

static uintptr_t address_of(size_t page)
{
	return (uintptr_t)umpa_pages_address(page);
}

/* --- pages of one ------------------------------------------------------------------------- */

/* The segment's page that lies in a page of the window; npages and more: none. What lies before the
 * begin counts as far behind it. */
static size_t index_of(const struct umpa_attachment *a, size_t page)
{
	return (address_of(page) - a->begin) >> PAGE_SHIFT;
}

static int holds(const struct umpa_attachment *a, size_t page)
{
	size_t i = index_of(a, page);

	return i < a->npages && a->held[i / 64] >> i % 64 & 1;
}

static void hold(struct umpa_attachment *a, size_t page)
{
	size_t i = index_of(a, page);

	a->held[i / 64] |= (uint64_t)1 << i % 64;
}

/* The first page of the segment, from i on, that is here; npages if there is none. */
static size_t next_held(const struct umpa_attachment *a, size_t i)
{
	while (i < a->npages && !(a->held[i / 64] >> i % 64))
		i = (i / 64 + 1) * 64;
	return i < a->npages ? i + (size_t)__builtin_ctzll(a->held[i / 64] >> i % 64) : a->npages;
}

/* --- making and giving back --------------------------------------------------------------- */

static size_t nbytes_of(size_t npages)
{
	return pages_of(sizeof(struct umpa_attachment) + (npages + 63) / 64 * sizeof(uint64_t))
	       << PAGE_SHIFT;
}

static struct umpa_attachment *make(uintptr_t begin, size_t npages, uint64_t serial)
{
	struct umpa_attachment *a;
	void *memory;

	if (umpa_os_map(nbytes_of(npages), &memory))
		return NULL;
	a = memory;
	a->begin = begin;
	a->npages = npages;
	a->serial = serial;
	return a;
}

struct umpa_attachment *umpa_attachment_new(uintptr_t begin, size_t npages)
{
	return make(begin, npages, __atomic_add_fetch(&last_serial, 1, __ATOMIC_RELAXED));
}

void umpa_attachment_give(struct umpa_attachment *a)
{
	umpa_os_unmap(a, nbytes_of(a->npages));
}

static void link_first(struct umpa_attachment *a)
{
	a->next = all;
	__atomic_store_n(&all, a, __ATOMIC_RELAXED);
}

/* Gives back those without pages. */
static void sweep(void)
{
	struct umpa_attachment *kept = NULL, *next;

	for (struct umpa_attachment *a = all; a; a = next) {
		next = a->next;
		if (next_held(a, 0) == a->npages) {
			umpa_attachment_give(a);
			continue;
		}
		a->next = kept;
		kept = a;
	}
	__atomic_store_n(&all, kept, __ATOMIC_RELAXED);
}

/* --- which page is whose ------------------------------------------------------------------ */

void umpa_attachments_add(struct umpa_attachment *a, size_t first, size_t end)
{
	sweep();
	for (size_t page = first; page < end; page++)
		hold(a, page);
	link_first(a);
}

static void forget(struct umpa_attachment *a, size_t first, size_t end)
{
	intptr_t from = (intptr_t)(address_of(first) - a->begin) >> PAGE_SHIFT;
	intptr_t to = (intptr_t)(address_of(end) - a->begin) >> PAGE_SHIFT;

	for (size_t i = next_held(a, from > 0 ? (size_t)from : 0);
		i < a->npages && (intptr_t)i < to; i = next_held(a, i + 1))
		a->held[i / 64] &= ~((uint64_t)1 << i % 64);
}

void umpa_attachments_forget(size_t first, size_t end)
{
	for (struct umpa_attachment *a = all; a; a = a->next)
		forget(a, first, end);
}

/* The attachment of the same segment that begins there, made if there is none. */
static struct umpa_attachment *twin_at(const struct umpa_attachment *of, uintptr_t begin)
{
	struct umpa_attachment *a = all;

	while (a && !(a->begin == begin && a->serial == of->serial))
		a = a->next;
	if (!a) {
		a = make(begin, of->npages, of->serial);
		if (a)
			link_first(a);
	}
	return a;
}

void umpa_attachments_copy(size_t first, size_t end, size_t to)
{
	struct umpa_attachment *twin;

	/* New ones come before those that are still to be looked at. */
	for (struct umpa_attachment *a = all; a; a = a->next) {
		twin = NULL;
		for (size_t page = first; page < end; page++) {
			if (!holds(a, page))
				continue;
			twin = twin ? twin
				    : twin_at(a, a->begin + address_of(to) - address_of(first));
			if (!twin)
				return;
			hold(twin, to + (page - first));
		}
	}
}

const struct umpa_attachment *umpa_attachments_find(uintptr_t begin)
{
	const struct umpa_attachment *found = NULL;

	sweep();
	/* As the kernel does: the one that has the lowest page. */
	for (const struct umpa_attachment *a = all; a; a = a->next)
		if (a->begin == begin && (!found || next_held(a, 0) < next_held(found, 0)))
			found = a;
	return found;
}

int umpa_attachment_row(const struct umpa_attachment *a, size_t *first, size_t *end)
{
	size_t i = next_held(a, 0);

	if (i == a->npages)
		return 0;
	*first = (a->begin + (i << PAGE_SHIFT) - address_of(0)) >> PAGE_SHIFT;
	*end = *first + 1;
	while (holds(a, *end))
		++*end;
	return 1;
}

int umpa_attachments_exist(void)
{
	return __atomic_load_n(&all, __ATOMIC_RELAXED) != NULL;
}

void umpa_attachments_stop(void)
{
	struct umpa_attachment *next;

	for (; all; all = next) {
		next = all->next;
		umpa_attachment_give(all);
	}
}
