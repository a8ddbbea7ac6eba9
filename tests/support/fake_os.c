#include "fake_os.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "base/units.h"
#include "fake_memory.h"

/* One page-table entry a page: flags below, the frame's number above. */
#define GONE        1u /* released or unmapped, while other pages of the area are not */
#define OPEN        2u
#define SHARED      4u
#define GUARDED     8u  /* not readable and writable */
#define UNREADABLE  32u /* GUARDED, and not readable either */
#define ODD         16u /* mapped over, advised or locked: umpa_os_renew() alone makes it ordinary */
#define UNFORKED    64u  /* advised so, until it is advised otherwise */
#define HUGE        128u /* ODD, and of huge pages: whole ones or none */
#define UNLIKE      (GUARDED | UNREADABLE | ODD | UNFORKED | HUGE)
#define FRAME_SHIFT 8
#define FRAME(e)    ((e) >> FRAME_SHIFT)

/* There is no more address space than this. */
#define ADDRESS_SHIFT 46

struct area {
	char *base;
	size_t npages;
	size_t ngone;
	size_t top; /* no page from here on was ever opened */
	int mapped; /* from umpa_os_map(), not a reservation */
	char *huge; /* a flag a slot */
	uint64_t *entries;
};

enum verb {
	RESERVE,
	RELEASE,
	OPEN_,
	ADVISE_HUGE,
	MAP,
	UNMAP,
	REMAP,
	BACK,
	UNBACK,
	RESIDENT,
	BARE,
	MOVE,
	MMAP,
	MUNMAP,
	MREMAP,
	PROTECT,
	ADVISE,
	RENEW,
	LOCK_,
	UNLOCK,
	SYNC,
	INCORE,
	PROTECT_KEY,
	ATTACH,
	DETACH,
	MEASURE,
	UNREGISTER,
	LET_GO,
	RESERVE_AT,
	MEASURE_PAGES,
	KVM
};
static const char *const verb_names[] = {"reserve", "release", "open", "advise_huge", "map",
	"unmap", "remap", "back", "unback", "resident", "bare", "move", "mmap", "munmap", "mremap",
	"protect", "advise", "renew", "lock", "unlock", "sync", "incore", "protect_key", "attach",
	"detach", "measure", "unregister", "let_go", "reserve_at", "measure_pages", "kvm"};

struct umpa_os_machine fake_machine;
uintptr_t fake_break;
int fake_break_hidden;
uint64_t fake_clock_ns, fake_first_look_ns, fake_looks_ns[3], fake_move_ns;
unsigned fake_cpu;
int fake_single_threaded, fake_huge_snatched, fake_locked;
void (*fake_on_release)(void);
static int nlooks; /* readings of the clock behind the last move */
size_t fake_nframes_max, fake_open_max, fake_segment_nbytes, fake_huge_nbytes, fake_huge_max;

static struct area **areas; /* sorted by base */
static size_t nareas, areas_room;
static uint64_t next_frame, ncalls;
static uint64_t ncalls_of[array_len(verb_names)];
static int threads, confined; /* confined: atomic */
static size_t nframes, nopened, nreserved, nmapped, partial_nbytes;
static struct fault {
	uint64_t first, last; /* calls since reset */
	int error;
} fault, next_fault;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* --- the ends of a call ------------------------------------------------------------------- */

_Noreturn static void wrong(const char *what, const void *addr)
{
	printf("fake_os: %s: %p\n", what, addr);
	fflush(stdout);
	abort();
}

static void lock(void)
{
	if (threads)
		pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
	if (threads)
		pthread_mutex_unlock(&mutex);
}

static int error_of(const struct fault *f)
{
	return ncalls >= f->first && ncalls <= f->last ? f->error : 0;
}

/* Begins a verb that can refuse: the error planned for this call, or 0. */
static int enter(enum verb v)
{
	lock();
	if (umpa_os_confined() && (v == RESIDENT || v == BARE || v == MEASURE))
		return -EPERM;
	ncalls_of[v]++;
	ncalls++;
	return error_of(&fault) ? error_of(&fault) : error_of(&next_fault);
}

static void enter_sure(enum verb v)
{
	lock();
	ncalls_of[v]++;
}

static int leave(int result)
{
	unlock();
	return result;
}

/* --- areas -------------------------------------------------------------------------------- */

