#include "mmap_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	NAREAS = 24,
	NPAGES_MAX = 2600, /* of an area: five superpages and a bit */
	NWRONG_MAX = 10
};

enum {
	RW = PROT_READ | PROT_WRITE
};

/* Advice that older headers lack. */
enum {
	COLLAPSE = 25,
	GUARD_INSTALL = 102,
	GUARD_REMOVE = 103
};

static void *kernel_map(void *addr, size_t nbytes, int prot, int flags, int fd, off_t offset)
{
	return mmap(addr, nbytes, prot, flags, fd, offset);
}

static void *kernel_remap(void *addr, size_t old_nbytes, size_t new_nbytes, int flags, void *to)
{
	return mremap(addr, old_nbytes, new_nbytes, flags, to);
}

const struct mmap_world mmap_world_kernel = {
	kernel_map, munmap, kernel_remap, mprotect, madvise, shmat, shmdt, NULL, 0, NULL, NULL};

/* What a page holds (0: zero) and what may be done to it. */
struct page {
	uint32_t tag;
	unsigned char prot;
	unsigned char guarded;         /* GUARD_INSTALL: nothing, whatever prot says */
	unsigned char unforked, wiped; /* a child does not have it, or has it zero */
};

struct area {
	char *addr; /* NULL: none */
	unsigned npages;
	struct page page[NPAGES_MAX];
};

static struct area areas[NAREAS];
static const struct mmap_world *world;
static struct numbers numbers;
static int *answers;
static size_t nanswers, answers_room;
static unsigned sum; /* of all of them: FNV-1a */
static unsigned nwrong;
static uint32_t last_tag;
static uint64_t step;
static int op;
static int pipes[2], zero_fd;
static pid_t child;          /* 0: none; its answers come by child_fd */
static int child_fd, nforks; /* how many lie between this process and the first one */

static void wrong(const char *what, const struct area *a, unsigned page)
{
	nwrong++;
	printf("  step %llu: %s: area %ld, page %u of %u, at %p\n", (unsigned long long)step, what,
		(long)(a - areas), page, a->npages, (void *)(a->addr + (size_t)page * PAGE));
}

static unsigned below(unsigned n)
{
	return number_below(&numbers, n);
}

/* Writable alone is readable too on some machines: left out. */
static int any_prot(void)
{
	static const int prots[] = {PROT_NONE, PROT_READ, RW};

	return prots[below(3)];
}

static void note_answer(int what)
{
	sum = (sum ^ (unsigned)what) * 16777619u;
	if (nanswers < answers_room)
		answers[nanswers++] = what;
}

static int answer(int failed)
{
	int error = failed ? errno : 0;

	note_answer(op * 1000 + error);
	return error;
}

/* --- looking ------------------------------------------------------------------------------ */

static int may_read(const char *at)
{
	char byte;

	if (write(pipes[1], at, 1) != 1)
		return 0;
	return read(pipes[0], &byte, 1) == 1;
}

/* Leaves a 0 there, which is what was there. */
static int may_write(char *at)
{
	return read(zero_fd, at, 1) == 1;
}

static void look(struct area *a, unsigned i)
{
	char *at = a->addr + (size_t)i * PAGE;
	const struct page *p = &a->page[i];
	/* Where calls are refused in the middle, pages may be left with more rights. */
	int more = world->plan != NULL;
	int readable = may_read(at), should_read = p->prot & PROT_READ && !p->guarded;
	int writable = readable && may_write(at + PAGE - 1);
	int should_write = p->prot & PROT_WRITE && !p->guarded;
	uint32_t tag;

	if (readable != should_read && !(more && readable))
		wrong(readable ? "can be read" : "can't be read", a, i);
	if (writable != should_write && !(more && writable))
		wrong(writable ? "can be written" : "can't be written", a, i);
	if (!readable)
		return;
	memcpy(&tag, at + 8, sizeof(tag));
	if (tag != p->tag)
		wrong(p->tag ? "lost what was written" : "is not zero", a, i);
	else if (!tag && (at[0] || (!world->fake && (at[PAGE / 2] || at[PAGE - 2]))))
		wrong("is not zero all over", a, i);
}

static void look_at_all(struct area *a)
{
	for (unsigned i = 0; i < a->npages && nwrong < NWRONG_MAX; i++)
		look(a, i);
}

