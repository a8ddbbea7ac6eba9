#include "os/mover.h"

#include <errno.h>

#include "base/units.h"

/* A refusal that may pass is tried this often before the mover is held not to work. */
#define NTRIES 8

/* Looks at a superpage right after it moved, of which the quickest counts: an even number, so that
 * it ends where it was. And what such a look takes, beyond the next look, at most: the MMU finds a
 * page within 0.1 to 0.3 us; where the host has to be asked, it was 3.5. */
#define NLOOKS      4
#define LOOK_NS_MAX 1000

/* One end of the scratch memory has the frames, the other none. */
struct ends {
	char *with, *without;
	size_t nbytes;
};

static uint64_t *word_at(char *addr, size_t at)
{
	return (uint64_t *)(void *)(addr + at);
}

static int move_all(struct umpa_mover *m, struct ends *e)
{
	size_t done = 0, moved;
	int error = -EAGAIN;

	for (int i = 0; i < NTRIES && error == -EAGAIN; i++) {
		error = umpa_mover_move(
			m, e->without + done, e->with + done, e->nbytes - done, 0, &moved);
		done += moved;
	}
	return error;
}

/* The source is asked for frames instead of read: reading would put a zero page there, and the next
 * move to that place would be refused. */
static int content_moved(struct ends *e)
{
	unsigned char vec[SLOT_NPAGES];
	size_t npages = e->nbytes / PAGE_NBYTES;
	int error = umpa_os_resident(e->with, npages, vec);

	for (size_t i = 0; !error && i < npages; i++)
		if (vec[i] & 1 || *word_at(e->without, i * PAGE_NBYTES) != i + 1)
			error = -EIO;
	return error;
}

/* What a mover that failed half-way left: frames at e->with alone again. Should the system refuse
 * that too, there are fewer frames than promised, and they come with the first touch. */
static void clean_up(struct ends *e)
{
	(void)(umpa_os_unback(e->without, e->nbytes) || umpa_os_back(e->with, e->nbytes));
}

static int try_move(struct umpa_mover *m, struct ends *e, const char **step)
{
	char *with = e->with;
	int error;

	for (size_t i = 0; i < e->nbytes / PAGE_NBYTES; i++)
		*word_at(with, i * PAGE_NBYTES) = i + 1;
	error = move_all(m, e);
	if (error == -ENOSYS && e->nbytes == PAGE_NBYTES)
		return 0;
	if (!error) {
		*step = "content";
		error = content_moved(e);
	}
	if (error) {
		clean_up(e);
		return error;
	}
	e->with = e->without;
	e->without = with;
	return 0;
}

static uint64_t first_look_ns(const char *at)
{
	const volatile char *place = at;
	uint64_t start = umpa_os_clock_ns(), first, second;

	(void)*place;
	first = umpa_os_clock_ns();
	(void)*place;
	second = umpa_os_clock_ns();
	return first - start > second - first ? (first - start) - (second - first) : 0;
}

/* 1 if a host keeps shadow page tables: each change of ours is one that it has to follow. */
static int is_shadowed(struct umpa_mover *m, struct ends *e)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < NLOOKS; i++) {
		char *with = e->with;
		uint64_t ns;

		if (move_all(m, e)) {
			clean_up(e);
			return 0;
		}
		e->with = e->without;
		e->without = with;
		ns = first_look_ns(e->with);
		best = ns < best ? ns : best;
	}
	return best > LOOK_NS_MAX;
}

static int try_mover(struct umpa_mover *m, struct umpa_mover_trial *t, struct ends *superpage,
	struct ends *page, void *window, size_t nbytes)
{
	t->step = "open";
	t->error = t->kind == UMPA_MOVER_UFFD ? umpa_mover_uffd_init(m, window, nbytes)
					      : umpa_mover_mremap_init(m, window, nbytes);
	if (t->error)
		return t->error;
	t->step = "move superpage";
	t->error = try_move(m, superpage, &t->step);
	if (!t->error && page->with) {
		t->step = "move page";
		t->error = try_move(m, page, &t->step);
	}
	if (t->error)
		m->fini(m);
	else
		m->shadowed = is_shadowed(m, superpage);
	return t->error;
}

int umpa_mover_choose(struct umpa_mover *m, enum umpa_mover_kind want, void *window, size_t nbytes,
	const struct umpa_mover_scratch *scratch, struct umpa_mover_trial trials[3])
{
	struct ends superpage = {scratch->src, scratch->dst, SLOT_NBYTES};
	struct ends page = {scratch->page_src, scratch->page_dst, PAGE_NBYTES};
	struct umpa_mover_trial own[3];
	struct umpa_mover_trial *t = trials ? trials : own;

	for (unsigned i = 0; i < 3; i++)
		t[i] = (struct umpa_mover_trial){.kind = UMPA_MOVER_UFFD + i};
	for (unsigned i = 0; i < 2; i++) {
		if (umpa_os_confined() || (want != UMPA_MOVER_AUTO && want != t[i].kind))
			continue;
		if (!try_mover(m, &t[i], &superpage, &page, window, nbytes))
			return superpage.with == scratch->dst;
	}
	umpa_mover_plain_init(m, window, nbytes);
	return superpage.with == scratch->dst;
}
