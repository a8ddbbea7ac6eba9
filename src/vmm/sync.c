/*
 * What a guest sees becomes what the host sees: contents of pages are brought to where page tables
 * lead to them from, and page tables lead each page home again.
 *
 * Entries say where from: a permutation of the pages of a range, once pages that lead nowhere are
 * given those that nobody leads to. It is undone cycle by cycle, with one swap less than a cycle
 * has members; superpages that lead to superpages as such, by carrying frames. So those of which
 * most pages lead to one are made whole first, page by page, or a page that has changed places
 * would have all of a cycle copied.
 */
#include <errno.h>
#include <umpa/page.h>
#include <umpa/rewire.h>

#include "core/core.h"
#include "os/os.h"
#include "os/process.h"
#include "vmm/left.h"
#include "vmm/machine.h"

/* Pages, or superpages, of the range: numbered from its begin. */
struct view {
	struct umpa_guest *g;
	char *begin;
	size_t npages;
	uint64_t *led_to; /* a bit a page: some page leads to it */
	uint32_t *leader; /* the page that leads to it, where straighten() has been */
	int by_pages;     /* contents of single pages were swapped */
};

#define NOWHERE SIZE_MAX /* it leads nowhere */
#define OUTSIDE (SIZE_MAX - 1)

static char *at(const struct view *v, size_t page)
{
	return v->begin + (page << PAGE_SHIFT);
}

/* The page of the range that one leads to. */
static size_t home_of(const struct view *v, size_t page)
{
	const char *home = umpa_peers_home(v->g, at(v, page));

	if (!home)
		return NOWHERE;
	if (home < v->begin || home >= at(v, v->npages))
		return OUTSIDE;
	return (size_t)(home - v->begin) >> PAGE_SHIFT;
}

static int is_led_to(const struct view *v, size_t page)
{
	return v->led_to[page / 64] >> page % 64 & 1;
}

/* --- superpages --------------------------------------------------------------------------- */

/* n pages from one on are a superpage of the range. */
static int is_superpage(const struct view *v, size_t page)
{
	return page < v->npages && umpa_g_is_superpage(at(v, page), v->npages - page);
}

static size_t first_superpage(const struct view *v)
{
	return -((uintptr_t)v->begin >> PAGE_SHIFT) & (SLOT_NPAGES - 1);
}

/* It leads as a whole to a whole one; or, nowhere. */
static int leads_whole(const struct view *v, size_t page)
{
	return is_superpage(v, page) && !umpa_g_is_split(*umpa_g_pte(v->g, at(v, page), 1));
}

/* So many pages from one on that lead one way: those of a superpage, or one. */
static size_t in_one(const struct view *v, size_t page)
{
	return leads_whole(v, page) ? SLOT_NPAGES : 1;
}

/* --- who is led to ------------------------------------------------------------------------ */

static int any_is_led_to(const struct view *v, size_t page, size_t n)
{
	if ((page | n) % 64) {
		for (size_t i = page; i < page + n; i++)
			if (is_led_to(v, i))
				return 1;
		return 0;
	}
	for (size_t w = page / 64; w < (page + n) / 64; w++)
		if (v->led_to[w])
			return 1;
	return 0;
}

static void note_led_to(const struct view *v, size_t page, size_t n)
{
	if ((page | n) % 64) {
		for (size_t i = page; i < page + n; i++)
			v->led_to[i / 64] |= (uint64_t)1 << i % 64;
		return;
	}
	for (size_t w = page / 64; w < (page + n) / 64; w++)
		v->led_to[w] = UINT64_MAX;
}

/* A superpage that is made of pages has a table; another leads to where one begins. */
static int is_entry(const struct view *v, size_t page, size_t home)
{
	uint64_t entry = *umpa_g_pte(v->g, at(v, page), 1);

	if (umpa_g_is_split(entry))
		return umpa_peers_has_table(v->g, entry);
	return !leads_whole(v, page) || home >= OUTSIDE ||
	       umpa_g_is_superpage(at(v, home), SLOT_NPAGES);
}