static void write_page(struct area *a, unsigned i)
{
	char *at = a->addr + (size_t)i * PAGE;

	if (a->page[i].prot != RW || a->page[i].guarded)
		return;
	a->page[i].tag = ++last_tag;
	memset(at, 0x5a, world->fake ? 60 : PAGE - 1);
	memcpy(at + 8, &last_tag, sizeof(last_tag));
}

/* --- areas -------------------------------------------------------------------------------- */

static struct area *any_area(int in_use)
{
	unsigned from = below(NAREAS);

	for (unsigned i = 0; i < NAREAS; i++) {
		struct area *a = &areas[(from + i) % NAREAS];

		if (!!a->addr == in_use)
			return a;
	}
	return NULL;
}

static void fill(struct area *a, unsigned from, unsigned end, int prot)
{
	for (unsigned i = from; i < end; i++)
		a->page[i] = (struct page){.prot = (unsigned char)prot};
}

struct cut {
	unsigned from, npages;
};

static struct cut any_cut(const struct area *a)
{
	struct cut c = {0, a->npages};

	if (below(4)) {
		c.from = below(a->npages);
		c.npages = 1 + below(a->npages - c.from);
	}
	return c;
}

static char *at(const struct area *a, unsigned page)
{
	return a->addr + (size_t)page * PAGE;
}

static size_t nbytes_of(unsigned npages)
{
	return (size_t)npages * PAGE - below(2) * below(PAGE);
}

/* --- one function an operation ------------------------------------------------------------ */

static unsigned any_npages(void)
{
	switch (below(4)) {
	case 0:
		return 1 + below(40);
	case 1:
		return 512 * (1 + below(4)) + below(3);
	default:
		return 16 + below(1600);
	}
}

static void op_map(void)
{
	struct area *a = any_area(0);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (below(8) ? 0 : MAP_POPULATE);
	int prot = below(6) ? RW : any_prot();
	char *got;

	if (!a)
		return;
	if (world->fake)
		prot = RW;
	a->npages = any_npages();
	got = world->map(NULL, nbytes_of(a->npages), prot, flags, -1, 0);
	if (answer(got == MAP_FAILED))
		return;
	a->addr = got;
	fill(a, 0, a->npages, prot);
	look(a, 0);
	look(a, a->npages - 1);
}

/* Address space, and perhaps a piece of it opened at once. */
static void op_reserve(void)
{
	struct area *a = any_area(0);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (below(3) ? MAP_NORESERVE : 0);
	char *got;

	if (!a)
		return;
	a->npages = any_npages();
	got = world->map(NULL, nbytes_of(a->npages), PROT_NONE, flags, -1, 0);
	if (answer(got == MAP_FAILED))
		return;
	a->addr = got;
	fill(a, 0, a->npages, PROT_NONE);
	look(a, 0);
	look(a, a->npages - 1);
}

static void op_write(void)
{
	struct area *a = any_area(1);
	struct cut c;

	if (!a)
		return;
	c = any_cut(a);
	for (unsigned i = c.from; i < c.from + c.npages; i += 1 + below(3) * below(64))
		write_page(a, i);
}

static void op_look(void)
{
	struct area *a = any_area(1);

	if (a)
		look_at_all(a);
}

/* Calls that go over a gap which is there for this moment: none of them may change what is left of
 * the area but as the kernel would. */
static void over_gap(struct area *a, struct cut gap)
{
	unsigned end = gap.from + gap.npages;
	int advice = MADV_DONTNEED;

	if (below(2)) {
		int prot = any_prot();

		answer(world->protect(at(a, 0), (size_t)a->npages * PAGE, prot));
		for (unsigned i = 0; i < gap.from; i++)
			a->page[i].prot = (unsigned char)prot;
	} else {
		answer(world->advise(at(a, 0), (size_t)a->npages * PAGE, advice));
		for (unsigned i = 0; i < a->npages; i++)
			a->page[i].tag = 0;
	}
	answer(world->remap(at(a, 0), (size_t)a->npages * PAGE, (size_t)(a->npages + 1) * PAGE,
		       MREMAP_MAYMOVE, NULL) == MAP_FAILED);
	if (below(2))
		answer(world->unmap(at(a, gap.from), (size_t)(end - gap.from) * PAGE));
}

