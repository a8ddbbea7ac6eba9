#include "mm/mapping.h"

#include <errno.h>
#include <sys/mman.h>

#include "core/block.h"
#include "core/carry.h"
#include "core/fork.h"
#include "core/pool.h"
#include "mm/left.h"
#include "mm/mapping_parts.h"
#include "mm/owner.h"
#include "mm/pages.h"
#include "mm/restore.h"
#include "os/process.h"

static int distrusted;                     /* atomic */
static int started;                        /* atomic */
struct umpa_attributes umpa_mapping_table; /* changed with all locks of the pages, read with one */

/* --- start -------------------------------------------------------------------------------- */

static int start(void)
{
	if (umpa_pages_start())
		return 0;
	if (!umpa_attributes_init(&umpa_mapping_table, umpa_core.window.nslots))
		return 1;
	umpa_pages_stop();
	return 0;
}

int umpa_mapping_need(void)
{
	int is = __atomic_load_n(&started, __ATOMIC_ACQUIRE);

	if (likely(is))
		return 1;
	umpa_pages_lock_start();
	is = started || start();
	__atomic_store_n(&started, is, __ATOMIC_RELEASE);
	umpa_pages_unlock_start();
	return is;
}

void umpa_mapping_narrow(void)
{
	umpa_pages_lock();
	if (started)
		umpa_attributes_narrow(&umpa_mapping_table, umpa_core.window.nslots);
	umpa_pages_unlock();
}

void umpa_mapping_stop(void)
{
	if (!started)
		return;
	umpa_attachments_stop();
	umpa_left_stop();
	umpa_attributes_fini(&umpa_mapping_table);
	umpa_pages_stop();
	started = distrusted = 0;
}

/* --- mapping and ending ------------------------------------------------------------------- */

int umpa_mapping_extend(size_t first, size_t end)
{
	struct umpa_pages_taken t;
	int error;

	umpa_pages_lock();
	error = umpa_pages_take(first, end, &t);
	umpa_pages_unlock();
	if (!error)
		umpa_pages_clear(&t);
	return error;
}

size_t umpa_mapping_row(size_t first, size_t end, int *mapped)
{
	size_t row_end;

	umpa_pages_lock();
	row_end = umpa_pages_row(first, end, mapped);
	umpa_pages_unlock();
	return row_end;
}

int umpa_mapping_is_ordinary(size_t first, size_t end)
{
	size_t row_end;

	return !umpa_attributes_row(&umpa_mapping_table, first, end, &row_end) && row_end == end;
}

void umpa_mapping_forget_void(size_t first, size_t end)
{
	umpa_attributes_change(&umpa_mapping_table, first, end, PAGE_VOID, 0);
}

/* Of pages that are ordinary, but for PAGE_VOID. */
static void end_ordinary(size_t first, size_t end)
{
	size_t row_end;

	for (size_t at = first; at < end; at = row_end) {
		int is_void =
			umpa_attributes_row(&umpa_mapping_table, at, end, &row_end) & PAGE_VOID;

		umpa_pages_end(at, row_end, is_void ? EXTENT_VOID : EXTENT_RESIDENT);
	}
}

void umpa_mapping_distrust(void)
{
	__atomic_store_n(&distrusted, 1, __ATOMIC_RELAXED);
}

int umpa_mapping_distrusted(void)
{
	return __atomic_load_n(&distrusted, __ATOMIC_RELAXED);
}

int umpa_mapping_hold(size_t first, size_t end, int all)
{
	struct umpa_owner_row row;
	int error = 0;

	if (likely(!umpa_mapping_distrusted()))
		return 0;
	error = umpa_attributes_need(&umpa_mapping_table, end);
	for (; !error && first < end; first = row.end) {
		row = umpa_owner_row_at(first, end);
		if (row.owner == OF_MAPPINGS || (all && row.owner == OF_BLOCK))
			umpa_attributes_change(&umpa_mapping_table, first, row.end, 0, PAGE_ODD);
		umpa_owner_mark(&row, all);
	}
	return error;
}

int umpa_mapping_end_mapped(size_t first, size_t end)
{
	int error = umpa_mapping_hold(first, end, 0);

	if (!error)
		error = umpa_restore(&umpa_mapping_table, first, end);
	if (!error)
		end_ordinary(first, end);
	/* Also where it got half-way: these can be written now. */
	umpa_mapping_forget_void(first, end);
	return error;
}

/* The usual case: one shard's pages, all of them ordinary. 1 if done. */
static int end_usual(size_t first, size_t end)
{
	struct umpa_pages_shard *s = umpa_pages_lock_shard(first, end);
	int is_usual;

	if (!s)
		return 0;
	is_usual = umpa_mapping_is_ordinary(first, end);
	if (is_usual)
		umpa_left_end(s, first, end);
	umpa_pages_unlock_shard(s);
	return is_usual;
}

