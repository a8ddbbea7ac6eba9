#include "va/window.h"

#include <errno.h>
#include <string.h>

#include "os/os.h"

static size_t whole_slots(size_t nbytes)
{
	return rounded_up(nbytes, SLOT_NBYTES);
}

static size_t whole_pages(size_t nbytes)
{
	return rounded_up(nbytes, PAGE_NBYTES);
}

/* Of all tables, for a window of nslots slots. */
static size_t all_nbytes(const struct umpa_window *w, const size_t *record_nbytes, uint32_t nslots)
{
	size_t nbytes = 0;

	for (unsigned i = 0; i < w->ntables; i++)
		nbytes += whole_pages(record_nbytes[i] * nslots);
	return whole_slots(nbytes);
}

/* The last one in front. A process that opens few slots touches the fronts alone: they lie in fewer
 * page tables if small tables, which come last, lie before large ones. */
static void place_tables(struct umpa_window *w, const size_t *record_nbytes)
{
	char *at = w->table_memory;

	for (unsigned i = w->ntables; i-- > 0;) {
		w->table[i] = (struct umpa_window_table){at, record_nbytes[i], 0};
		at += whole_pages(record_nbytes[i] * w->nslots);
	}
}

static int reserve_both(struct umpa_window *w, size_t nbytes, const size_t *record_nbytes)
{
	size_t table_nbytes = all_nbytes(w, record_nbytes, (uint32_t)(nbytes >> SLOT_SHIFT));
	void *base, *table;
	int error = umpa_os_reserve(table_nbytes, &table);

	if (error)
		return error;
	error = umpa_os_reserve(nbytes, &base);
	if (error) {
		umpa_os_release(table, table_nbytes);
		return error;
	}
	w->base = (uintptr_t)base;
	w->nbytes = nbytes;
	w->nslots = (uint32_t)(nbytes >> SLOT_SHIFT);
	w->table_memory = table;
	w->table_nbytes = table_nbytes;
	return 0;
}

int umpa_window_init(struct umpa_window *w, size_t nbytes, size_t min_nbytes,
	const size_t *record_nbytes, unsigned ntables)
{
	memset(w, 0, sizeof(*w));
	w->ntables = ntables;
	for (nbytes = whole_slots(nbytes); nbytes >= whole_slots(min_nbytes);
		nbytes = whole_slots(nbytes / 2)) {
		if (!reserve_both(w, nbytes, record_nbytes)) {
			place_tables(w, record_nbytes);
			return 0;
		}
		if (nbytes == SLOT_NBYTES)
			break;
	}
	return -ENOMEM;
}

/* What is reserved of a table where the window has nslots slots. Table 0 is the last one in memory.
 */
static size_t reserved_nbytes(const struct umpa_window *w, unsigned i, uint32_t nslots)
{
	const struct umpa_window_table *t = &w->table[i];
	size_t nbytes = whole_pages(t->record_nbytes * nslots);

	if (!i && nslots == w->nslots)
		return w->table_nbytes - (size_t)(t->base - (char *)w->table_memory);
	return nbytes > t->open_nbytes ? nbytes : t->open_nbytes;
}

static void cut_table(struct umpa_window *w, unsigned i, uint32_t nslots)
{
	size_t have = reserved_nbytes(w, i, w->nslots), need = reserved_nbytes(w, i, nslots);

	if (need < have)
		umpa_os_release(w->table[i].base + need, have - need);
	if (!i)
		w->table_nbytes -= have - need;
}

void umpa_window_narrow(struct umpa_window *w, uint32_t nslots, uint32_t nslots_open)
{
	size_t nbytes = (size_t)nslots << SLOT_SHIFT, rest = w->nbytes - nbytes;

	for (unsigned i = 0; i < w->ntables; i++)
		cut_table(w, i, nslots);
	__atomic_store_n(&w->nslots_open, nslots_open, __ATOMIC_RELAXED);
	__atomic_store_n(&w->nslots, nslots, __ATOMIC_RELAXED);
	__atomic_store_n(&w->nbytes, nbytes, __ATOMIC_RELAXED);
	umpa_os_release((void *)(w->base + nbytes), rest);
}

void umpa_window_fini(struct umpa_window *w)
{
	if (!w->nbytes)
		return;
	umpa_os_release((void *)w->base, w->nbytes);
	for (unsigned i = 0; i < w->ntables; i++)
		umpa_os_release(w->table[i].base, reserved_nbytes(w, i, w->nslots));
	memset(w, 0, sizeof(*w));
}

static int open_table(struct umpa_window_table *t, uint32_t nslots)
{
	size_t nbytes = whole_pages(t->record_nbytes * nslots);
	int error;

	if (nbytes <= t->open_nbytes)
		return 0;
	error = umpa_os_open(t->base + t->open_nbytes, nbytes - t->open_nbytes);
	if (!error)
		t->open_nbytes = nbytes;
	return error;
}

int umpa_window_open(struct umpa_window *w, uint32_t nslots)
{
	int error;

	if (nslots > w->nslots - w->nslots_open)
		return -ENOMEM;
	/* Records opened ahead of a refusal stay open: they are small and will be needed. */
	for (unsigned i = 0; i < w->ntables; i++) {
		error = open_table(&w->table[i], w->nslots_open + nslots);
		if (error)
			return error;
	}
	error = umpa_os_open(
		umpa_window_at(w, (struct slot){w->nslots_open}, 0), (size_t)nslots << SLOT_SHIFT);
	if (!error)
		__atomic_store_n(&w->nslots_open, w->nslots_open + nslots, __ATOMIC_RELAXED);
	return error;
}