/* The gap is filled again, by a mapping of its own. */
static int refill(struct area *a, struct cut gap)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (below(2) ? MAP_FIXED_NOREPLACE : MAP_FIXED);
	int prot = below(3) ? RW : any_prot();
	char *got = world->map(at(a, gap.from), (size_t)gap.npages * PAGE, prot, flags, -1, 0);

	if (answer(got == MAP_FAILED))
		return 0;
	if (got != at(a, gap.from))
		wrong("mapped elsewhere than asked for", a, gap.from);
	fill(a, gap.from, gap.from + gap.npages, prot);
	return 1;
}

static void split(struct area *a, struct cut gap)
{
	unsigned end = gap.from + gap.npages, nbehind = a->npages - end;
	struct area *b = nbehind ? any_area(0) : NULL;

	if (b) {
		b->addr = at(a, end);
		b->npages = nbehind;
		memcpy(b->page, a->page + end, nbehind * sizeof(*b->page));
	} else if (nbehind) {
		if (world->cancel)
			world->cancel();
		answer(world->unmap(at(a, end), (size_t)nbehind * PAGE));
	}
	a->npages = gap.from;
	if (!a->npages)
		a->addr = NULL;
}

/* What may be done to a gap before the area is two. */
static void leave_gap(struct area *a, struct cut gap)
{
	if (!world->fake && below(3) == 0 && gap.npages < a->npages)
		over_gap(a, gap);
	if (below(3) == 0 && gap.npages < a->npages && refill(a, gap))
		return;
	split(a, gap);
}

static void op_unmap(void)
{
	struct area *a = any_area(1);
	struct cut c;

	if (!a)
		return;
	c = any_cut(a);
	if (answer(world->unmap(at(a, c.from), nbytes_of(c.npages)))) {
		if (!world->cancel)
			return;
		/* Part of it may be as if it were unmapped. */
		world->cancel();
		world->unmap(at(a, c.from), (size_t)c.npages * PAGE);
	}
	leave_gap(a, c);
}

static int protect_cut(struct area *a, struct cut c, int prot)
{
	if (answer(world->protect(at(a, c.from), nbytes_of(c.npages), prot)))
		return 0;
	for (unsigned i = c.from; i < c.from + c.npages; i++)
		a->page[i].prot = (unsigned char)prot;
	return 1;
}

static void op_protect(void)
{
	struct area *a = any_area(1);
	int prot = below(3) ? RW : any_prot();
	struct cut c;

	if (!a)
		return;
	c = any_cut(a);
	protect_cut(a, c, prot);
}

static int map_over_cut(struct area *a, struct cut c, int prot)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (below(2) ? MAP_NORESERVE : 0);

	if (answer(world->map(at(a, c.from), nbytes_of(c.npages), prot, flags, -1, 0) ==
		    MAP_FAILED))
		return 0;
	fill(a, c.from, c.from + c.npages, prot);
	return 1;
}

/* Piece by piece from some page on, some of it written to at once. */
static void op_open(void)
{
	struct area *a = any_area(1);
	int by_mapping = (int)below(2), npieces = 1 + (int)below(6);
	struct cut c;

	if (!a)
		return;
	c.from = below(a->npages);
	for (int i = 0; i < npieces && c.from < a->npages; i++) {
		c.npages = 1 + below(below(2) ? 30 : 700);
		if (c.npages > a->npages - c.from)
			c.npages = a->npages - c.from;
		if (!(by_mapping ? map_over_cut : protect_cut)(a, c, RW))
			return;
		look(a, c.from);
		write_page(a, c.from + below(c.npages));
		c.from += c.npages + (below(3) ? 0 : below(20));
	}
}

/* A part of an area is closed, and what it holds given up. */
static void op_close(void)
{
	struct area *a = any_area(1);
	struct cut c;

	if (!a)
		return;
	c = any_cut(a);
	if (below(2)) {
		map_over_cut(a, c, PROT_NONE);
		return;
	}
	if (answer(world->advise(at(a, c.from), nbytes_of(c.npages), MADV_DONTNEED)))
		return;
	for (unsigned i = c.from; i < c.from + c.npages; i++)
		a->page[i].tag = 0;
	protect_cut(a, c, PROT_NONE);
}

