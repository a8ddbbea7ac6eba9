#include "vmm/layout.h"

#include <errno.h>
#include <string.h>

#include "base/units.h"

#define GIB ((uint64_t)1 << 30)

/* Devices of the machine are below. */
#define PHYSICAL_MIN (4 * GIB)

/* Areas this near to each other share a cluster: fewer clusters, fewer mappings. Where the guest's
 * addresses don't suffice for what lies between, the next. */
static const uint64_t gap_nbytes[] = {64 * GIB, 8 * GIB, GIB, SLOT_NBYTES};

static int are_in_order(const struct umpa_area *a, size_t n)
{
	uintptr_t end = 0;

	for (size_t i = 0; i < n; i++) {
		if (a[i].begin < end || a[i].end <= a[i].begin || a[i].end > LAYOUT_TOP)
			return 0;
		end = a[i].end;
	}
	return n != 0;
}

static uintptr_t lesser(uintptr_t a, uintptr_t b)
{
	return a < b ? a : b;
}

/* What an area and its room take, in whole superpages. */
static struct umpa_cluster room_of(const struct umpa_area *a)
{
	uintptr_t begin = a->begin - lesser(a->begin, a->below_nbytes);
	uintptr_t end = a->end + lesser(LAYOUT_TOP - a->end, a->above_nbytes);
	uintptr_t edge = rounded_up(end, SLOT_NBYTES);

	return (struct umpa_cluster){begin & ~(SLOT_NBYTES - 1), lesser(edge, LAYOUT_TOP), 0};
}

/* With those before that it is near to, or grows into. 1; 0: too many. */
static int add(struct umpa_layout *l, struct umpa_cluster c, uint64_t gap)
{
	while (l->nclusters && c.begin < l->cluster[l->nclusters - 1].end + gap) {
		const struct umpa_cluster *last = &l->cluster[--l->nclusters];

		c.begin = lesser(c.begin, last->begin);
		c.end = c.end > last->end ? c.end : last->end;
	}
	if (l->nclusters == NCLUSTERS_MAX)
		return 0;
	l->cluster[l->nclusters++] = c;
	return 1;
}

/* 1; 0: the last one ends above that. */
static int place(struct umpa_layout *l, uint64_t end)
{
	uint64_t at = PHYSICAL_MIN;

	for (unsigned i = 0; i < l->nclusters; i++) {
		struct umpa_cluster *c = &l->cluster[i];

		c->physical = at + c->begin % GIB;
		at = rounded_up(c->physical + (c->end - c->begin), GIB);
	}
	l->physical_end = at;
	return at <= end;
}

static int make(
	struct umpa_layout *l, const struct umpa_area *a, size_t n, uint64_t gap, uint64_t end)
{
	memset(l, 0, sizeof(*l));
	for (size_t i = 0; i < n; i++)
		if (!add(l, room_of(&a[i]), gap))
			return 0;
	return place(l, end);
}

int umpa_layout_make(struct umpa_layout *l, const struct umpa_area *areas, size_t n, unsigned nbits)
{
	if (!are_in_order(areas, n) || nbits > 52)
		return -EINVAL;
	for (size_t i = 0; i < array_len(gap_nbytes); i++)
		if (make(l, areas, n, gap_nbytes[i], (uint64_t)1 << nbits))
			return 0;
	return -ENOTSUP;
}

int umpa_layout_physical(const struct umpa_layout *l, uintptr_t addr, uint64_t *physical)
{
	for (unsigned i = 0; i < l->nclusters; i++) {
		const struct umpa_cluster *c = &l->cluster[i];

		if (addr >= c->begin && addr < c->end) {
			*physical = c->physical + (addr - c->begin);
			return 0;
		}
	}
	return -EFAULT;
}

int umpa_layout_virtual(const struct umpa_layout *l, uint64_t physical, uintptr_t *addr)
{
	for (unsigned i = 0; i < l->nclusters; i++) {
		const struct umpa_cluster *c = &l->cluster[i];

		if (physical >= c->physical && physical - c->physical < c->end - c->begin) {
			*addr = c->begin + (uintptr_t)(physical - c->physical);
			return 0;
		}
	}
	return -EFAULT;
}