/* Notes where each page leads. -EINVAL: out of the range, or two to one, or it is no entry. */
static int look(const struct view *v)
{
	for (size_t page = 0, n; page < v->npages; page += n) {
		size_t home = home_of(v, page);

		n = in_one(v, page);
		if (!is_entry(v, page, home))
			return -EINVAL;
		if (home == NOWHERE)
			continue;
		if (home == OUTSIDE || home + n > v->npages || any_is_led_to(v, home, n))
			return -EINVAL;
		note_led_to(v, home, n);
	}
	return 0;
}

/* --- a permutation ------------------------------------------------------------------------ */

static void lead(const struct view *v, size_t page, size_t home, size_t n)
{
	umpa_g_map(v->g, at(v, page), at(v, home), n);
	note_led_to(v, home, n);
}

/* The next one from `page` on, of n pages, that nobody leads to. There is one for each that leads
 * nowhere; of superpages perhaps not. */
static size_t next_free(const struct view *v, size_t page, size_t n)
{
	for (; page + n <= v->npages; page += n)
		if (!any_is_led_to(v, page, n))
			break;
	return page;
}

static void complete_superpages(const struct view *v)
{
	size_t first = first_superpage(v), free = first;

	for (size_t page = first; is_superpage(v, page); page += SLOT_NPAGES) {
		if (!leads_whole(v, page) || home_of(v, page) != NOWHERE)
			continue;
		free = next_free(v, free, SLOT_NPAGES);
		if (!is_superpage(v, free))
			break;
		lead(v, page, free, SLOT_NPAGES);
	}
}

static void complete_pages(const struct view *v)
{
	size_t free = 0;

	for (size_t page = 0; page < v->npages;) {
		if (home_of(v, page) != NOWHERE) {
			page += in_one(v, page);
			continue;
		}
		free = next_free(v, free, 1);
		lead(v, page++, free, 1);
	}
}

/* --- superpages of which most pages lead to one ------------------------------------------- */

static int is_split(const struct view *v, size_t page)
{
	return umpa_g_is_split(*umpa_g_pte(v->g, at(v, page), 1));
}

static int any_is_split(const struct view *v)
{
	for (size_t page = first_superpage(v); is_superpage(v, page); page += SLOT_NPAGES)
		if (is_split(v, page))
			return 1;
	return 0;
}

static size_t nlead_to(const struct view *v, size_t page, size_t home)
{
	size_t n = 0;

	for (size_t i = 0; i < SLOT_NPAGES; i++)
		n += home_of(v, page + i) == home + i;
	return n;
}

/* The superpage that more than half of a superpage's pages lead to, each to the one in its place;
 * NOWHERE: none. Each that leads elsewhere takes one away that might: one that is left at the end
 * is the only one it can be. */
static size_t most_lead_to(const struct view *v, size_t page)
{
	size_t most = NOWHERE, n = 0;

	for (size_t i = 0; i < SLOT_NPAGES; i++) {
		size_t home = home_of(v, page + i) - i;

		if (!n)
			most = home;
		n += home == most ? 1 : (size_t)-1;
	}
	return n && is_superpage(v, most) && nlead_to(v, page, most) > SLOT_NPAGES / 2 ? most
										       : NOWHERE;
}

/* A page leads to where it should, and who has led there to where it did: the contents have changed
 * places. 0: they can't. */
static int set_right(struct view *v, size_t page, size_t home)
{
	size_t was = home_of(v, page), other = v->leader[home];

	if (was == home)
		return 1;
	if (umpa_swap(at(v, was), at(v, home), PAGE_NBYTES))
		return 0;
	v->by_pages = 1;
	umpa_g_map(v->g, at(v, page), at(v, home), 1);
	umpa_g_map(v->g, at(v, other), at(v, was), 1);
	v->leader[home] = (uint32_t)page;
	v->leader[was] = (uint32_t)other;
	return 1;
}