static void take_advice(struct page *p, int advice)
{
	switch (advice) {
	case GUARD_INSTALL:
	case GUARD_REMOVE:
		p->guarded = advice == GUARD_INSTALL;
		p->tag = p->guarded ? 0 : p->tag;
		break;
	case MADV_DONTNEED:
		p->tag = 0;
		break;
	case MADV_DONTFORK:
	case MADV_DOFORK:
		p->unforked = advice == MADV_DONTFORK;
		break;
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
		p->wiped = advice == MADV_WIPEONFORK;
		break;
	}
}

static void op_advise(void)
{
	static const int advices[] = {MADV_DONTNEED, MADV_DONTNEED, MADV_NORMAL, MADV_RANDOM,
		MADV_SEQUENTIAL, MADV_WILLNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP,
		MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD, MADV_DONTFORK,
		MADV_DOFORK, 12345, MADV_REMOVE, MADV_PAGEOUT, MADV_POPULATE_READ,
		MADV_POPULATE_WRITE, COLLAPSE, GUARD_INSTALL, GUARD_REMOVE};
	/* The fake OS does not know the last. */
	unsigned n = sizeof(advices) / sizeof(advices[0]) - (world->fake ? 6 : 0);
	struct area *a = any_area(1);
	int advice = advices[below(n)], error;
	struct cut c;

	if (!a)
		return;
	c = any_cut(a);
	error = world->advise(at(a, c.from), nbytes_of(c.npages), advice);
	if (advice != COLLAPSE) /* which is as it happens */
		answer(error);
	/* Refused at a part that is of a file, /dev/zero, when those before it are done. */
	if (error && advice == MADV_WIPEONFORK && !world->fake) {
		advice = MADV_KEEPONFORK;
		error = answer(world->advise(at(a, c.from), nbytes_of(c.npages), advice));
	}
	for (unsigned i = c.from; !error && i < c.from + c.npages; i++)
		take_advice(&a->page[i], advice);
}

/* Over a part of an area. */
static void op_map_over(void)
{
	struct area *a = any_area(1);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (below(4) ? 0 : MAP_NORESERVE);
	int prot = below(2) ? RW : any_prot(), fd = -1;
	struct cut c;

	if (!a)
		return;
	c = any_cut(a);
	if (!world->fake &&
		!below(8)) /* there it is refused, and the kernel may have unmapped before it did */
		answer(world->map(at(a, c.from), (size_t)c.npages * PAGE, RW,
			       MAP_FIXED | MAP_PRIVATE, -1, 0) == MAP_FAILED);
	if (!below(4)) {
		flags = MAP_PRIVATE | MAP_FIXED;
		fd = zero_fd;
	}
	if (answer(world->map(at(a, c.from), nbytes_of(c.npages), prot, flags, fd, 0) ==
		    MAP_FAILED))
		return;
	fill(a, c.from, c.from + c.npages, prot);
}

/* A fresh area, so that it is one mapping for the kernel. NULL: none. */
static struct area *fresh_area(unsigned npages)
{
	struct area *a = any_area(0);
	int prot = below(6) ? RW : PROT_NONE;
	char *got;

