#include "mm/mapping.h"

#include <errno.h>
#include <sys/mman.h>

#include "core/block.h"
#include "core/clear.h"
#include "mm/pages.h"
#include "mm/restore.h"

static int started;                  /* atomic */
static struct umpa_attributes table; /* changed with all locks of the pages, read with one */

/* --- start -------------------------------------------------------------------------------- */

static int start(void)
{
	if (umpa_pages_start())
		return 0;
	if (!umpa_attributes_init(&table, umpa_core.window.nslots))
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
		umpa_attributes_narrow(&table, umpa_core.window.nslots);
	umpa_pages_unlock();
}

void umpa_mapping_stop(void)
{
	if (!started)
		return;
	umpa_attachments_stop();
	umpa_attributes_fini(&table);
	umpa_pages_stop();
	started = 0;
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

static int is_ordinary(size_t first, size_t end)
{
	size_t row_end;

	return !umpa_attributes_row(&table, first, end, &row_end) && row_end == end;
}

static void forget_void(size_t first, size_t end)
{
	umpa_attributes_change(&table, first, end, PAGE_VOID, 0);
}

/* Of pages that are ordinary, but for PAGE_VOID. */
static void end_ordinary(size_t first, size_t end)
{
	size_t row_end;

	for (size_t at = first; at < end; at = row_end) {
		int is_void = umpa_attributes_row(&table, at, end, &row_end) & PAGE_VOID;

		umpa_pages_end(at, row_end, is_void ? EXTENT_VOID : EXTENT_RESIDENT);
	}
}

static int end_mapped(size_t first, size_t end)
{
	int error = umpa_restore(&table, first, end);

	if (!error)
		end_ordinary(first, end);
	/* Also where it got half-way: these can be written now. */
	forget_void(first, end);
	return error;
}

/* The usual case: one shard's pages, all of them ordinary. 1 if done. */
static int end_usual(size_t first, size_t end)
{
	struct umpa_pages_shard *s = umpa_pages_lock_shard(first, end);
	int is_usual;

	if (!s)
		return 0;
	is_usual = is_ordinary(first, end);
	if (is_usual)
		umpa_pages_end_of_shard(s, first, end);
	umpa_pages_unlock_shard(s);
	return is_usual;
}

static int end_any(size_t first, size_t end)
{
	int error;

	umpa_pages_lock();
	error = end_mapped(first, end);
	umpa_pages_unlock();
	return error;
}

int umpa_mapping_end(size_t first, size_t end)
{
	int error = end_usual(first, end) ? 0 : end_any(first, end);

	umpa_space_keep_limit();
	return error;
}

/* --- whose pages are ------------------------------------------------------------------------ */

/* Pages from some page on that belong to mappings, to one block, or to nobody. */
struct row {
	enum {
		OF_NOBODY,
		OF_MAPPINGS,
		OF_BLOCK
	} owner;
	size_t end;
	struct umpa_block block;
};

static size_t lesser(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t page_of(const char *addr)
{
	return (size_t)(addr - umpa_pages_address(0)) >> PAGE_SHIFT;
}

/* Where a block may begin behind a page that is nobody's. */
static size_t step_from(size_t page)
{
	struct slot slot = {(uint32_t)(page / SLOT_NPAGES)};
	int is_open = slot.i < umpa_window_nslots_open(&umpa_core.window);

	return is_open && slot_use(slot) == SLOT_SHELF ? page + 1 : (page | (SLOT_NPAGES - 1)) + 1;
}

static struct row narrow_row_at(size_t first, size_t end)
{
	struct row r = {.owner = OF_NOBODY};
	int mapped;

	r.end = umpa_pages_row(first, end, &mapped);
	if (mapped) {
		r.owner = OF_MAPPINGS;
	} else if (!umpa_block_of_range(umpa_pages_address(first), 0, &r.block)) {
		r.owner = OF_BLOCK;
		r.end = lesser(end, page_of(r.block.begin) + r.block.npages);
	} else {
		r.end = lesser(r.end, step_from(first));
	}
	return r;
}

static struct row row_at(size_t first, size_t end)
{
	struct row r = narrow_row_at(first, end), next;

	while (r.owner == OF_NOBODY && r.end < end) {
		next = narrow_row_at(r.end, end);
		if (next.owner != OF_NOBODY)
			break;
		r.end = next.end;
	}
	return r;
}

size_t umpa_mapping_reach(size_t first, size_t end)
{
	struct row row;

	umpa_pages_lock();
	for (; first < end; first = row.end) {
		row = row_at(first, end);
		if (row.owner == OF_NOBODY)
			break;
	}
	umpa_pages_unlock();
	return first;
}

/* Whose block has got attributes is marked, so that they are taken away when it is freed. */
static void mark(const struct row *r, int has_attributes)
{
	if (has_attributes && r->owner == OF_BLOCK)
		umpa_block_mark(&r->block);
}

/* --- attributes --------------------------------------------------------------------------- */

static unsigned attributes_of_prot(int prot)
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
	attributes = umpa_attributes_row(&table, first, end, &row_end) & ~PAGE_VOID;
	while (alike && row_end < end) {
		next = umpa_attributes_row(&table, row_end, end, &row_end) & ~PAGE_VOID;
		alike = next == attributes;
	}
	umpa_pages_unlock();
	if (!alike)
		return MAPPING_MIXED;
	return attributes & (PAGE_ODD | PAGE_UNFORKED) ? MAPPING_ODD
						       : prot_of_attributes(attributes);
}

/* Some page has content that may be lost when it is made ordinary. */
static int is_at_risk(size_t first, size_t end)
{
	int at_risk = 0;

	while (!at_risk && first < end)
		at_risk = umpa_attributes_row(&table, first, end, &first) &
			  (PAGE_ODD | PAGE_UNFORKED);
	return at_risk;
}

static int protect_row(size_t first, size_t end, int prot)
{
	struct umpa_attributes *a = &table;
	unsigned attributes = attributes_of_prot(prot);
	int error = attributes ? umpa_attributes_need(a, end) : 0;

	if (error)
		return error;
	error = umpa_os_protect(umpa_pages_address(first), (end - first) << PAGE_SHIFT, prot);
	if (error || prot != PROT_NONE)
		forget_void(first, end);
	if (!error)
		umpa_attributes_change(a, first, end, PAGE_GUARDED, attributes);
	else if (attributes && (error != -EINVAL || is_at_risk(first, end)))
		/* It may have got half-way, by -EINVAL up to the part of a huge page. */
		umpa_attributes_change(a, first, end, 0, PAGE_ODD | attributes);
	return error;
}

static int protect_rows(size_t first, size_t end, int prot)
{
	struct row row;
	int error = 0;

	for (; !error && first < end; first = row.end) {
		row = row_at(first, end);
		error = row.owner == OF_NOBODY ? -ENOMEM : protect_row(first, row.end, prot);
		/* Also where it got half-way. */
		mark(&row, attributes_of_prot(prot));
	}
	return error;
}

/* All of the range is closed, and differs in nothing else from ordinary memory but in `also`,
 * perhaps. */
static int is_closed(size_t first, size_t end, unsigned also)
{
	size_t row_end;
	unsigned attributes = umpa_attributes_row(&table, first, end, &row_end);

	return row_end == end &&
	       (attributes & ~also) == (PAGE_UNREADABLE | PAGE_UNWRITABLE | PAGE_VOID);
}

/* Frames from the pool for what has just been opened, as far as whole slots. Other threads may be
 * at it already. */
static void fill(size_t first, size_t end)
{
	uint32_t from = slots_of(first), to = (uint32_t)(end / SLOT_NPAGES);

	if (from < to)
		umpa_space_fill_in_use((struct slot){from}, to - from);
}

int umpa_mapping_protect(size_t first, size_t end, int prot)
{
	int error, opens;

	umpa_pages_lock();
	opens = prot == (PROT_READ | PROT_WRITE) && is_closed(first, end, PAGE_UNFORKED);
	error = protect_rows(first, end, prot);
	umpa_pages_unlock();
	if (opens && !error)
		fill(first, end);
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
	int error = t.given ? umpa_attributes_need(&table, end) : 0;

	if (error)
		return error;
	/* Also where the call is refused half-way. */
	umpa_attributes_change(&table, first, end, 0, t.given);
	error = umpa_os_advise(umpa_pages_address(first), (end - first) << PAGE_SHIFT, advice);
	if (!error)
		umpa_attributes_change(&table, first, end, t.taken, 0);
	return error;
}

int umpa_mapping_advise(size_t first, size_t end, int advice, int lasting)
{
	struct trace t = trace_of(advice, lasting);
	int error = 0, missing = 0;
	struct row row;

	umpa_pages_lock();
	for (; !error && first < end; first = row.end) {
		row = row_at(first, end);
		missing |= row.owner == OF_NOBODY;
		if (row.owner == OF_NOBODY)
			continue;
		error = advise_row(first, row.end, advice, t);
		mark(&row, t.given != 0);
	}
	umpa_pages_unlock();
	return error ? error : missing ? -ENOMEM : 0;
}

int umpa_mapping_expect_oddity(size_t first, size_t end)
{
	struct row row;
	int error;

	umpa_pages_lock();
	error = umpa_attributes_need(&table, end);
	for (; !error && first < end; first = row.end) {
		row = row_at(first, end);
		if (row.owner == OF_NOBODY)
			continue;
		umpa_attributes_change(&table, first, row.end, PAGE_VOID, PAGE_ODD);
		mark(&row, 1);
	}
	umpa_pages_unlock();
	return error;
}

int umpa_mapping_ordinary(size_t first, size_t end, size_t *row_end)
{
	unsigned attributes;
	struct row row;

	umpa_pages_lock();
	row = row_at(first, end);
	attributes = umpa_attributes_row(&table, first, row.end, row_end);
	umpa_pages_unlock();
	return row.owner != OF_NOBODY && !attributes;
}

size_t umpa_mapping_gap(size_t first, size_t end)
{
	struct row row;

	umpa_pages_lock();
	row = row_at(first, end);
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
	       all = (size_t)umpa_core.window.nslots * SLOT_NPAGES;

	return is_ordinary(page, lesser(page + (size_t)2 * SLOT_NPAGES, all)) &&
	       !slot_nhead(slot_after(slot, 1));
}

static int settle(const struct umpa_block *b, int keep)
{
	size_t first = page_of(b->begin), end = first + b->npages;
	int error;

	umpa_pages_lock();
	error = keep && is_at_risk(first, end) ? -EBUSY : umpa_restore(&table, first, end);
	if (!error && is_clean(b))
		umpa_block_unmark(b);
	umpa_pages_unlock();
	return error;
}

static enum umpa_pages_kind look(const void *addr, size_t nbytes)
{
	size_t first = page_of(addr), end = first + (nbytes >> PAGE_SHIFT);
	unsigned all = 0;

	umpa_pages_lock();
	while (first < end)
		all |= umpa_attributes_row(&table, first, end, &first);
	umpa_pages_unlock();
	if (all & (PAGE_UNREADABLE | PAGE_UNWRITABLE))
		return PAGES_CLOSED;
	return all ? PAGES_ODD : PAGES_ORDINARY;
}

/* When the library is loaded. */
__attribute__((constructor)) static void register_hooks(void)
{
	umpa_block_settle = settle;
	umpa_block_look = look;
}

/* --- over mappings ------------------------------------------------------------------------ */

/* Rows of a range that were free before something was mapped over it. */
enum {
	NROWS_MAX = 8
};

struct rows {
	size_t first[NROWS_MAX], end[NROWS_MAX];
	unsigned n;
};

static void end_rows(const struct rows *r)
{
	for (unsigned i = 0; i < r->n; i++)
		umpa_pages_end(r->first[i], r->end[i], EXTENT_RESIDENT);
}

/* Maps what of the range nobody has. */
static int take_rest(size_t first, size_t end, struct rows *r)
{
	struct umpa_pages_taken t;
	struct row row;

	for (r->n = 0; first < end; first = row.end) {
		row = row_at(first, end);
		if (row.owner != OF_NOBODY)
			continue;
		if (r->n == NROWS_MAX || umpa_pages_take(first, row.end, &t)) {
			end_rows(r);
			return -ENOMEM;
		}
		r->first[r->n] = first;
		r->end[r->n++] = row.end;
	}
	return 0;
}

static void mark_all(size_t first, size_t end)
{
	struct row row;

	for (; first < end; first = row.end) {
		row = row_at(first, end);
		mark(&row, 1);
	}
}

/* What of the range, all of it ordinary but for PAGE_VOID, may not be zero. Where there is no room
 * for more rows the last one takes in the rest. */
static void find_dirty(size_t first, size_t end, struct rows *r)
{
	size_t row_end;

	for (r->n = 0; first < end; first = row_end) {
		if (umpa_attributes_row(&table, first, end, &row_end) & PAGE_VOID)
			continue;
		if (r->n == NROWS_MAX) {
			r->end[NROWS_MAX - 1] = end;
			return;
		}
		r->first[r->n] = first;
		r->end[r->n++] = row_end;
	}
}

static void clear_rows(const struct rows *r)
{
	for (unsigned i = 0; i < r->n; i++)
		umpa_clear_frames(umpa_pages_address(r->first[i]), r->end[i] - r->first[i]);
}

int umpa_mapping_again(size_t first, size_t end)
{
	struct rows rest, dirty;
	int error, opens;

	umpa_pages_lock();
	opens = is_closed(first, end, PAGE_UNFORKED);
	error = umpa_restore(&table, first, end);
	if (!error)
		error = take_rest(first, end, &rest);
	if (!error)
		find_dirty(first, end, &dirty);
	forget_void(first, end);
	umpa_pages_unlock();
	if (error)
		return error;
	clear_rows(&dirty);
	if (opens)
		fill(first, end);
	return 0;
}

/* The same of a range that is all nobody's. */
static int take_all(size_t first, size_t end, struct rows *r)
{
	struct umpa_pages_taken t;

	*r = (struct rows){{first}, {end}, 1};
	return umpa_pages_take(first, end, &t) ? -EEXIST : 0;
}

/* The kernel may have ended what was there before it refused to map something else. */
static int is_gone(size_t first, size_t end)
{
	char *addr = umpa_pages_address(first);

	if (umpa_os_is_mapped(addr))
		return 0;
	/* Anybody's mmap may have had it in between. */
	INVARIANT(umpa_os_reserve_at(addr, (end - first) << PAGE_SHIFT) != -EEXIST);
	return 1;
}

static intptr_t over(const struct umpa_overlay *o)
{
	const size_t first = o->first, end = o->end;
	struct rows rest;
	intptr_t got = umpa_attributes_need(&table, end);

	if (!got)
		got = o->gap_only ? take_all(first, end, &rest) : take_rest(first, end, &rest);
	if (got)
		return got;
	got = o->map(o->arg);
	if (umpa_os_failed(got) && !is_gone(first, end)) {
		end_rows(&rest);
		return got;
	}
	umpa_attributes_change(&table, first, end, PAGE_GUARDED | PAGE_VOID,
		PAGE_ODD | attributes_of_prot(o->prot));
	umpa_attachments_forget(first, end);
	mark_all(first, end);
	/* Where it can't be made the window's again it stays mapped, and odd. */
	if (umpa_os_failed(got))
		(void)!end_mapped(first, end);
	return got;
}

intptr_t umpa_mapping_over(const struct umpa_overlay *o)
{
	intptr_t got;

	umpa_pages_lock();
	got = over(o);
	umpa_pages_unlock();
	return got;
}

/* --- shared memory ------------------------------------------------------------------------ */

intptr_t umpa_mapping_attach(const struct umpa_overlay *o, struct umpa_attachment *a)
{
	intptr_t got;

	umpa_pages_lock();
	got = over(o);
	if (umpa_os_failed(got))
		umpa_attachment_give(a);
	else
		umpa_attachments_add(a, o->first, o->end);
	umpa_pages_unlock();
	return got;
}

int umpa_mapping_detach(uintptr_t begin)
{
	const struct umpa_attachment *a;
	size_t first, end;
	int error;

	if (!umpa_attachments_exist())
		return -EINVAL;
	umpa_pages_lock();
	a = umpa_attachments_find(begin);
	error = a ? 0 : -EINVAL;
	while (!error && umpa_attachment_row(a, &first, &end))
		error = end_mapped(first, end);
	umpa_pages_unlock();
	umpa_space_keep_limit();
	return error;
}

void umpa_mapping_moved(size_t first, size_t end, size_t to)
{
	umpa_pages_lock();
	umpa_attachments_copy(first, end, to);
	umpa_pages_unlock();
}

/* --- reservations ------------------------------------------------------------------------- */

/* What becomes of the frames of pages that are closed. */
enum frames {
	NO_FRAMES,   /* whole slots have none */
	FRAMES_GO,   /* to the system */
	FRAMES_STAY, /* and are zero */
};

/* Pages that are mapped, and differ in nothing but their protection, can't be used any more. Where
 * the system refuses, it may have got half-way. 0 or -errno. */
static int shut(size_t first, size_t end, enum frames frames)
{
	char *addr = umpa_pages_address(first);
	size_t nbytes = (end - first) << PAGE_SHIFT;
	int error = umpa_os_protect(addr, nbytes, PROT_NONE);

	if (!error && frames == FRAMES_GO)
		error = umpa_os_unback(addr, nbytes);
	umpa_attributes_change(&table, first, end, PAGE_GUARDED | PAGE_VOID,
		PAGE_UNREADABLE | PAGE_UNWRITABLE |
			(error                          ? PAGE_ODD
				: frames == FRAMES_STAY ? 0
							: PAGE_VOID));
	return error;
}

/* The same with what was taken for it; then they are not mapped any more, if the system helps. */
static int shut_new(size_t first, size_t end, enum frames frames)
{
	int error = umpa_attributes_need(&table, end);

	if (!error)
		error = shut(first, end, frames);
	if (error && end_mapped(first, end))
		return error; /* their addresses are lost */
	return error;
}

/* More is not kept ready for what may be opened late: whole slots get their frames then. */
enum {
	READY_NPAGES_MAX = 8 * SLOT_NPAGES
};

void *umpa_mapping_reserve(size_t npages, uint32_t nslots, int used)
{
	int is_ready = used && npages <= READY_NPAGES_MAX;
	char *p = umpa_pages_new_zero(npages, nslots, !is_ready);
	int error;

	if (!p)
		return NULL;
	umpa_pages_lock();
	error = shut_new(page_of(p), page_of(p) + npages, is_ready ? FRAMES_STAY : NO_FRAMES);
	umpa_pages_unlock();
	return error ? NULL : p;
}

int umpa_mapping_reserve_at(size_t first, size_t end)
{
	struct umpa_pages_taken taken;
	int error;

	umpa_pages_lock();
	error = umpa_pages_take(first, end, &taken);
	if (!error)
		error = shut_new(first, end, FRAMES_GO);
	umpa_pages_unlock();
	return error;
}

/* No block has pages of the range, and none differ in more than their protection. */
static int can_shut(size_t first, size_t end)
{
	struct row row;

	if (is_at_risk(first, end))
		return 0;
	for (; first < end; first = row.end) {
		row = row_at(first, end);
		if (row.owner == OF_BLOCK)
			return 0;
	}
	return 1;
}

static int close_mapped(size_t first, size_t end)
{
	struct rows rest;
	int error = umpa_attributes_need(&table, end);

	if (!error)
		error = take_rest(first, end, &rest);
	if (error)
		return error;
	error = shut(first, end, FRAMES_GO);
	for (unsigned i = 0; error && i < rest.n; i++)
		if (end_mapped(rest.first[i], rest.end[i]))
			break; /* they stay mapped */
	return error;
}

int umpa_mapping_close(size_t first, size_t end)
{
	int error;

	umpa_pages_lock();
	if (is_closed(first, end, 0))
		error = 0;
	else
		error = can_shut(first, end) ? close_mapped(first, end) : -EBUSY;
	umpa_pages_unlock();
	return error;
}

int umpa_mapping_is_closed(size_t first, size_t end)
{
	int is;

	umpa_pages_lock();
	is = is_closed(first, end, 0);
	umpa_pages_unlock();
	return is;
}

/* --- for tests ---------------------------------------------------------------------------- */

static int void_valid(size_t first, size_t end)
{
	const unsigned closed = PAGE_UNREADABLE | PAGE_UNWRITABLE;
	size_t row_end;
	int mapped;

	for (; first < end; first = row_end) {
		unsigned attributes = umpa_attributes_row(&table, first, end, &row_end);

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
	struct row row;

	if (!void_valid(first, end))
		return 0;
	for (size_t at = first; at < end; at = row.end) {
		row = row_at(at, end);
		if (row.owner == OF_MAPPINGS || is_ordinary(at, row.end))
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