static void straighten_one(struct view *v, size_t page)
{
	size_t home = most_lead_to(v, page), i = 0;

	if (home == NOWHERE)
		return;
	while (i < SLOT_NPAGES && set_right(v, page + i, home + i))
		i++;
	if (i == SLOT_NPAGES)
		umpa_g_map(v->g, at(v, page), at(v, home), SLOT_NPAGES);
}

/* Without memory for it all is undone page by page. */
static void straighten(struct view *v)
{
	size_t nbytes = rounded_up(v->npages * sizeof(*v->leader), PAGE_NBYTES);
	void *memory;

	if (v->npages > UINT32_MAX || !any_is_split(v) || umpa_os_map(nbytes, &memory))
		return;
	v->leader = memory;
	for (size_t page = 0; page < v->npages; page++)
		v->leader[home_of(v, page)] = (uint32_t)page;
	for (size_t page = first_superpage(v); is_superpage(v, page); page += SLOT_NPAGES)
		if (is_split(v, page))
			straighten_one(v, page);
	umpa_os_unmap(memory, nbytes);
}

/* --- cycles ------------------------------------------------------------------------------- */

/* All that lead on from a superpage, until it comes again, do so as wholes. */
static int is_cycle_of_superpages(const struct view *v, size_t page)
{
	size_t next = page;

	do {
		if (!leads_whole(v, next))
			return 0;
		next = home_of(v, next);
	} while (next != page);
	return 1;
}

/* What was at the first one's home has been carried on to a page: who leads there shall lead to it.
 */
static void break_off(const struct view *v, size_t first, size_t page, size_t n)
{
	size_t last = page;

	while (home_of(v, last) != first)
		last = home_of(v, last);
	umpa_g_map(v->g, at(v, last), at(v, page), n);
}

/* Each gets what it leads to, and leads home. Where a swap is refused, what is seen stays. */
static int undo_cycle(const struct view *v, size_t first, size_t n)
{
	size_t page = first, next;

	while ((next = home_of(v, page)) != first) {
		if (umpa_swap(at(v, page), at(v, next), n << PAGE_SHIFT)) {
			break_off(v, first, page, n);
			return -EINVAL;
		}
		umpa_g_map(v->g, at(v, page), at(v, page), n);
		/* What was there is where the next one's was. */
		page = next;
	}
	umpa_g_map(v->g, at(v, page), at(v, page), n);
	return 0;
}

static int undo_superpages(const struct view *v)
{
	int error = 0;

	for (size_t page = first_superpage(v); !error && is_superpage(v, page); page += SLOT_NPAGES)
		if (leads_whole(v, page) && home_of(v, page) != page &&
			is_cycle_of_superpages(v, page))
			error = undo_cycle(v, page, SLOT_NPAGES);
	return error;
}

static int undo_pages(struct view *v)
{
	int error = 0;

	for (size_t page = 0; !error && page < v->npages;) {
		if (home_of(v, page) == page) {
			page += in_one(v, page);
		} else {
			v->by_pages = 1;
			error = undo_cycle(v, page++, 1);
		}
	}
	return error;
}

/* Superpages of pages that are all at home are superpages again. */
static void join(const struct view *v)
{
	for (size_t page = first_superpage(v); is_superpage(v, page); page += SLOT_NPAGES)
		umpa_g_map(v->g, at(v, page), at(v, page), SLOT_NPAGES);
}

/* --- the call ----------------------------------------------------------------------------- */

static int sync_view(struct view *v)
{
	void *bits;
	size_t nbytes = rounded_up(v->npages / 8 + 8, PAGE_NBYTES);
	int error = umpa_os_map(nbytes, &bits);

	if (error)
		return error;
	v->led_to = bits;
	error = look(v);
	if (!error) {
		complete_superpages(v);
		complete_pages(v);
		straighten(v);
		error = undo_superpages(v);
	}
	if (!error)
		error = undo_pages(v);
	if (!error)
		join(v);
	umpa_os_unmap(bits, nbytes);
	return error;
}