	if (!a)
		return NULL;
	a->npages = npages;
	got = world->map(NULL, (size_t)npages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (answer(got == MAP_FAILED))
		return NULL;
	a->addr = got;
	fill(a, 0, npages, prot);
	for (unsigned i = 0; i < npages; i += 1 + below(50))
		write_page(a, i);
	if (below(4) == 0 && !answer(world->protect(a->addr, (size_t)npages * PAGE, PROT_READ)))
		for (unsigned i = 0; i < npages; i++)
			a->page[i].prot = PROT_READ;
	return a;
}

static void op_remap(void)
{
	struct area *a = fresh_area(any_npages());
	int times = 1 + (int)below(4);

	while (a && times--) {
		unsigned npages = 1 + below(NPAGES_MAX - 1);
		char *got = world->remap(
			a->addr, nbytes_of(a->npages), nbytes_of(npages), MREMAP_MAYMOVE, NULL);

		if (answer(got == MAP_FAILED))
			return;
		a->addr = got;
		if (npages > a->npages)
			fill(a, a->npages, npages, a->page[0].prot);
		a->npages = npages;
		look_at_all(a);
	}
}

/* To an exact place: that of another area, which ends. */
static void op_remap_fixed(void)
{
	struct area *b = any_area(1), *a = b ? fresh_area(1 + below(NPAGES_MAX - 1)) : NULL;
	char *got;

	if (!a)
		return;
	got = world->remap(a->addr, (size_t)a->npages * PAGE, (size_t)b->npages * PAGE,
		MREMAP_MAYMOVE | MREMAP_FIXED, b->addr);
	if (answer(got == MAP_FAILED))
		return;
	if (got != b->addr)
		wrong("moved elsewhere than asked for", b, 0);
	fill(b, 0, b->npages, a->page[0].prot);
	memcpy(b->page, a->page,
		(a->npages < b->npages ? a->npages : b->npages) * sizeof(*a->page));
	a->addr = NULL;
	look_at_all(b);
}

/* A segment of shared memory that nobody else has: 1 if it was attached. */
static int attach(struct area *a, struct cut c, int flags)
{
	int id = shmget(IPC_PRIVATE, nbytes_of(c.npages), IPC_CREAT | 0600);
	char *got = world->attach(id, at(a, c.from), flags);
	int error = answer(got == MAP_FAILED);

	shmctl(id, IPC_RMID, NULL);
	if (!error && got != at(a, c.from))
		wrong("attached elsewhere than asked for", a, c.from);
	if (!error)
		fill(a, c.from, c.from + c.npages, flags & SHM_RDONLY ? PROT_READ : RW);
	return !error;
}

/* Over a part of an area, used for a while, partly mapped over, and detached. Once more where it
 * was, perhaps. */
static void op_segment(void)
{
	struct area *a = any_area(1);
	struct cut c, piece;

	if (!a)
		return;
	c = any_cut(a);
	attach(a, c, 0);
	if (!attach(a, c, SHM_REMAP | (below(4) ? 0 : SHM_RDONLY)))
		return;
	piece.from = c.from + below(c.npages);
	piece.npages = 1 + below(c.from + c.npages - piece.from);
	if (below(2))
		protect_cut(a, piece, any_prot());
	write_page(a, c.from + below(c.npages));
	look_at_all(a);
	if (below(2) && piece.from > c.from) {
		piece.npages = c.from + c.npages - piece.from;
		if (map_over_cut(a, piece, any_prot()))
			c.npages -= piece.npages;
	}
	answer(world->detach(at(a, c.from + 1)));
	answer(world->detach(at(a, c.from)));
	answer(world->detach(at(a, c.from)));
	if (!below(3) && attach(a, c, 0)) {
		look(a, c.from);
		answer(world->detach(at(a, c.from)));
	}
	leave_gap(a, c);
}

/* --- fork --------------------------------------------------------------------------------- */

/* What was not handed on is mapped anew: nobody else may have had the address in between. */
static void fill_hole(struct area *a, struct cut c)
{
	if (map_over_cut(a, c, RW))
		write_page(a, c.from);
}

static void inherit(struct area *a)
{
	struct cut hole = {0, 0};

	for (unsigned i = 0; i <= a->npages; i++) {
		if (i < a->npages && a->page[i].unforked) {
			hole = hole.npages ? hole : (struct cut){i, 0};
			hole.npages++;
		} else if (hole.npages) {
			fill_hole(a, hole);
			hole.npages = 0;
		}
		if (i < a->npages && a->page[i].wiped) { /* guards are, too */
			a->page[i].guarded = 0;
			a->page[i].tag = 0;
		}
	}
}

static void take_steps(uint64_t nsteps);
static void end_all(void);

/* What a child says of itself. */
struct report {
	unsigned nwrong, sum;
};

/* Does as its parent does, by other numbers. */
static void be_child(int fd)
{
	struct report r;

	child = 0;
	nwrong = 0;
	answers_room = nanswers;
	nforks++;
	numbers.random ^= 1u << 20;
	if (pipe(pipes))
		_exit(1);
	for (unsigned i = 0; i < NAREAS; i++)
		if (areas[i].addr)
			inherit(&areas[i]);
	take_steps(30);
	end_all();
	fflush(stdout);
	r = (struct report){nwrong, sum};
	_exit(write(fd, &r, sizeof(r)) != sizeof(r));
}

/* The child that there is, if any. */
static void await_child(void)
{
	struct report r = {1, 0};
	int status = 0;

	if (!child)
		return;
	if (read(child_fd, &r, sizeof(r)) != sizeof(r))
		r.nwrong = 1;
	close(child_fd);
	if (waitpid(child, &status, 0) != child || status)
		r.nwrong++;
	child = 0;
	note_answer((int)(r.sum >> 1));
	nwrong += r.nwrong;
	if (r.nwrong)
		printf("  step %llu: a child, status %d\n", (unsigned long long)step, status);
}

/* A child that goes on, as its parent does meanwhile. */
static void op_fork(void)
{
	int ends[2];

	await_child();
	if (nforks > 1 || below(3) || pipe(ends))
		return;
	fflush(stdout);
	child = fork();
	if (!child)
		be_child(ends[1]);
	close(ends[1]);
	child_fd = ends[0];
}

/* What every kernel refuses. */
static void op_refused(void)
{
	struct area *a = any_area(1);
	char *p = a ? a->addr : NULL;
	size_t n = a ? (size_t)a->npages * PAGE : 0;

	if (!a)
		return;
	answer(world->unmap(p + 1, PAGE));
	answer(world->unmap(p, 0));
	answer(world->unmap(p, SIZE_MAX - 10));
	answer(world->protect(p + 1, PAGE, RW));
	answer(world->protect(p, 0, RW));
	answer(world->protect(p, n, 0x1000));
	answer(world->protect(p, SIZE_MAX - 10, RW));
	answer(world->advise(p + 1, PAGE, MADV_DONTNEED));
	answer(world->advise(p, 0, MADV_DONTNEED));
	answer(world->advise(p, n, -1));
	answer(world->remap(p + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL) == MAP_FAILED);
	answer(world->remap(p, n, 0, MREMAP_MAYMOVE, NULL) == MAP_FAILED);
	answer(world->remap(p, n, n, 64, NULL) == MAP_FAILED);
	answer(world->remap(p, n, n, MREMAP_FIXED, p + 2 * n) == MAP_FAILED);
	answer(world->remap(p, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, p + 1) == MAP_FAILED);
	answer(world->remap(p, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, p) == MAP_FAILED);
	answer(world->map(NULL, 0, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	answer(world->map(NULL, n, RW, MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	answer(world->map(NULL, n, RW, MAP_PRIVATE, -1, 0) == MAP_FAILED);
	answer(world->map(NULL, n, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 1) == MAP_FAILED);
	answer(world->map(NULL, SIZE_MAX - 10, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		MAP_FAILED);
	answer(world->map(p + 1, n, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		MAP_FAILED);
	answer(world->map(p, n, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
		MAP_FAILED);
}

static void end_all(void)
{
	await_child();
	for (unsigned i = 0; i < NAREAS; i++)
		if (areas[i].addr) {
			look_at_all(&areas[i]);
			answer(world->unmap(areas[i].addr, (size_t)areas[i].npages * PAGE));
			areas[i].addr = NULL;
		}
}

static void take_steps(uint64_t nsteps)
{
	/* The last are not for the fake OS. */
	enum {
		NOPS_FAKE = 21
	};
	static void (*const ops[])(void) = {op_map, op_map, op_map, op_reserve, op_open, op_open,
		op_open, op_close, op_write, op_write, op_write, op_look, op_unmap, op_unmap,
		op_unmap, op_protect, op_protect, op_advise, op_advise, op_map_over, op_remap,
		op_remap_fixed, op_segment, op_refused, op_fork};

	for (step = 0; step < nsteps && nwrong < NWRONG_MAX && !numbers_end(&numbers); step++) {
		if (world->before)
			world->before(step);
		if (world->plan)
			world->plan(&numbers);
		op = (int)below(world->fake ? NOPS_FAKE : sizeof(ops) / sizeof(ops[0]));
		ops[op]();
	}
}

unsigned mmap_model_run(
	const struct mmap_world *w, struct numbers n, uint64_t nsteps, int *said, size_t *nsaid)
{
	world = w;
	numbers = n;
	answers = said;
	answers_room = *nsaid;
	nanswers = 0;
	nwrong = 0;
	zero_fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	if (zero_fd < 0 || pipe(pipes))
		return 1;
	take_steps(nsteps);
	if (w->cancel)
		w->cancel();
	end_all();
	close(zero_fd);
	close(pipes[0]);
	close(pipes[1]);
	*nsaid = nanswers;
	return nwrong;
}
