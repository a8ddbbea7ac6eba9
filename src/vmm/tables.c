#include "vmm/tables.h"

#include <errno.h>

enum {
	TOP = TABLE_NLEVELS - 1
};

void umpa_tables_init(struct umpa_tables *t, uint64_t *memory, uint64_t physical, uint32_t ntables)
{
	*t = (struct umpa_tables){memory, physical, ntables, 1};
}

static uint64_t *entry_in(uint64_t *table, uint64_t va, int level)
{
	return &table[va >> (PAGE_SHIFT + TABLE_SHIFT * level) & (TABLE_NENTRIES - 1)];
}

uint64_t *umpa_tables_find(const struct umpa_tables *t, uint64_t va, int *level)
{
	uint64_t *table = t->memory;

	for (int l = TOP;; l--) {
		uint64_t *entry = entry_in(table, va, l);

		if (l == *level || (*entry & ENTRY_PRESENT && entry_is_leaf(*entry, l))) {
			*level = l;
			return entry;
		}
		if (!(*entry & ENTRY_PRESENT))
			return NULL;
		table = table_memory(t, *entry);
	}
}

/* Makes the table that an entry is to lead to. */
static int add_table(struct umpa_tables *t, uint64_t *entry)
{
	if (t->nused == t->ntables)
		return -ENOMEM;
	entry_set(entry, (t->physical + (uint64_t)t->nused * PAGE_NBYTES) | ENTRY_OPEN);
	t->nused++;
	return 0;
}

int umpa_tables_need(struct umpa_tables *t, uint64_t va, int level, uint64_t **entry)
{
	uint64_t *table = t->memory;

	for (int l = TOP;; l--) {
		uint64_t *e = entry_in(table, va, l);

		if (l == level) {
			*entry = e;
			return 0;
		}
		if (!(*e & ENTRY_PRESENT)) {
			int error = add_table(t, e);

			if (error)
				return error;
		} else if (entry_is_leaf(*e, l)) {
			return -EEXIST;
		}
		table = table_memory(t, *e);
	}
}

uint64_t umpa_tables_most(uint64_t va, uint64_t nbytes, int level)
{
	uint64_t n = 0;

	if (!nbytes)
		return 0;
	for (int l = level; l < TOP; l++) {
		int shift = PAGE_SHIFT + TABLE_SHIFT * (l + 1);

		n += ((va + nbytes - 1) >> shift) - (va >> shift) + 1;
	}
	return n;
}

/* An entry that leads to a table can't become a leaf: the table would be lost. */
static int leads_to_table(const struct umpa_tables *t, uint64_t va, int level)
{
	int found = level;
	const uint64_t *entry = umpa_tables_find(t, va, &found);

	return entry && found == level && *entry & ENTRY_PRESENT && !entry_is_leaf(*entry, level);
}

static int largest_level(
	const struct umpa_tables *t, uint64_t va, uint64_t physical, uint64_t nbytes, int level)
{
	for (; level > 0; level--) {
		uint64_t span = table_span_nbytes(level);

		if (!((va | physical) & (span - 1)) && nbytes >= span &&
			!leads_to_table(t, va, level))
			break;
	}
	return level;
}

int umpa_tables_map(struct umpa_tables *t, uint64_t va, uint64_t physical, uint64_t nbytes,
	uint64_t bits, int level)
{
	while (nbytes) {
		int l = largest_level(t, va, physical, nbytes, level);
		uint64_t *entry, span = table_span_nbytes(l);
		int error = umpa_tables_need(t, va, l, &entry);

		if (error)
			return error;
		entry_set(entry, physical | bits | (l ? ENTRY_LEAF : 0));
		va += span;
		physical += span;
		nbytes -= span;
	}
	return 0;
}

int umpa_tables_walk(const struct umpa_tables *t, uint64_t va, uint64_t *physical, uint64_t *bits)
{
	int level = 0;
	const uint64_t *entry = umpa_tables_find(t, va, &level);
	uint64_t inside = va & (table_span_nbytes(level) - 1);

	if (!entry || !(*entry & ENTRY_PRESENT))
		return -EFAULT;
	*physical = (*entry & ENTRY_ADDRESS) + inside;
	*bits = *entry & ~ENTRY_ADDRESS;
	return 0;
}

/* Counts the tables below one, each of them once; more than there are if something is wrong. */
static uint64_t count_below(const struct umpa_tables *t, const uint64_t *table, int level)
{
	uint64_t n = 0;

	for (int i = 0; level && i < TABLE_NENTRIES; i++) {
		uint64_t offset = (table[i] & ENTRY_ADDRESS) - t->physical;

		if (!(table[i] & ENTRY_PRESENT) || entry_is_leaf(table[i], level) ||
			offset / PAGE_NBYTES >= t->ntables)
			continue;
		if (offset / PAGE_NBYTES >= t->nused || !offset)
			return t->ntables + (uint64_t)1;
		n += 1 + count_below(t, table_memory(t, table[i]), level - 1);
	}
	return n;
}

int umpa_tables_valid(const struct umpa_tables *t)
{
	const uint64_t *rest = t->memory + (uint64_t)t->nused * TABLE_NENTRIES;
	const uint64_t *end = t->memory + (uint64_t)t->ntables * TABLE_NENTRIES;

	while (rest < end && !*rest)
		rest++;
	return rest == end && count_below(t, t->memory, TOP) == t->nused - (uint64_t)1;
}