static int end_any(size_t first, size_t end)
{
	int error;

	umpa_pages_lock();
	error = umpa_mapping_end_mapped(first, end);
	umpa_pages_unlock();
	return error;
}

int umpa_mapping_end(size_t first, size_t end)
{
	int usual = !umpa_mapping_distrusted() && end_usual(first, end);
	int error = usual ? 0 : end_any(first, end);

	umpa_left_settle();
	umpa_pool_keep_limit();
	return error;
}

size_t umpa_mapping_reach(size_t first, size_t end)
{
	struct umpa_owner_row row;

	umpa_pages_lock();
	for (; first < end; first = row.end) {
		row = umpa_owner_row_at(first, end);
		if (row.owner == OF_NOBODY)
			break;
	}
	umpa_pages_unlock();
	return first;
}

/* --- attributes --------------------------------------------------------------------------- */

unsigned umpa_mapping_attributes_of(int prot)
{
	unsigned attributes = 0;

	attributes |= prot & PROT_READ ? 0 : PAGE_UNREADABLE;
	attributes |= prot & PROT_WRITE ? 0 : PAGE_UNWRITABLE;
	attributes |= prot & PROT_EXEC ? PAGE_EXECUTABLE : 0;
	return attributes;
}

static int prot_of_attributes(unsigned attributes)
{
	return (attributes & PAGE_UNREADABLE ? 0 : PROT_READ) |
	       (attributes & PAGE_UNWRITABLE ? 0 : PROT_WRITE) |
	       (attributes & PAGE_EXECUTABLE ? PROT_EXEC : 0);
}

int umpa_mapping_prot(size_t first, size_t end)
{
	unsigned attributes, next;
	size_t row_end;
	int alike = 1;

	umpa_pages_lock();
	attributes = umpa_attributes_row(&umpa_mapping_table, first, end, &row_end) & ~PAGE_VOID;
	while (alike && row_end < end) {
		next = umpa_attributes_row(&umpa_mapping_table, row_end, end, &row_end) &
		       ~PAGE_VOID;
		alike = next == attributes;
	}
	umpa_pages_unlock();
	if (!alike)
		return MAPPING_MIXED;
	return attributes & (PAGE_ODD | PAGE_UNFORKED) ? MAPPING_ODD
						       : prot_of_attributes(attributes);
}

int umpa_mapping_is_at_risk(size_t first, size_t end)
{
	int at_risk = 0;

	while (!at_risk && first < end)
		at_risk = umpa_attributes_row(&umpa_mapping_table, first, end, &first) &
			  (PAGE_ODD | PAGE_UNFORKED);
	return at_risk;
}

static int protect_row(size_t first, size_t end, int prot)
{
	struct umpa_attributes *a = &umpa_mapping_table;
	unsigned attributes = umpa_mapping_attributes_of(prot);
	int error = attributes ? umpa_attributes_need(a, end) : 0;

	if (error)
		return error;
	error = umpa_os_protect(umpa_pages_address(first), (end - first) << PAGE_SHIFT, prot);
	if (error || prot != PROT_NONE)
		umpa_mapping_forget_void(first, end);
	if (!error)
		umpa_attributes_change(a, first, end, PAGE_GUARDED, attributes);
	else if (attributes && (error != -EINVAL || umpa_mapping_is_at_risk(first, end)))
		/* It may have got half-way, by -EINVAL up to the part of a huge page. */
		umpa_attributes_change(a, first, end, 0, PAGE_ODD | attributes);
	return error;
}

static int protect_rows(size_t first, size_t end, int prot)
{
	struct umpa_owner_row row;
	int error = 0;

	for (; !error && first < end; first = row.end) {
		row = umpa_owner_row_at(first, end);
		error = row.owner == OF_NOBODY ? -ENOMEM : protect_row(first, row.end, prot);
		/* Also where it got half-way. */
		umpa_owner_mark(&row, umpa_mapping_attributes_of(prot));
	}
	return error;
}

int umpa_mapping_closed(size_t first, size_t end, unsigned also)
{
	size_t row_end;
	unsigned attributes = umpa_attributes_row(&umpa_mapping_table, first, end, &row_end);

	return row_end == end &&
	       (attributes & ~also) == (PAGE_UNREADABLE | PAGE_UNWRITABLE | PAGE_VOID);
}

void umpa_mapping_fill(size_t first, size_t end)
{
	uint32_t from = slots_of(first), to = (uint32_t)(end / SLOT_NPAGES);

	if (from < to)
		umpa_carry_fill_in_use((struct slot){from}, to - from);
}