/* All CPUs, and a kernel that shadows page tables, learn what entries are now. */
static int tell(struct umpa_vmm *vmm, const struct view *v)
{
	struct umpa_guest_range range = {v->begin, v->npages};
	const struct umpa_vmm_visit rewrite = {.fn = umpa_guest_rewrite, .arg = &range};
	struct umpa_vmm_fault fault = {.cause = UMPA_VMM_FAULT_NONE};
	long ret;

	umpa_epoch_begin(&vmm->peers.epochs);
	if (vmm->kvm.facts.nested)
		return 0;
	return umpa_vmm_enter(&vmm->cpu[0], &rewrite, &ret, &fault) ? -EIO : 0;
}

static int may_be(const struct umpa_vmm *vmm, const void *addr, size_t nbytes)
{
	const struct umpa_guest *g = &vmm->cpu[0].guest;
	uintptr_t at_byte = (uintptr_t)addr - g->base;

	return at_byte <= g->nbytes && nbytes <= g->nbytes - at_byte;
}

/* Up to the last slot that was used. */
static struct view all_held(struct umpa_vmm *vmm)
{
	size_t nslots = 0;

	for (unsigned i = 0; i < vmm->ncpus; i++) {
		const struct umpa_holding *h = &vmm->cpu[i].holding;

		if (h->extents.nslots)
			nslots = umpa_holding_slot(&vmm->cpu[0].holding, h->begin) +
				 h->extents.nslots;
	}
	return (struct view){
		&vmm->cpu[0].guest, (char *)vmm->peers.held, nslots * SLOT_NPAGES, NULL, NULL, 0};
}

/* Where contents went page by page, frames may have come to where there are none. No CPU runs, so
 * none remembers what is in limbo. */
static void empty_void_slots(struct umpa_vmm *vmm)
{
	uint32_t n;

	for (unsigned i = 0; i < vmm->ncpus; i++) {
		struct umpa_holding *h = &vmm->cpu[i].holding;

		umpa_holding_end_limbo(h);
		for (uint32_t k = 0; k < h->extents.nslots; k += n)
			if (umpa_holding_kind(h, k, &n) == EXTENT_VOID)
				(void)!umpa_unback(h->begin + ((size_t)k << SLOT_SHIFT),
					(size_t)n << SLOT_SHIFT);
	}
}

static uint64_t nslots_copied(void)
{
	return __atomic_load_n(&umpa_core.events.nslots_copied, __ATOMIC_RELAXED);
}

/* Superpages go as bytes, too, where the system does not let their frames go. */
static int bring_home(struct umpa_vmm *vmm, struct view *v)
{
	uint64_t before = nslots_copied();
	int error;

	*v = all_held(vmm);
	error = v->npages ? sync_view(v) : 0;
	if (!error && (v->by_pages || nslots_copied() != before))
		empty_void_slots(vmm);
	return error;
}

int umpa_vmm_bring_home(struct umpa_vmm *vmm)
{
	struct view v;

	return bring_home(vmm, &v);
}

static int sync_all_cpus(struct umpa_vmm *vmm, void *addr, size_t nbytes)
{
	struct view v = {&vmm->cpu[0].guest, addr, nbytes >> PAGE_SHIFT, NULL, NULL, 0};
	int error;

	if (vmm->is_host)
		return 0;
	error = addr || nbytes ? sync_view(&v) : bring_home(vmm, &v);
	return v.npages && tell(vmm, &v) ? -EIO : error;
}

public_api int umpa_vmm_sync(struct umpa_vmm *vmm, void *addr, size_t nbytes)
{
	struct umpa_stand stand = umpa_stand_at((uintptr_t)__builtin_frame_address(0));
	int error, kept = errno;

	if (!vmm || (((uintptr_t)addr | nbytes) & (PAGE_NBYTES - 1)) ||
		((addr || nbytes) && !vmm->is_host && !may_be(vmm, addr, nbytes)))
		return -EINVAL;
	if (vmm->pid != umpa_process_id())
		return -ESTALE;
	if (!umpa_vmm_take_all(vmm, &stand))
		return -EBUSY;
	error = sync_all_cpus(vmm, addr, nbytes);
	umpa_vmm_give_all(vmm);
	errno = kept;
	return error;
}
