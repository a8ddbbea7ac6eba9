#include "vmm/hide.h"

enum {
	TOP = TABLE_NLEVELS - 1,
	LOWER = TABLE_NLEVELS /* for the pages of the superpage below */
};

/* Who runs it may be ended between any two stores. */
static void keep_order(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static uint64_t *table_of_way(const struct umpa_hide *h, int i)
{
	return h->way + (size_t)i * TABLE_NENTRIES;
}

static uint64_t way_entry(const struct umpa_hide *h, int i)
{
	return (h->physical + (uint64_t)i * PAGE_NBYTES) | ENTRY_OPEN;
}

static size_t index_of(uintptr_t at, int level)
{
	return at >> (PAGE_SHIFT + TABLE_SHIFT * level) & (TABLE_NENTRIES - 1);
}

/* Of a page of one of the two superpages. */
static uint64_t *page_entry(const struct umpa_hide *h, uintptr_t at)
{
	return &table_of_way(h, at < h->superpage ? LOWER : 0)[index_of(at, 0)];
}

/* What the shared tables say at that level, as if no leaf were larger. 0: nothing. */
static uint64_t shared_entry(const struct umpa_hide *h, uintptr_t at, int level)
{
	int found = level;
	const uint64_t *entry = umpa_tables_find(h->shared, at, &found);
	uint64_t inside = at & (table_span_nbytes(found) - 1) & ~(table_span_nbytes(level) - 1);

	if (!entry || !(*entry & ENTRY_PRESENT) || found == level)
		return entry ? *entry : 0;
	return (*entry + inside) & ~(level ? 0 : ENTRY_LEAF);
}

/* The shared table at that level that an address goes by; NULL: a larger leaf, or nothing. */
static const uint64_t *shared_table(const struct umpa_hide *h, uintptr_t at, int level)
{
	int found = level + 1;
	const uint64_t *entry;

	if (level == TOP)
		return h->shared->memory;
	entry = umpa_tables_find(h->shared, at, &found);
	return entry && found == level + 1 && *entry & ENTRY_PRESENT &&
			       !entry_is_leaf(*entry, found)
		       ? table_memory(h->shared, *entry)
		       : NULL;
}

static void copy_table(const struct umpa_hide *h, uint64_t *table, uintptr_t at, int level)
{
	const uint64_t *shared = shared_table(h, at, level);
	uint64_t span = table_span_nbytes(level);
	uint64_t first = shared ? 0 : shared_entry(h, at & ~(span * TABLE_NENTRIES - 1), level);

	for (size_t i = 0; i < TABLE_NENTRIES; i++)
		entry_set(&table[i], shared ? shared[i] : first ? first + i * span : 0);
}

/* By the shared tables again, so that the way is nobody's. */
static void leave_way(struct umpa_hide *h)
{
	if (!h->superpage)
		return;
	entry_set(&table_of_way(h, TOP)[index_of(h->superpage, TOP)],
		shared_entry(h, h->superpage, TOP));
	h->forget();
	h->superpage = 0;
}

/* Whatever the call before was in the middle of. */
static void begin_anew(struct umpa_hide *h)
{
	copy_table(h, table_of_way(h, TOP), 0, TOP);
	h->forget();
	h->superpage = h->begin = h->end = 0;
}

static int has_lower(uintptr_t superpage)
{
	return index_of(superpage, 1) != 0;
}

static void lead_to(struct umpa_hide *h, uintptr_t superpage)
{
	leave_way(h);
	for (int level = 0; level < TOP; level++)
		copy_table(h, table_of_way(h, level), superpage, level);
	if (has_lower(superpage)) {
		copy_table(h, table_of_way(h, LOWER), superpage - SLOT_NBYTES, 0);
		entry_set(&table_of_way(h, 1)[index_of(superpage, 1) - 1], way_entry(h, LOWER));
	}
	for (int level = 1; level <= TOP; level++)
		entry_set(&table_of_way(h, level)[index_of(superpage, level)],
			way_entry(h, level - 1));
	h->superpage = superpage;
}

static void show(struct umpa_hide *h)
{
	for (uintptr_t at = h->begin; at < h->end; at += PAGE_NBYTES)
		entry_set(page_entry(h, at), shared_entry(h, at, 0));
	h->begin = h->end = 0;
}

uintptr_t umpa_hide_lowest(uintptr_t end)
{
	uintptr_t superpage = (end - 1) & ~(SLOT_NBYTES - 1);

	return has_lower(superpage) ? superpage - SLOT_NBYTES : superpage;
}

void umpa_hide(struct umpa_hide *h, uintptr_t begin, uintptr_t end)
{
	uintptr_t superpage = (end - 1) & ~(SLOT_NBYTES - 1);

	if (h->is_under_way)
		begin_anew(h);
	h->is_under_way = 1;
	keep_order();
	show(h);
	if (begin < end && superpage != h->superpage)
		lead_to(h, superpage);
	for (uintptr_t at = begin; at < end; at += PAGE_NBYTES)
		entry_set(page_entry(h, at), 0);
	h->begin = begin;
	h->end = end;
	h->forget();
	keep_order();
	h->is_under_way = 0;
}

uint64_t umpa_hide_root(const struct umpa_hide *h)
{
	return h->physical + (uint64_t)TOP * PAGE_NBYTES;
}

void umpa_hide_init(struct umpa_hide *h, const struct umpa_tables *shared, uint64_t *way,
	uint64_t physical, void (*forget)(void))
{
	*h = (struct umpa_hide){shared, way, physical, forget, 0, 0, 0, 0};
	copy_table(h, table_of_way(h, TOP), 0, TOP);
}