int umpa_mapping_protect(size_t first, size_t end, int prot)
{
	int error, opens;

	umpa_pages_lock();
	opens = prot == (PROT_READ | PROT_WRITE) && umpa_mapping_closed(first, end, PAGE_UNFORKED);
	error = protect_rows(first, end, prot);
	umpa_pages_unlock();
	if (opens && !error)
		umpa_mapping_fill(first, end);
	return error;
}

/* What advice leaves with pages, and what it takes from them. */
struct trace {
	unsigned taken, given;
};

static struct trace trace_of(int advice, int lasting)
{
	switch (advice) {
	case MADV_DONTFORK:
		return (struct trace){0, PAGE_UNFORKED};
	case MADV_DOFORK:
		return (struct trace){PAGE_UNFORKED, 0};
	default:
		return (struct trace){0, lasting ? PAGE_ODD : 0};
	}
}

static int advise_row(size_t first, size_t end, int advice, struct trace t)
{
	int error = t.given ? umpa_attributes_need(&umpa_mapping_table, end) : 0;

	if (error)
		return error;
	if (t.given & PAGE_UNFORKED)
		umpa_mapping_table.unforked_by =
			umpa_os_confined() ? UNFORKED_BY_SOMEBODY : umpa_process_id();
	/* Also where the call is refused half-way. */
	umpa_attributes_change(&umpa_mapping_table, first, end, 0, t.given);
	error = umpa_os_advise(umpa_pages_address(first), (end - first) << PAGE_SHIFT, advice);
	if (!error)
		umpa_attributes_change(&umpa_mapping_table, first, end, t.taken, 0);
	return error;
}

int umpa_mapping_advise(size_t first, size_t end, int advice, int lasting)
{
	struct trace t = trace_of(advice, lasting);
	int error = 0, missing = 0;
	struct umpa_owner_row row;

	umpa_pages_lock();
	for (; !error && first < end; first = row.end) {
		row = umpa_owner_row_at(first, end);
		missing |= row.owner == OF_NOBODY;
		if (row.owner == OF_NOBODY)
			continue;
		error = advise_row(first, row.end, advice, t);
		umpa_owner_mark(&row, t.given != 0);
	}
	umpa_pages_unlock();
	if (error || !missing)
		return error;
	/* Advice that is none is refused as such where there is nothing to be advised, too. */
	error = umpa_os_advise(umpa_pages_address(end), 0, advice);
	return error ? error : -ENOMEM;
}

int umpa_mapping_expect_oddity(size_t first, size_t end)
{
	struct umpa_owner_row row;
	int error;

	umpa_pages_lock();
	error = umpa_attributes_need(&umpa_mapping_table, end);
	for (; !error && first < end; first = row.end) {
		row = umpa_owner_row_at(first, end);
		if (row.owner == OF_NOBODY)
			continue;
		umpa_attributes_change(&umpa_mapping_table, first, row.end, PAGE_VOID, PAGE_ODD);
		umpa_owner_mark(&row, 1);
	}
	umpa_pages_unlock();
	return error;
}

int umpa_mapping_ordinary(size_t first, size_t end, size_t *row_end)
{
	unsigned attributes;
	struct umpa_owner_row row;

	umpa_pages_lock();
	row = umpa_owner_row_at(first, end);
	attributes = umpa_attributes_row(&umpa_mapping_table, first, row.end, row_end);
	umpa_pages_unlock();
	return row.owner != OF_NOBODY && !attributes;
}

size_t umpa_mapping_gap(size_t first, size_t end)
{
	struct umpa_owner_row row;

	umpa_pages_lock();
	row = umpa_owner_row_at(first, end);
	umpa_pages_unlock();
	return row.owner == OF_NOBODY ? row.end : first;
}

/* --- blocks ------------------------------------------------------------------------------- */

/* No other block that begins in the slot has attributes: a run ends in the next slot at the latest,
 * a span that begins here has its head before it. */
static int is_clean(const struct umpa_block *b)
{
	struct slot slot = umpa_window_slot(&umpa_core.window, b->begin);
	size_t page = (size_t)slot.i * SLOT_NPAGES,
	       all = (size_t)umpa_core.window.nslots * SLOT_NPAGES,
	       end = page + (size_t)2 * SLOT_NPAGES;

	return umpa_mapping_is_ordinary(page, end < all ? end : all) &&
	       !slot_nhead(slot_after(slot, 1));
}

static int settle(const struct umpa_block *b, int keep)
{
	size_t first = umpa_pages_number(b->begin), end = first + b->npages;
	int error;

	umpa_pages_lock();
	error = keep && umpa_mapping_is_at_risk(first, end)
			? -EBUSY
			: umpa_restore(&umpa_mapping_table, first, end);
	if (!error && is_clean(b))
		umpa_block_unmark(b);
	umpa_pages_unlock();
	return error;
}

