#include "mm/attributes.h"

#include <string.h>

#include "os/os.h"

/* Opened in steps, so that mprotect() is rarely called for it. */
enum {
	STEP_NBYTES = 64 << 10
};

static size_t table_nbytes(uint32_t nslots)
{
	return rounded_up(nslots * sizeof(struct umpa_page_bits), SLOT_NBYTES);
}

int umpa_attributes_init(struct umpa_attributes *a, uint32_t nslots)
{
	void *table;
	int error = umpa_os_reserve(table_nbytes(nslots), &table);

	if (error)
		return error;
	*a = (struct umpa_attributes){.slot = table, .nslots = nslots};
	return 0;
}

void umpa_attributes_fini(struct umpa_attributes *a)
{
	umpa_os_release(a->slot, table_nbytes(a->nslots));
	memset(a, 0, sizeof(*a));
}

/* What is open ends before the next whole slot's worth. */
void umpa_attributes_narrow(struct umpa_attributes *a, uint32_t nslots)
{
	uint32_t need = nslots > a->nslots_open ? nslots : a->nslots_open + 1;
	size_t have = table_nbytes(a->nslots), rest;

	if (need >= a->nslots)
		return;
	rest = have - table_nbytes(need);
	if (rest)
		umpa_os_release((char *)a->slot + have - rest, rest);
	a->nslots = need;
}

int umpa_attributes_need(struct umpa_attributes *a, size_t end)
{
	size_t open = a->open_nbytes;
	size_t need = (end + SLOT_NPAGES - 1) / SLOT_NPAGES * sizeof(*a->slot);
	int error;

	if (need <= open)
		return 0;
	need = rounded_up(need, STEP_NBYTES);
	error = umpa_os_open((char *)a->slot + open, need - open);
	if (error)
		return error;
	a->open_nbytes = need;
	a->nslots_open = (uint32_t)(need / sizeof(*a->slot));
	return 0;
}

static int any(const struct bitmap *b)
{
	uint64_t all = 0;

	for (unsigned w = 0; w < BITMAP_NWORDS; w++)
		all |= b->word[w];
	return all != 0;
}

static unsigned attributes_of(const struct umpa_page_bits *b, unsigned page)
{
	unsigned attributes = 0;

	for (unsigned i = 0; i < NATTRIBUTES; i++)
		attributes |= (unsigned)bitmap_get(&b->bit[i], page) << i;
	return attributes;
}

/* All pages of a slot have these attributes: in a few instructions, as a reservation has many
 * slots. */
static int all_alike(const struct umpa_page_bits *b, unsigned attributes)
{
	uint64_t unlike = 0;

	for (unsigned i = 0; i < NATTRIBUTES; i++) {
		uint64_t wanted = -(uint64_t)(attributes >> i & 1);

		for (unsigned w = 0; w < BITMAP_NWORDS; w++)
			unlike |= b->bit[i].word[w] ^ wanted;
	}
	return !unlike;
}

/* How far, from its page `page` on, the pages of a slot have these attributes; page itself if it
 * has others. */
static unsigned alike_until(const struct umpa_page_bits *b, unsigned page, unsigned attributes)
{
	unsigned until = SLOT_NPAGES;

	if (!page && all_alike(b, attributes))
		return until;
	for (unsigned i = 0; i < NATTRIBUTES; i++) {
		const struct bitmap *bit = &b->bit[i];
		int set = attributes >> i & 1;

		until = bitmap_next(set ? NULL : bit, set ? bit : NULL, page, until);
	}
	return until;
}

unsigned umpa_attributes_row(
	const struct umpa_attributes *a, size_t first, size_t end, size_t *row_end)
{
	size_t nopen = (size_t)a->nslots_open * SLOT_NPAGES, at = first;
	unsigned attributes = 0;

	if (first < nopen)
		attributes = attributes_of(&a->slot[first / SLOT_NPAGES], first % SLOT_NPAGES);
	while (at < end && at < nopen) {
		size_t slot = at / SLOT_NPAGES;
		unsigned until = alike_until(&a->slot[slot], at % SLOT_NPAGES, attributes);

		at = slot * SLOT_NPAGES + until;
		if (until < SLOT_NPAGES)
			break;
	}
	if (at >= nopen && !attributes)
		at = end;
	*row_end = at < end ? at : end;
	return attributes;
}

static void change_all(struct umpa_page_bits *b, unsigned taken, unsigned given)
{
	for (unsigned i = 0; i < NATTRIBUTES; i++) {
		if (given >> i & 1)
			memset(&b->bit[i], 0xff, sizeof(b->bit[i]));
		else if (taken >> i & 1 && any(&b->bit[i]))
			memset(&b->bit[i], 0, sizeof(b->bit[i]));
	}
}

static void change_slot(
	struct umpa_page_bits *b, unsigned page, unsigned npages, unsigned taken, unsigned given)
{
	if (npages == SLOT_NPAGES) {
		change_all(b, taken, given);
		return;
	}
	for (unsigned i = 0; i < NATTRIBUTES; i++) {
		if (given >> i & 1)
			bitmap_set_range(&b->bit[i], page, npages);
		else if (taken >> i & 1 && any(&b->bit[i]))
			bitmap_clear_range(&b->bit[i], page, npages);
	}
}

void umpa_attributes_change(
	struct umpa_attributes *a, size_t first, size_t end, unsigned taken, unsigned given)
{
	size_t nopen = (size_t)a->nslots_open * SLOT_NPAGES;

	end = end < nopen ? end : nopen;
	while (first < end) {
		unsigned page = first % SLOT_NPAGES, npages = SLOT_NPAGES - page;

		if (npages > end - first)
			npages = (unsigned)(end - first);
		change_slot(&a->slot[first / SLOT_NPAGES], page, npages, taken, given);
		first += npages;
	}
}