/* How many areas begin at or below addr. */
static size_t areas_below(const char *addr)
{
	size_t low = 0, high = nareas;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (areas[mid]->base <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct area *area_of(const char *addr)
{
	size_t n = areas_below(addr);

	if (!n || (size_t)(addr - areas[n - 1]->base) >= areas[n - 1]->npages * PAGE_NBYTES)
		return NULL;
	return areas[n - 1];
}

struct range {
	struct area *area;
	size_t first, end; /* pages of the area */
};

/* No page is protected or mapped over: umpa's own business is with ordinary pages. What fork shall
 * leave out moves as others do. */
static void must_be_ordinary(struct range r)
{
	for (size_t i = r.first; i < r.end; i++)
		if (r.area->entries[i] & (GUARDED | ODD))
			wrong("page protected or mapped over", r.area->base + i * PAGE_NBYTES);
}

/* Every page is there, and opened if it must be: else the code under test is wrong. */
static void must_be(struct range r, int opened)
{
	struct area *a = r.area;

	for (size_t i = r.first; (opened || a->ngone) && i < r.end; i++)
		if (a->entries[i] & GONE || (opened && ~a->entries[i] & OPEN))
			wrong(a->entries[i] & GONE ? "page given back" : "page not opened",
				a->base + i * PAGE_NBYTES);
}

/* The pages of [addr, addr + nbytes), all of one area. */
static struct range range_of(const void *addr, size_t nbytes, int opened)
{
	struct area *a = area_of(addr);
	struct range r = {.area = a};

	if (!a)
		wrong("neither reserved nor mapped", addr);
	if (!nbytes || ((uintptr_t)addr | nbytes) % PAGE_NBYTES)
		wrong("not whole pages", addr);
	r.first = (size_t)((const char *)addr - a->base) / PAGE_NBYTES;
	r.end = r.first + nbytes / PAGE_NBYTES;
	if (r.end > a->npages || r.end <= r.first)
		wrong("range leaves its area", addr);
	must_be(r, opened);
	return r;
}

static void area_insert(struct area *a)
{
	size_t at = areas_below(a->base);

	if (nareas == areas_room) {
		areas_room = areas_room ? 2 * areas_room : 16;
		areas = realloc(areas, areas_room * sizeof(*areas));
	}
	memmove(areas + at + 1, areas + at, (nareas - at) * sizeof(*areas));
	areas[at] = a;
	nareas++;
}

/* What the host has there is what it was asked for, but for what was opened. */
static int is_as_reserved(const struct area *a)
{
	uint64_t unlike = 0;

	for (size_t i = 0; i < a->top; i++)
		unlike |= a->entries[i] & (GONE | UNLIKE);
	return !a->mapped && !unlike;
}

static void area_remove(struct area *a)
{
	size_t at = areas_below(a->base) - 1;

	nareas--;
	memmove(areas + at, areas + at + 1, (nareas - at) * sizeof(*areas));
	if (is_as_reserved(a))
		fake_memory_release(a->base, a->npages * PAGE_NBYTES, a->top * PAGE_NBYTES);
	else
		fake_memory_unmap(a->base, a->npages * PAGE_NBYTES);
	free(a->entries);
	free(a->huge);
	free(a);
}

static struct area *area_add_aligned(size_t nbytes, size_t align, int mapped)
{
	struct area *a = calloc(1, sizeof(*a));

	a->npages = nbytes / PAGE_NBYTES;
	a->mapped = mapped;
	a->base = (mapped ? fake_memory_map : fake_memory_reserve)(nbytes, align);
	a->entries = calloc(a->npages, sizeof(*a->entries));
	a->huge = calloc(a->npages / SLOT_NPAGES + 1, 1);
	if (!a->base || !a->entries || !a->huge)
		wrong("the host has no memory for the fake", NULL);
	a->top = mapped ? a->npages : 0;
	for (size_t i = 0; i < a->top; i++)
		a->entries[i] = OPEN;
	*(mapped ? &nmapped : &nreserved) += nbytes;
	area_insert(a);
	return a;
}

static struct area *area_add(size_t nbytes, int mapped)
{
	return area_add_aligned(nbytes, mapped ? fake_machine.page_nbytes : SLOT_NBYTES, mapped);
}

/* --- frames ------------------------------------------------------------------------------- */

static int give_one(uint64_t *entry)
{
	if (FRAME(*entry))
		return 0;
	if (nframes >= fake_nframes_max)
		return -ENOMEM;
	nframes++;
	*entry |= ++next_frame << FRAME_SHIFT;
	return 0;
}

/* The code under test copies without fake_touch(): a page that holds something has been written to,
 * so it has a frame. */
static int has_frame(const struct area *a, size_t i)
{
	static const char zero[FAKE_TAG_NBYTES];

	if (!FRAME(a->entries[i]) && memcmp(a->base + i * PAGE_NBYTES, zero, FAKE_TAG_NBYTES))
		give_one(&a->entries[i]);
	return FRAME(a->entries[i]) != 0;
}

/* A fault gives a whole huge page where one is advised, fits and nothing is there yet. */
static int takes_huge(struct area *a, size_t slot_first)
{
	if (slot_first + SLOT_NPAGES > a->npages || fake_nframes_max - nframes < SLOT_NPAGES)
		return 0;
	for (size_t i = slot_first; i < slot_first + SLOT_NPAGES; i++)
		if (FRAME(a->entries[i]) || ~a->entries[i] & OPEN)
			return 0;
	return 1;
}

static int give_range(struct range r)
{
	uint64_t *entries = r.area->entries;

	for (size_t i = r.first; i < r.end; i++) {
		size_t slot_first = i - i % SLOT_NPAGES;
		int error;

		if (FRAME(entries[i]))
			continue;
		if (r.area->huge[i / SLOT_NPAGES] && takes_huge(r.area, slot_first))
			for (size_t k = slot_first; k < slot_first + SLOT_NPAGES; k++)
				give_one(&entries[k]);
		error = give_one(&entries[i]);
		if (error)
			return error;
	}
	return 0;
}

static void take_frame(uint64_t *entry)
{
	if (FRAME(*entry))
		nframes--;
	*entry &= GONE | OPEN | UNLIKE;
}

/* What the host lets the program do with a page. */
static int prot_of(uint64_t e)
{
	return e & UNREADABLE ? PROT_NONE : e & GUARDED ? PROT_READ : PROT_READ | PROT_WRITE;
}

static uint64_t bits_of(int prot)
{
	return prot == (PROT_READ | PROT_WRITE) ? 0
	       : prot & PROT_READ               ? GUARDED
						: GUARDED | UNREADABLE;
}

static void host_protect_page(char *page, int prot)
{
	if (mprotect(page, PAGE_NBYTES, prot))
		wrong("the host can't protect", page);
}

static int is_zero(const char *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE_NBYTES - 1);
}

/* Frames away, content zero. Metadata is written without fake_touch(), so pages without a frame
 * are looked at too. */
static void take_range(struct range r)
{
	for (size_t i = r.first; i < r.end; i++) {
		char *page = r.area->base + i * PAGE_NBYTES;
		uint64_t e = r.area->entries[i];

		if (e & GUARDED)
			host_protect_page(page, PROT_READ | PROT_WRITE);
		if (FRAME(e) || !is_zero(page))
			memset(page, 0, PAGE_NBYTES);
		if (e & GUARDED)
			host_protect_page(page, prot_of(e));
		take_frame(&r.area->entries[i]);
	}
}

/* The range is no longer reserved or mapped; its addresses come back with the area's last page. */
static void end_range(struct range r)
{
	struct area *a = r.area;
	size_t nbytes = (r.end - r.first) * PAGE_NBYTES;

	*(a->mapped ? &nmapped : &nreserved) -= nbytes;
	for (size_t i = r.first; i < r.end && i < a->top; i++) {
		if (!a->mapped && a->entries[i] & OPEN)
			nopened -= PAGE_NBYTES;
		take_frame(&a->entries[i]);
	}
	a->ngone += r.end - r.first;
	for (size_t i = r.first; a->ngone < a->npages && i < r.end; i++)
		a->entries[i] = GONE;
	if (a->ngone == a->npages)
		area_remove(a);
	else if (mmap(a->base + r.first * PAGE_NBYTES, nbytes, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			 0) == MAP_FAILED)
		wrong("the host can't unmap", a->base);
}

/* Pages that were given up are there again. */
static void revive(struct range r)
{
	struct area *a = r.area;

	for (size_t i = r.first; i < r.end; i++)
		if (a->entries[i] & GONE) {
			a->entries[i] = OPEN;
			a->ngone--;
			*(a->mapped ? &nmapped : &nreserved) += PAGE_NBYTES;
			nopened += a->mapped ? 0 : PAGE_NBYTES;
		}
}

/* --- the verbs ---------------------------------------------------------------------------- */

int umpa_os_reserve(size_t nbytes, void **addr)
{
	int error = enter(RESERVE);

	if (!nbytes || nbytes % SLOT_NBYTES)
		wrong("reserve: not whole slots", (void *)nbytes);
	if (!error && (nbytes > fake_machine.as_limit_nbytes || nbytes >> ADDRESS_SHIFT))
		error = -ENOMEM;
	if (!error)
		*addr = area_add(nbytes, 0)->base;
	return leave(error);
}

/* Of a reservation that has lost these pages, or some. */
int umpa_os_reserve_at(void *addr, size_t nbytes)
{
	int error = enter(RESERVE_AT);
	struct range r = {area_of(addr), 0, 0};

	if (!r.area)
		wrong("reserve_at: not of a reservation", addr);
	r.first = (size_t)((char *)addr - r.area->base) / PAGE_NBYTES;
	r.end = r.first + nbytes / PAGE_NBYTES;
	for (size_t i = r.first; !error && i < r.end; i++)
		if (~r.area->entries[i] & GONE)
			error = -EEXIST;
	if (!error)
		revive(r);
	for (size_t i = r.first; !error && i < r.end; i++)
		r.area->entries[i] |= ODD | GUARDED | UNREADABLE;
	return leave(error);
}

void umpa_os_release(void *addr, size_t nbytes)
{
	struct range r;

	if (fake_on_release)
		fake_on_release();
	enter_sure(RELEASE);
	r = range_of(addr, nbytes, 0);
	if (r.area->mapped)
		wrong("release of a mapping", addr);
	end_range(r);
	unlock();
}

static int open_range(struct range r)
{
	struct area *a = r.area;
	size_t nbytes = 0;

	for (size_t i = r.first; i < r.end; i++)
		nbytes += a->entries[i] & OPEN ? 0 : PAGE_NBYTES;
	if (nbytes > fake_open_max || nopened > fake_open_max - nbytes)
		return -ENOMEM;
	if (mprotect(a->base + r.first * PAGE_NBYTES, (r.end - r.first) * PAGE_NBYTES,
		    PROT_READ | PROT_WRITE))
		wrong("the host can't open", a->base);
	for (size_t i = r.first; i < r.end; i++)
		a->entries[i] |= OPEN;
	a->top = r.end > a->top ? r.end : a->top;
	nopened += nbytes;
	return 0;
}

int umpa_os_open(void *addr, size_t nbytes)
{
	int error = enter(OPEN_);
	struct range r = range_of(addr, nbytes, 0);

	if (r.area->mapped)
		wrong("open of a mapping", addr);
	return leave(error ? error : open_range(r));
}

/* A slot is huge if all of it was so advised. */
static void advise_range(struct range r, int on)
{
	size_t first = on ? (r.first + SLOT_NPAGES - 1) / SLOT_NPAGES : r.first / SLOT_NPAGES;
	size_t end = on ? r.end / SLOT_NPAGES : (r.end + SLOT_NPAGES - 1) / SLOT_NPAGES;

	for (size_t slot = first; slot < end; slot++)
		r.area->huge[slot] = on != 0;
}

int umpa_os_advise_huge(void *addr, size_t nbytes, int on)
{
	int error = enter(ADVISE_HUGE);
	struct range r = range_of(addr, nbytes, 0);

	if (r.area->mapped)
		wrong("advice for a mapping", addr);
	if (!error)
		advise_range(r, on);
	return leave(error);
}

const uintptr_t *umpa_os_break(void)
{
	return fake_break_hidden ? NULL : &fake_break;
}

int umpa_os_map(size_t nbytes, void **addr)
{
	int error = enter(MAP);

	if (!nbytes || nbytes % PAGE_NBYTES)
		wrong("map: not whole pages", (void *)nbytes);
	if (!error && (nbytes > fake_machine.as_limit_nbytes || nbytes >> ADDRESS_SHIFT))
		error = -ENOMEM;
	if (!error)
		*addr = area_add(nbytes, 1)->base;
	return leave(error);
}

void umpa_os_unmap(void *addr, size_t nbytes)
{
	struct range r;

	enter_sure(UNMAP);
	r = range_of(addr, nbytes, 0);
	if (!r.area->mapped)
		wrong("unmap of a reservation", addr);
	end_range(r);
	unlock();
}

/* The pages behind the range in its own area are free to grow into if they were given up before. */
static int grow_in_place(struct range r, size_t npages)
{
	struct area *a = r.area;

	if (r.first + npages > a->npages)
		return 0;
	for (size_t i = r.end; i < r.first + npages; i++)
		if (~a->entries[i] & GONE)
			return 0;
	if (mprotect(a->base + r.end * PAGE_NBYTES, (r.first + npages - r.end) * PAGE_NBYTES,
		    PROT_READ | PROT_WRITE))
		wrong("the host can't grow", a->base);
	for (size_t i = r.end; i < r.first + npages; i++)
		a->entries[i] = OPEN;
	a->ngone -= r.first + npages - r.end;
	nmapped += (r.first + npages - r.end) * PAGE_NBYTES;
	return 1;
}

static void *grow_elsewhere(struct range r, size_t nbytes)
{
	struct area *to = area_add(nbytes, 1);

	memcpy(to->base, r.area->base + r.first * PAGE_NBYTES, (r.end - r.first) * PAGE_NBYTES);
	for (size_t i = r.first; i < r.end; i++) {
		to->entries[i - r.first] = r.area->entries[i];
		r.area->entries[i] = OPEN;
	}
	end_range(r);
	return to->base;
}

int umpa_os_remap(void *addr, size_t old_nbytes, size_t new_nbytes, int may_move, void **new_addr)
{
	int error = enter(REMAP);
	struct range r = range_of(addr, old_nbytes, 0);

	if (!r.area->mapped || !new_nbytes || new_nbytes % PAGE_NBYTES)
		wrong("remap of what was not mapped, or not to whole pages", addr);
	if (error)
		return leave(error);
	*new_addr = addr;
	if (new_nbytes < old_nbytes)
		end_range((struct range){r.area, r.first + new_nbytes / PAGE_NBYTES, r.end});
	else if (new_nbytes > old_nbytes && !grow_in_place(r, new_nbytes / PAGE_NBYTES)) {
		if (!may_move || new_nbytes > fake_machine.as_limit_nbytes)
			return leave(-ENOMEM);
		*new_addr = grow_elsewhere(r, new_nbytes);
	}
	return leave(0);
}

int umpa_os_back(void *addr, size_t nbytes)
{
	int error = enter(BACK);
	struct range r = range_of(addr, nbytes, 1);

	return leave(error ? error : give_range(r));
}

/* The machine's pages that a range begins in or goes on to: the kernel takes all of the last one.
 */
static struct range whole_pages(struct range r)
{
	size_t n = fake_machine.page_nbytes / PAGE_NBYTES;

	r.end += (n - r.end % n) % n;
	r.end = r.end < r.area->npages ? r.end : r.area->npages;
	return r;
}

int umpa_os_unback(void *addr, size_t nbytes)
{
	int error = enter(UNBACK);
	struct range r = range_of(addr, nbytes, 1);

	if (!error && (uintptr_t)addr % fake_machine.page_nbytes)
		error = -EINVAL;
	if (!error)
		take_range(whole_pages(r));
	return leave(error);
}

int umpa_os_resident(const void *addr, size_t npages, unsigned char *vec)
{
	int error = enter(RESIDENT);
	struct area *a = area_of(addr);
	struct range r;

	/* Asked of what may have been unmapped, too: a probe, or what is before a wish. */
	for (size_t i = 0; a && i < npages; i++)
		if (a->entries[((uintptr_t)addr - (uintptr_t)a->base) / PAGE_NBYTES + i] & GONE)
			a = NULL;
	if (!a)
		return leave(error ? error : -ENOMEM);
	r = range_of(addr, npages * PAGE_NBYTES, 0);

	for (size_t i = 0; !error && i < npages; i++)
		vec[i] = FRAME(r.area->entries[r.first + i]) != 0;
	return leave(error);
}

int umpa_os_bare(const void *addr, size_t npages)
{
	int error = enter(BARE);
	struct range r = range_of(addr, npages * PAGE_NBYTES, 0);

	for (size_t i = r.first; !error && i < r.end; i++)
		if (has_frame(r.area, i))
			error = -EEXIST;
	return leave(error);
}

/* --- the program's own mappings ----------------------------------------------------------- */

static const char *begin_of(struct range r)
{
	return r.area->base + r.first * PAGE_NBYTES;
}

static void host_protect(struct range r, int prot)
{
	if (mprotect((void *)begin_of(r), (r.end - r.first) * PAGE_NBYTES, prot))
		wrong("the host can't protect", begin_of(r));
}

static void mark(struct range r, uint64_t clear, uint64_t set)
{
	for (size_t i = r.first; i < r.end; i++)
		r.area->entries[i] = (r.area->entries[i] & ~clear) | set;
}

/* Something else is mapped there now: zero, whatever it is. */
static void map_over(struct range r, int prot)
{
	revive(r);
	host_protect(r, PROT_READ | PROT_WRITE);
	take_range(r);
	host_protect(r, prot);
	mark(r, UNLIKE, ODD | bits_of(prot));
}

/* The same as range_of(), of an area whose pages may have been given up. */
static struct range pages_in(struct area *a, const char *addr, size_t nbytes)
{
	size_t first = (size_t)(addr - a->base) / PAGE_NBYTES;

	if (first + nbytes / PAGE_NBYTES > a->npages)
		wrong("range leaves its area", addr);
	return (struct range){a, first, first + nbytes / PAGE_NBYTES};
}

/* A page of the area lies within a huge page, not at its begin. */
static int is_within_huge(const struct area *a, size_t page)
{
	return page < a->npages && a->entries[page] & HUGE &&
	       (uintptr_t)(a->base + page * PAGE_NBYTES) % fake_huge_nbytes;
}

static int cuts_huge(struct range r)
{
	return is_within_huge(r.area, r.first) || is_within_huge(r.area, r.end);
}

static void *map_fresh(size_t nbytes, int prot)
{
	struct area *a = area_add(nbytes, 1);
	struct range r = {a, 0, a->npages};

	host_protect(r, prot);
	mark(r, 0, bits_of(prot));
	return a->base;
}

static void *map_huge(size_t nbytes)
{
	struct area *a = area_add_aligned(nbytes, fake_huge_nbytes, 1);

	mark((struct range){a, 0, a->npages}, 0, HUGE);
	return a->base;
}

/* Over pages of an area: 0 or -errno. Where there are no huge pages left the kernel says so after
 * it has ended what was there. */
static int map_fixed(struct range r, int prot, int huge)
{
	size_t nbytes = (r.end - r.first) * PAGE_NBYTES;

	if (cuts_huge(r) || (huge && (uintptr_t)begin_of(r) % fake_huge_nbytes))
		return -EINVAL;
	if (huge && nbytes > fake_huge_max) {
		end_range(r);
		return -ENOMEM;
	}
	map_over(r, prot);
	mark(r, 0, huge ? HUGE : 0);
	return 0;
}

intptr_t umpa_os_mmap(void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset)
{
	int error = enter(MMAP);
	int huge = flags & MAP_ANONYMOUS ? flags & MAP_HUGETLB : fd == FAKE_HUGE_FILE;
	struct area *a = area_of(addr);

	(void)offset;
	if (!nbytes || nbytes > PTRDIFF_MAX)
		return leave(nbytes ? -ENOMEM : -EINVAL);
	nbytes = rounded_up(nbytes, huge ? fake_huge_nbytes : PAGE_NBYTES);
	if (error)
		return leave(error);
	if (flags & MAP_FIXED_NOREPLACE & ~MAP_FIXED && a)
		return leave(huge && (uintptr_t)addr % fake_huge_nbytes ? -EINVAL : -EEXIST);
	if (flags & MAP_FIXED && a)
		error = map_fixed(pages_in(a, addr, nbytes), prot, huge);
	else if (huge && nbytes > fake_huge_max)
		error = -ENOMEM;
	else
		addr = huge ? map_huge(nbytes) : map_fresh(nbytes, prot);
	unlock();
	return error ? error : (intptr_t)addr;
}

/* The pages of the range, from its first on, that are there. */
static struct range pages_there(struct range r)
{
	struct range there = {r.area, r.first, r.first};

	while (there.end < r.end && ~r.area->entries[there.end] & GONE)
		there.end++;
	return there;
}

static void unmap_pages(struct range r)
{
	while (r.first < r.end) {
		struct range there = pages_there(r);
		size_t n = there.end - there.first;
		int last = n && r.area->ngone + n == r.area->npages;

		r.first = there.end + !n;
		if (n)
			end_range(there);
		if (last) /* with its last page the area goes */
			return;
	}
}

int umpa_os_munmap(void *addr, size_t nbytes)
{
	int error = enter(MUNMAP);
	struct area *a = area_of(addr);

	if (!error && a && !a->mapped)
		wrong("munmap in a reservation", addr);
	if (!error && a && cuts_huge(pages_in(a, addr, pages_of(nbytes) * PAGE_NBYTES)))
		error = -EINVAL;
	if (!error && a)
		unmap_pages(pages_in(a, addr, pages_of(nbytes) * PAGE_NBYTES));
	return leave(error);
}

/* Brings content, frames and protection of one range to another, of which the rest is zero. */
static void carry_range(struct range to, struct range from)
{
	size_t n = from.end - from.first < to.end - to.first ? from.end - from.first
							     : to.end - to.first;
	uint64_t *entries = from.area->entries;

	host_protect(to, PROT_READ | PROT_WRITE);
	host_protect(from, PROT_READ | PROT_WRITE);
	memcpy((void *)begin_of(to), begin_of(from), n * PAGE_NBYTES);
	for (size_t i = 0; i < n; i++) {
		uint64_t e = entries[from.first + i];

		to.area->entries[to.first + i] |= (e & ~(uint64_t)(ODD | UNFORKED)) | OPEN;
		entries[from.first + i] = e & (GONE | OPEN | UNLIKE);
	}
	memset((void *)begin_of(from), 0, n * PAGE_NBYTES);
}

/* The kernel may have ended the destination before it refuses. */
static void end_destination(void *addr, size_t nbytes)
{
	struct area *a = area_of(addr);
	struct range r = a ? pages_there(pages_in(a, addr, nbytes)) : (struct range){NULL, 0, 0};

	if (a && !a->mapped && r.first < r.end)
		end_range(r);
}

/* Of pages that are all protected alike. */
intptr_t umpa_os_mremap(void *addr, size_t old_nbytes, size_t new_nbytes, int flags, void *new_addr)
{
	int error = enter(MREMAP), prot, huge;
	struct range from, to;

	new_nbytes = pages_of(new_nbytes) * PAGE_NBYTES;
	if (error && flags & MREMAP_FIXED)
		end_destination(new_addr, new_nbytes);
	if (error)
		return leave(error);
	from = range_of(addr, pages_of(old_nbytes) * PAGE_NBYTES, 0);
	prot = prot_of(from.area->entries[from.first]);
	huge = (from.area->entries[from.first] & HUGE) != 0;
	if (huge && (flags & MREMAP_DONTUNMAP || new_nbytes > old_nbytes))
		return leave(-EINVAL);
	if (huge) {
		new_nbytes = rounded_up(new_nbytes, fake_huge_nbytes);
		from = range_of(addr, rounded_up(old_nbytes, fake_huge_nbytes), 0);
	}
	if (!(flags & MREMAP_MAYMOVE) && new_nbytes > old_nbytes)
		return leave(-ENOMEM);
	if (!(flags & MREMAP_MAYMOVE) && new_nbytes == old_nbytes) {
		unlock();
		return (intptr_t)addr;
	}
	if (!(flags & MREMAP_FIXED))
		new_addr = area_add(new_nbytes, 1)->base;
	to = range_of(new_addr, new_nbytes, 0);
	if (flags & MREMAP_FIXED)
		map_over(to, PROT_READ | PROT_WRITE);
	carry_range(to, from);
	host_protect(to, prot);
	mark(to, GUARDED | UNREADABLE, bits_of(prot));
	host_protect(from, prot);
	if (from.area->mapped)
		end_range(from);
	else if (!(flags & MREMAP_DONTUNMAP))
		map_over(from, PROT_NONE);
	unlock();
	return (intptr_t)new_addr;
}

/* The range up to a huge page that it has a part of. */
static struct range without_part(struct range r)
{
	if (is_within_huge(r.area, r.first))
		r.end = r.first;
	while (r.end > r.first && is_within_huge(r.area, r.end))
		r.end--;
	return r;
}

/* Up to the first page that is not there, for which the answer is -ENOMEM, or to a huge page of
 * which the range has a part: -EINVAL. */
int umpa_os_protect(void *addr, size_t nbytes, int prot)
{
	int error = enter(PROTECT);
	struct area *a = area_of(addr);
	struct range r, there, done;

	if (error || !a)
		return leave(error ? error : -ENOMEM);
	r = pages_in(a, addr, pages_of(nbytes) * PAGE_NBYTES);
	there = pages_there(r);
	done = without_part(there);
	if (done.first < done.end) {
		host_protect(done, prot);
		mark(done, GUARDED | UNREADABLE, bits_of(prot));
	}
	if (done.end < there.end)
		return leave(-EINVAL);
	return leave(there.end < r.end ? -ENOMEM : 0);
}

static int is_lasting(int advice)
{
	static const int lasting[] = {MADV_RANDOM, MADV_SEQUENTIAL, MADV_MERGEABLE, MADV_NOHUGEPAGE,
		MADV_DONTDUMP, MADV_WIPEONFORK};

	for (size_t i = 0; i < array_len(lasting); i++)
		if (advice == lasting[i])
			return 1;
	return 0;
}

int umpa_os_advise(void *addr, size_t nbytes, int advice)
{
	int error = enter(ADVISE);
	struct area *a = area_of(addr);
	struct range r, there;

	if (!error && (advice == MADV_REMOVE || advice > 1000))
		error = -EINVAL;
	if (error || !a)
		return leave(error ? error : -ENOMEM);
	r = pages_in(a, addr, pages_of(nbytes) * PAGE_NBYTES);
	if (cuts_huge(r))
		return leave(-EINVAL);
	there = pages_there(r);
	if (advice == MADV_DONTNEED)
		take_range(there);
	else if (advice == MADV_DONTFORK)
		mark(there, 0, UNFORKED);
	else if (advice == MADV_DOFORK)
		mark(there, UNFORKED, 0);
	else if (is_lasting(advice))
		mark(there, 0, ODD);
	return leave(there.end < r.end ? -ENOMEM : 0);
}

int umpa_os_lock(const void *addr, size_t nbytes, unsigned flags)
{
	int error = enter(LOCK_);

	(void)flags;
	if (!error)
		mark(range_of(addr, nbytes, 0), 0, ODD);
	return leave(error);
}

int umpa_os_unlock(const void *addr, size_t nbytes)
{
	(void)addr, (void)nbytes;
	return leave(enter(UNLOCK));
}

int umpa_os_sync(void *addr, size_t nbytes, int flags)
{
	int error = enter(SYNC);

	(void)addr, (void)nbytes;
	return leave(!error && fake_locked && flags & MS_INVALIDATE ? -EBUSY : error);
}

int umpa_os_incore(const void *addr, size_t nbytes, unsigned char *vec)
{
	int error = enter(INCORE);
	struct range r = range_of(addr, nbytes, 0);

	for (size_t i = r.first; !error && i < r.end; i++)
		vec[i - r.first] = FRAME(r.area->entries[i]) != 0;
	return leave(error);
}

int umpa_os_protect_key(void *addr, size_t nbytes, int prot, int key)
{
	int error = enter(PROTECT_KEY);

	(void)prot, (void)key;
	if (!error)
		mark(range_of(addr, nbytes, 0), 0, ODD);
	return leave(error);
}

intptr_t umpa_os_attach(int id, const void *addr, int flags)
{
	int error = enter(ATTACH);
	int prot = flags & SHM_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE;
	struct area *a = area_of(addr);

	if (!error && (id < 0 || (a && ~flags & SHM_REMAP)))
		error = -EINVAL;
	if (error)
		return leave(error);
	if (!a)
		addr = map_fresh(fake_segment_nbytes, prot);
	else
		map_over(pages_in(a, addr, fake_segment_nbytes), prot);
	unlock();
	return (intptr_t)addr;
}

/* Of a segment outside of reservations: there it would leave a hole. */
int umpa_os_detach(const void *addr)
{
	int error = enter(DETACH);
	struct area *a = area_of(addr);

	if (!error && a && !a->mapped)
		wrong("shmdt in a reservation", addr);
	if (!error && !a)
		error = -EINVAL;
	if (!error)
		unmap_pages(pages_in(a, addr, fake_segment_nbytes));
	return leave(error);
}

int umpa_os_measure(int id, int flags, size_t *nbytes)
{
	int error = enter(MEASURE);

	(void)flags;
	*nbytes = fake_segment_nbytes;
	return leave(error ? error : id < 0 ? -EINVAL : 0);
}

int umpa_os_is_huge(int fd)
{
	return umpa_os_confined() ? -EPERM : fd == FAKE_HUGE_FILE;
}

int umpa_os_measure_pages(
	size_t nbytes, int prot, int flags, int fd, int64_t offset, size_t *page_nbytes)
{
	int error = enter(MEASURE_PAGES);
	int huge = flags & MAP_ANONYMOUS ? flags & MAP_HUGETLB : fd == FAKE_HUGE_FILE;

	(void)prot, (void)offset;
	*page_nbytes = huge ? fake_huge_nbytes : PAGE_NBYTES;
	if (!error && huge && rounded_up(nbytes, fake_huge_nbytes) > fake_huge_max)
		error = -ENOMEM;
	if (fake_huge_snatched)
		fake_huge_max = 0;
	return leave(error);
}

int umpa_os_is_mapped(const void *addr)
{
	struct area *a = area_of(addr);

	return a && ~a->entries[((const char *)addr - a->base) / (ptrdiff_t)PAGE_NBYTES] & GONE;
}

size_t umpa_os_page_nbytes(const void *addr)
{
	struct area *a = area_of(addr);
	size_t page = a ? (size_t)((const char *)addr - a->base) / PAGE_NBYTES : 0;

	if (a && is_within_huge(a, page))
		return 0;
	return a && a->entries[page] & HUGE ? fake_huge_nbytes : PAGE_NBYTES;
}

/* Pages of a program's userfaultfd look like others. */
int umpa_os_unregister(int fd, void *addr, size_t nbytes)
{
	int error = enter(UNREGISTER);

	(void)fd;
	range_of(addr, nbytes, 0);
	return leave(error);
}

int umpa_os_renew(void *addr, size_t nbytes, int huge)
{
	int error = enter(RENEW);
	struct area *a = area_of(addr);
	struct range r;

	if (!a || a->mapped)
		wrong("renewal of what is no reservation", addr);
	r = pages_in(a, addr, nbytes);
	if (!error && cuts_huge(r))
		error = -EINVAL;
	if (error)
		return leave(error);
	map_over(r, PROT_READ | PROT_WRITE);
	mark(r, ODD, 0);
	advise_range(r, huge);
	return leave(0);
}

/* --- the machine, and the clock ----------------------------------------------------------- */

void umpa_os_machine(struct umpa_os_machine *m)
{
	*m = fake_machine;
}

uint64_t umpa_os_clock_ns(void)
{
	uint64_t now_ns;

	lock();
	if (++nlooks == 2)
		fake_clock_ns += fake_first_look_ns;
	fake_clock_ns += fake_looks_ns[0];
	memmove(fake_looks_ns, fake_looks_ns + 1, sizeof(fake_looks_ns) - sizeof(*fake_looks_ns));
	fake_looks_ns[array_len(fake_looks_ns) - 1] = 0;
	now_ns = fake_clock_ns;
	unlock();
	return now_ns;
}

int umpa_os_single_threaded(void)
{
	return __atomic_load_n(&fake_single_threaded, __ATOMIC_RELAXED);
}

unsigned umpa_os_cpu(void)
{
	return __atomic_load_n(&fake_cpu, __ATOMIC_RELAXED);
}

/* --- the mover ---------------------------------------------------------------------------- */

/* One page, by the rules of mover.h: 0, or why the range ends before it. */
static int move_page(char *dst, uint64_t *to, char *src, uint64_t *from, unsigned flags)
{
	if (FRAME(*to) && !FRAME(*from))
		return 0; /* taken for moved, as by uffd */
	if (FRAME(*to))
		return -EEXIST;
	if (!FRAME(*from))
		return flags & UMPA_MOVE_HOLES ? 0 : -ENOENT;
	if (*from & SHARED)
		return -EBUSY;
	*to |= FRAME(*from) << FRAME_SHIFT;
	*from &= ((uint64_t)1 << FRAME_SHIFT) - 1;
	memcpy(dst, src, FAKE_TAG_NBYTES);
	memset(src, 0, FAKE_TAG_NBYTES);
	return 0;
}

static int exchange_page(char *a, uint64_t *x, char *b, uint64_t *y, unsigned flags)
{
	uint64_t frame = FRAME(*x), rest = ((uint64_t)1 << FRAME_SHIFT) - 1;
	char tag[FAKE_TAG_NBYTES];

	(void)flags;
	if ((*x | *y) & SHARED)
		return -EBUSY;
	*x = (*x & rest) | FRAME(*y) << FRAME_SHIFT;
	*y = (*y & rest) | frame << FRAME_SHIFT;
	memcpy(tag, a, sizeof(tag));
	memcpy(a, b, sizeof(tag));
	memcpy(b, tag, sizeof(tag));
	return 0;
}

static int go_through(int (*page)(char *, uint64_t *, char *, uint64_t *, unsigned),
	struct umpa_mover *m, char *dst, char *src, size_t nbytes, unsigned flags, size_t *moved)
{
	struct range to = range_of(dst, nbytes, 1);
	struct range from = range_of(src, nbytes, 1);
	size_t stop = partial_nbytes;

	must_be_ordinary(to);
	must_be_ordinary(from);
	if ((size_t)(dst - (char *)m->window) > m->window_nbytes - nbytes ||
		(size_t)(src - (char *)m->window) > m->window_nbytes - nbytes)
		wrong("move outside the window", dst);
	if ((size_t)(dst - src) < nbytes || (size_t)(src - dst) < nbytes)
		wrong("move onto itself", dst);
	partial_nbytes = SIZE_MAX;
	for (*moved = 0; *moved < nbytes; *moved += PAGE_NBYTES) {
		size_t i = *moved / PAGE_NBYTES;
		int error = *moved >= stop ? -EAGAIN : 0;

		has_frame(from.area, from.first + i);
		if (!error)
			error = page(dst + *moved, &to.area->entries[to.first + i], src + *moved,
				&from.area->entries[from.first + i], flags);
		if (error)
			return error;
	}
	return 0;
}

static int fake_move(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	int error = enter(MOVE);

	*moved = 0;
	nlooks = 0;
	fake_clock_ns += fake_move_ns;
	return leave(error ? error : go_through(move_page, m, dst, src, nbytes, flags, moved));
}

static int fake_exchange(struct umpa_mover *m, void *a, void *b, size_t nbytes, size_t *done)
{
	int error = enter(MOVE);

	*done = 0;
	return leave(error ? error : go_through(exchange_page, m, a, b, nbytes, 0, done));
}

static int fake_let_go(struct umpa_mover *m, void *addr, size_t nbytes)
{
	int error = enter(LET_GO);

	(void)m;
	range_of(addr, nbytes, 1);
	return leave(error ? -EBUSY : 0);
}

static int plain_move(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	(void)m, (void)dst, (void)src, (void)nbytes, (void)flags;
	*moved = 0;
	return -ENOSYS;
}

static void no_fini(struct umpa_mover *m)
{
	(void)m;
}

void umpa_mover_plain_init(struct umpa_mover *m, void *window, size_t nbytes)
{
	*m = (struct umpa_mover){.name = "plain",
		.move = plain_move,
		.fini = no_fini,
		.window = window,
		.window_nbytes = nbytes,
		.fd = -1};
}

void fake_mover_init(struct umpa_mover *m, void *window, size_t nbytes)
{
	umpa_mover_plain_init(m, window, nbytes);
	m->name = "fake";
	m->move = fake_move;
	m->exchange = fake_exchange;
	m->let_go = fake_let_go;
	m->one_step = 1;
}

int umpa_mover_uffd_init(struct umpa_mover *m, void *window, size_t nbytes)
{
	fake_mover_init(m, window, nbytes);
	m->name = "uffd";
	return 0;
}

int umpa_mover_mremap_init(struct umpa_mover *m, void *window, size_t nbytes)
{
	fake_mover_init(m, window, nbytes);
	m->name = "mremap";
	m->one_step = 0;
	return 0;
}

void fake_mover_partial(size_t nbytes)
{
	lock();
	partial_nbytes = nbytes;
	unlock();
}

/* --- for the test ------------------------------------------------------------------------- */

void umpa_os_confine(void)
{
	__atomic_store_n(&confined, 1, __ATOMIC_RELAXED);
}

int umpa_os_confined(void)
{
	return __atomic_load_n(&confined, __ATOMIC_RELAXED);
}

void fake_reset(void)
{
	lock();
	while (nareas)
		area_remove(areas[nareas - 1]);
	nframes = nopened = nreserved = nmapped = 0;
	next_frame = ncalls = 0;
	memset(ncalls_of, 0, sizeof(ncalls_of));
	fault = next_fault = (struct fault){.first = UINT64_MAX};
	__atomic_store_n(&confined, 0, __ATOMIC_RELAXED);
	fake_clock_ns = 0;
	memset(fake_looks_ns, 0, sizeof(fake_looks_ns));
	fake_cpu = 0;
	fake_single_threaded = 0;
	fake_on_release = NULL;
	fake_first_look_ns = 0;
	fake_move_ns = 0;
	fake_nframes_max = fake_open_max = partial_nbytes = SIZE_MAX;
	fake_segment_nbytes = PAGE_NBYTES;
	fake_huge_nbytes = SLOT_NBYTES;
	fake_huge_max = 0;
	fake_huge_snatched = 0;
	fake_locked = 0;
	fake_break = 0;
	fake_break_hidden = 0;
	fake_machine = (struct umpa_os_machine){.page_nbytes = PAGE_NBYTES,
		.memory_nbytes = (size_t)256 << 20,
		.as_limit_nbytes = SIZE_MAX,
		.ncpus = 2};
	unlock();
}

void fake_threads(int on)
{
	threads = on;
}

static void fail_between(uint64_t n, uint64_t last, int error)
{
	lock();
	fault = (struct fault){n ? ncalls + n : UINT64_MAX, n ? last : 0, error};
	next_fault = (struct fault){.first = UINT64_MAX};
	unlock();
}

int fake_refuses_kvm(void)
{
	return leave(enter(KVM));
}

void fake_fail_at(uint64_t n, int error)
{
	fail_between(n, ncalls + n, error);
}

void fake_fail_from(uint64_t n, int error)
{
	fail_between(n, UINT64_MAX, error);
}

void fake_fail_again(uint64_t m, int error)
{
	lock();
	next_fault = (struct fault){.first = UINT64_MAX};
	if (m && fault.first != UINT64_MAX)
		next_fault = (struct fault){fault.first + m, fault.first + m, error};
	unlock();
}

uint64_t fake_ncalls(void)
{
	return ncalls;
}

uint64_t fake_ncalls_of(const char *verb)
{
	for (size_t v = 0; v < array_len(verb_names); v++)
		if (!strcmp(verb, verb_names[v]))
			return ncalls_of[v];
	wrong("no such verb", verb);
}

/* [addr, addr + nbytes) widened to whole pages. */
static struct range pages_touched(void *addr, size_t nbytes)
{
	size_t offset = (uintptr_t)addr % PAGE_NBYTES;

	return range_of((char *)addr - offset, pages_of(offset + nbytes) * PAGE_NBYTES, 1);
}

void fake_touch(void *addr, size_t nbytes)
{
	lock();
	if (give_range(pages_touched(addr, nbytes)))
		wrong("touched, and there is no frame left", addr);
	unlock();
}

uint64_t fake_frame(const void *addr)
{
	struct area *a;
	uint64_t frame;

	lock();
	a = area_of(addr);
	frame = a ? FRAME(a->entries[(size_t)((const char *)addr - a->base) / PAGE_NBYTES]) : 0;
	unlock();
	return frame;
}

int fake_oddity(const void *addr)
{
	struct area *a;
	uint64_t e;

	lock();
	a = area_of(addr);
	e = a ? a->entries[(size_t)((const char *)addr - a->base) / PAGE_NBYTES] : 0;
	unlock();
	return (e & GUARDED ? FAKE_GUARDED : 0) | (e & (ODD | UNFORKED) ? FAKE_ODD : 0);
}

size_t fake_nframes(void)
{
	return nframes;
}

size_t fake_opened_nbytes(void)
{
	return nopened;
}

size_t fake_reserved_nbytes(void)
{
	return nreserved;
}

size_t fake_mapped_nbytes(void)
{
	return nmapped;
}

void fake_share(void *addr, size_t nbytes, int shared)
{
	struct range r;

	lock();
	r = pages_touched(addr, nbytes);
	for (size_t i = r.first; i < r.end; i++)
		if (shared && FRAME(r.area->entries[i]))
			r.area->entries[i] |= SHARED;
		else
			r.area->entries[i] &= ~(uint64_t)SHARED;
	unlock();
}

/* Adds to a set of frame numbers; 0 if it is there already. */
static int add_frame(uint64_t *set, size_t room, uint64_t frame)
{
	size_t at = frame * 0x9e3779b97f4a7c15u % room;

	while (set[at] && set[at] != frame)
		at = (at + 1) % room;
	if (set[at])
		return 0;
	set[at] = frame;
	return 1;
}

static int area_consistent(const struct area *a, uint64_t *set, size_t room, size_t *nseen)
{
	for (size_t i = 0; i < a->top; i++) {
		uint64_t e = a->entries[i];
		const char *what = NULL;

		if (!FRAME(e))
			continue;
		if ((e & (GONE | OPEN)) != OPEN)
			what = "a frame behind an unopened page";
		else if (++*nseen > nframes)
			what = "more frames than are counted";
		else if (!add_frame(set, room, FRAME(e)))
			what = "a frame behind two pages";
		if (what) {
			printf("fake_os: %s: page %p, frame %llu\n", what,
				(void *)(a->base + i * PAGE_NBYTES), (unsigned long long)FRAME(e));
			return 0;
		}
	}
	return 1;
}

int fake_consistent(void)
{
	size_t room, nseen = 0;
	uint64_t *set;
	int ok = 1;

	lock();
	room = 2 * nframes + 1;
	set = calloc(room, sizeof(*set));
	for (size_t i = 0; ok && i < nareas; i++)
		ok = area_consistent(areas[i], set, room, &nseen);
	if (ok && nseen != nframes) {
		printf("fake_os: %zu frames seen, %zu counted\n", nseen, nframes);
		ok = 0;
	}
	free(set);
	unlock();
	return ok;
}