static enum umpa_pages_kind look(const void *addr, size_t nbytes)
{
	size_t first = umpa_pages_number(addr), end = first + (nbytes >> PAGE_SHIFT);
	unsigned all = 0;

	umpa_pages_lock();
	while (first < end)
		all |= umpa_attributes_row(&umpa_mapping_table, first, end, &first);
	umpa_pages_unlock();
	if (all & (PAGE_UNREADABLE | PAGE_UNWRITABLE))
		return PAGES_CLOSED;
	return all ? PAGES_ODD : PAGES_ORDINARY;
}

/* --- fork --------------------------------------------------------------------------------- */

/* 1: it was handed on after all, by advice that nobody noted. */
static int is_no_hole(size_t first, size_t end)
{
	if (umpa_os_advise(umpa_pages_address(first), (end - first) << PAGE_SHIFT, MADV_DOFORK))
		return 0;
	umpa_attributes_change(&umpa_mapping_table, first, end, PAGE_UNFORKED, 0);
	return 1;
}

/* Mapped anew, and closed. Where that is refused the hole stays. */
static void close_hole(size_t first, size_t end)
{
	umpa_attributes_change(&umpa_mapping_table, first, end, 0, PAGE_ODD);
	if (!umpa_restore(&umpa_mapping_table, first, end))
		(void)!protect_rows(first, end, PROT_NONE);
}

static void close_row(size_t first, size_t end)
{
	if (is_no_hole(first, end))
		return;
	/* As a rule all of it is one: then nobody can come in between. */
	if (!umpa_os_reserve_at(umpa_pages_address(first), (end - first) << PAGE_SHIFT)) {
		close_hole(first, end);
		return;
	}
	for (size_t page = first, next; page < end; page = next) {
		int there = is_no_hole(page, page + 1);

		for (next = page + 1; !there && next < end && !is_no_hole(next, next + 1);)
			next++;
		if (!there)
			close_hole(page, next);
	}
}

static void close_holes(size_t end)
{
	const struct umpa_attributes *a = &umpa_mapping_table;
	size_t row_end;

	for (size_t first = 0; first < end; first = row_end)
		if (umpa_attributes_row(a, first, end, &row_end) & PAGE_UNFORKED)
			close_row(first, row_end);
}

/* In a child, what MADV_DONTFORK kept back is a hole, where anybody's mapping may come to lie, and
 * be taken for umpa's then. So it is made the window's again at once. As in a hole nobody can read
 * or write there. */
static void mend_holes(void)
{
	if (likely(!umpa_mapping_table.unforked_by))
		return;
	umpa_pages_lock();
	close_holes((size_t)umpa_window_nslots_open(&umpa_core.window) * SLOT_NPAGES);
	umpa_mapping_table.unforked_by = 0;
	umpa_pages_unlock();
}

/* When the library is loaded: fork takes the pages' locks before all others. */
__attribute__((constructor)) static void register_hooks(void)
{
	umpa_block_settle = settle;
	umpa_block_look = look;
	umpa_fork_above = (struct umpa_fork_above){umpa_pages_lock, umpa_pages_unlock, mend_holes};
}

/* --- for tests ---------------------------------------------------------------------------- */

static int void_valid(size_t first, size_t end)
{
	const unsigned closed = PAGE_UNREADABLE | PAGE_UNWRITABLE;
	size_t row_end;
	int mapped;

	for (; first < end; first = row_end) {
		unsigned attributes =
			umpa_attributes_row(&umpa_mapping_table, first, end, &row_end);

		if (attributes & PAGE_VOID && (attributes & closed) != closed)
			return 0;
		if (attributes & PAGE_VOID &&
			(umpa_pages_row(first, row_end, &mapped) < row_end || !mapped))
			return 0;
	}
	return 1;
}

static int slot_valid(size_t first)
{
	size_t end = first + SLOT_NPAGES;
	struct umpa_owner_row row;

	if (!void_valid(first, end))
		return 0;
	for (size_t at = first; at < end; at = row.end) {
		row = umpa_owner_row_at(at, end);
		if (row.owner == OF_MAPPINGS || umpa_mapping_is_ordinary(at, row.end))
			continue;
		if (row.owner == OF_NOBODY || !umpa_block_marked(&row.block))
			return 0;
	}
	return 1;
}

int umpa_mapping_valid(void)
{
	size_t nslots = umpa_window_nslots_open(&umpa_core.window);
	int ok;

	if (!started)
		return 1;
	umpa_pages_lock();
	ok = umpa_pages_valid();
	for (size_t i = 0; ok && i < nslots; i++)
		ok = slot_valid(i * SLOT_NPAGES);
	umpa_pages_unlock();
	return ok;
}
