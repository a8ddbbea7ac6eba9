#include "mover_contract.h"

#include <errno.h>

#include "base/units.h"
#include "check.h"
#include "os/os.h"

#define WINDOW_NBYTES (CONTRACT_NSLOTS * SLOT_NBYTES)

/* --- the bench ---------------------------------------------------------------------------- */

void contract_setup(struct bench *b, const struct contract *c)
{
	void *window = NULL;

	b->contract = c;
	REQUIRE(!umpa_os_reserve(WINDOW_NBYTES, &window));
	REQUIRE(!umpa_os_open(window, WINDOW_NBYTES));
	/* A system without huge pages refuses the advice; then the case runs on small ones. */
	if (umpa_os_advise_huge(window, WINDOW_NBYTES, c->huge))
		check_skip("the system takes no advice on huge pages");
	b->window = window;
	if (c->init(&b->mover, window, WINDOW_NBYTES)) {
		umpa_os_release(window, WINDOW_NBYTES);
		SKIP("this system has no such mover");
	}
	CHECK((uintptr_t)window % SLOT_NBYTES == 0);
}

void contract_finish(struct bench *b)
{
	b->mover.fini(&b->mover);
	umpa_os_release(b->window, WINDOW_NBYTES);
}

char *bench_slot(const struct bench *b, size_t i)
{
	return b->window + i * SLOT_NBYTES;
}

static uint64_t *tag_of(const char *page)
{
	return (uint64_t *)(uintptr_t)page;
}

void bench_fill(const struct bench *b, char *addr, size_t nbytes, uint64_t tag)
{
	b->contract->touch(addr, nbytes);
	for (size_t i = 0; i < nbytes / PAGE_NBYTES; i++)
		*tag_of(addr + i * PAGE_NBYTES) = tag + i;
}

int bench_holds(const char *addr, size_t nbytes, uint64_t tag)
{
	for (size_t i = 0; i < nbytes / PAGE_NBYTES; i++)
		if (*tag_of(addr + i * PAGE_NBYTES) != tag + i)
			return 0;
	return 1;
}

int bench_absent(const char *addr, size_t nbytes)
{
	unsigned char vec[SLOT_NPAGES];

	for (size_t at = 0; at < nbytes; at += PAGE_NBYTES)
		if (umpa_os_resident(addr + at, 1, vec) || vec[0] & 1)
			return 0;
	return 1;
}

int bench_is_moved(const char *dst, const char *src, size_t nbytes, size_t moved, uint64_t tag)
{
	return moved <= nbytes && bench_absent(src, moved) && bench_holds(dst, moved, tag) &&
	       bench_holds(src + moved, nbytes - moved, tag + moved / PAGE_NBYTES);
}

int bench_move(struct bench *b, char *dst, char *src, size_t nbytes, unsigned flags, size_t *moved)
{
	return umpa_mover_move(&b->mover, dst, src, nbytes, flags, moved);
}

/* --- what moves --------------------------------------------------------------------------- */

void contract_content_follows(const struct contract *c)
{
	struct bench b;
	size_t moved;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, c);
	bench_fill(&b, bench_slot(&b, 3), SLOT_NBYTES, 1000);
	CHECK_EQ(bench_move(&b, bench_slot(&b, 5), bench_slot(&b, 3), SLOT_NBYTES, 0, &moved), 0);
	CHECK_EQ(moved, SLOT_NBYTES);
	CHECK(bench_is_moved(bench_slot(&b, 5), bench_slot(&b, 3), SLOT_NBYTES, moved, 1000));
	CHECK_EQ(*tag_of(bench_slot(&b, 3)), 0);
	contract_finish(&b);
}

void contract_source_can_be_used_again(const struct contract *c)
{
	struct bench b;
	char *a, *to1, *to2;
	size_t moved;

	PLAN(SETUP_NCHECKS + 5);
	contract_setup(&b, c);
	a = bench_slot(&b, 1), to1 = bench_slot(&b, 2), to2 = bench_slot(&b, 9);
	bench_fill(&b, a, SLOT_NBYTES, 1);
	CHECK_EQ(bench_move(&b, to1, a, SLOT_NBYTES, 0, &moved), 0);
	bench_fill(&b, a, SLOT_NBYTES, 5000);
	CHECK(bench_holds(to1, SLOT_NBYTES, 1));
	CHECK_EQ(bench_move(&b, to2, a, SLOT_NBYTES, 0, &moved), 0);
	CHECK(bench_is_moved(to2, a, SLOT_NBYTES, moved, 5000));
	CHECK(bench_holds(to1, SLOT_NBYTES, 1));
	contract_finish(&b);
}

void contract_several_slots_in_one_call(const struct contract *c)
{
	struct bench b;
	size_t moved;

	PLAN(SETUP_NCHECKS + 5);
	contract_setup(&b, c);
	bench_fill(&b, bench_slot(&b, 0), 7 * SLOT_NBYTES, 1);
	CHECK_EQ(bench_move(&b, bench_slot(&b, 8), bench_slot(&b, 1), 5 * SLOT_NBYTES, 0, &moved),
		0);
	CHECK_EQ(moved, 5 * SLOT_NBYTES);
	CHECK(bench_is_moved(
		bench_slot(&b, 8), bench_slot(&b, 1), 5 * SLOT_NBYTES, moved, 1 + SLOT_NPAGES));
	CHECK(bench_holds(bench_slot(&b, 0), SLOT_NBYTES, 1));
	CHECK(bench_holds(bench_slot(&b, 6), SLOT_NBYTES, 1 + 6 * SLOT_NPAGES));
	contract_finish(&b);
}

void contract_ends_of_the_window(const struct contract *c)
{
	struct bench b;
	char *first, *last;
	size_t moved;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, c);
	first = bench_slot(&b, 0), last = bench_slot(&b, CONTRACT_NSLOTS - 1);
	bench_fill(&b, first, SLOT_NBYTES, 1);
	CHECK_EQ(bench_move(&b, last, first, SLOT_NBYTES, 0, &moved), 0);
	CHECK(bench_is_moved(last, first, SLOT_NBYTES, moved, 1));
	CHECK_EQ(bench_move(&b, first, last, SLOT_NBYTES, 0, &moved), 0);
	CHECK(bench_is_moved(first, last, SLOT_NBYTES, moved, 1));
	contract_finish(&b);
}

void contract_back_and_forth(const struct contract *c)
{
	struct bench b;
	size_t moved;
	int nfailed = 0;

	PLAN(SETUP_NCHECKS + 2);
	contract_setup(&b, c);
	bench_fill(&b, bench_slot(&b, 4), 2 * SLOT_NBYTES, 77);
	for (int i = 0; i < 100; i++) {
		char *src = bench_slot(&b, i % 2 ? 10 : 4), *dst = bench_slot(&b, i % 2 ? 4 : 10);

		nfailed += bench_move(&b, dst, src, 2 * SLOT_NBYTES, 0, &moved) != 0 ||
			   !bench_is_moved(dst, src, 2 * SLOT_NBYTES, moved, 77);
	}
	CHECK_EQ(nfailed, 0);
	CHECK(bench_holds(bench_slot(&b, 4), 2 * SLOT_NBYTES, 77));
	contract_finish(&b);
}

/* Slots are handed around a ring with one place free, in ever other steps. */
void contract_rotation_of_all_slots(const struct contract *c)
{
	size_t place[CONTRACT_NSLOTS], hole = CONTRACT_NSLOTS - 1, moved;
	struct bench b;
	int nfailed = 0, ok = 1;

	PLAN(SETUP_NCHECKS + 2);
	contract_setup(&b, c);
	for (size_t i = 0; i < hole; i++) {
		place[i] = i;
		bench_fill(&b, bench_slot(&b, i), SLOT_NBYTES, i * SLOT_NPAGES);
	}
	for (size_t step = 0; step < 200; step++) {
		size_t who = step * 7 % (CONTRACT_NSLOTS - 1), from = place[who];

		nfailed += bench_move(&b, bench_slot(&b, hole), bench_slot(&b, from), SLOT_NBYTES,
				   0, &moved) != 0;
		place[who] = hole;
		hole = from;
	}
	for (size_t i = 0; i < CONTRACT_NSLOTS - 1; i++)
		ok &= bench_holds(bench_slot(&b, place[i]), SLOT_NBYTES, i * SLOT_NPAGES);
	CHECK_EQ(nfailed, 0);
	CHECK(ok && bench_absent(bench_slot(&b, hole), SLOT_NBYTES));
	contract_finish(&b);
}

void contract_unbacked_destination_takes_again(const struct contract *c)
{
	struct bench b;
	char *dst;
	size_t moved;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, c);
	dst = bench_slot(&b, 7);
	bench_fill(&b, dst, SLOT_NBYTES, 9);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, 1);
	CHECK_EQ(umpa_os_unback(dst, SLOT_NBYTES), 0);
	CHECK(bench_absent(dst, SLOT_NBYTES));
	CHECK_EQ(bench_move(&b, dst, bench_slot(&b, 2), SLOT_NBYTES, 0, &moved), 0);
	CHECK(bench_is_moved(dst, bench_slot(&b, 2), SLOT_NBYTES, moved, 1));
	contract_finish(&b);
}

/* --- what is refused ---------------------------------------------------------------------- */

void contract_occupied_destination_is_refused(const struct contract *c)
{
	struct bench b;
	char *dst, *src;
	size_t moved;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, c);
	dst = bench_slot(&b, 8), src = bench_slot(&b, 2);
	bench_fill(&b, dst, SLOT_NBYTES, 5000);
	bench_fill(&b, src, 2 * SLOT_NBYTES, 1);
	CHECK_EQ(bench_move(&b, dst, src, 2 * SLOT_NBYTES, 0, &moved), -EEXIST);
	CHECK_EQ(moved, 0);
	CHECK(bench_holds(src, 2 * SLOT_NBYTES, 1));
	CHECK(bench_holds(dst, SLOT_NBYTES, 5000));
	contract_finish(&b);
}

void contract_occupied_later_destination_stops(const struct contract *c)
{
	struct bench b;
	char *dst, *src, *occupied;
	size_t moved;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, c);
	dst = bench_slot(&b, 8), src = bench_slot(&b, 2);
	occupied = dst + 2 * SLOT_NBYTES + 7 * PAGE_NBYTES;
	bench_fill(&b, dst + 2 * SLOT_NBYTES, SLOT_NBYTES, 0);
	CHECK_EQ(umpa_os_unback(dst + 2 * SLOT_NBYTES, 7 * PAGE_NBYTES), 0);
	bench_fill(&b, src, 4 * SLOT_NBYTES, 1);
	CHECK_EQ(bench_move(&b, dst, src, 4 * SLOT_NBYTES, 0, &moved), -EEXIST);
	/* What is counted has moved, and nothing else has, at the latest before the page in the
	 * way. */
	CHECK(moved >= 2 * SLOT_NBYTES && dst + moved <= occupied &&
		bench_is_moved(dst, src, 4 * SLOT_NBYTES, moved, 1));
	CHECK(bench_holds(occupied, SLOT_NBYTES - 7 * PAGE_NBYTES, 7));
	contract_finish(&b);
}

void contract_empty_source_is_refused(const struct contract *c)
{
	struct bench b;
	size_t moved;

	PLAN(SETUP_NCHECKS + 3);
	contract_setup(&b, c);
	CHECK_EQ(bench_move(&b, bench_slot(&b, 8), bench_slot(&b, 2), SLOT_NBYTES, 0, &moved),
		-ENOENT);
	CHECK_EQ(moved, 0);
	CHECK(bench_absent(bench_slot(&b, 8), SLOT_NBYTES));
	contract_finish(&b);
}

void contract_empty_later_source_stops(const struct contract *c)
{
	struct bench b;
	char *dst, *src;
	size_t moved;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, c);
	dst = bench_slot(&b, 8), src = bench_slot(&b, 2);
	bench_fill(&b, src, 2 * SLOT_NBYTES, 1);
	bench_fill(&b, src + 3 * SLOT_NBYTES, SLOT_NBYTES, 1);
	CHECK_EQ(bench_move(&b, dst, src, 4 * SLOT_NBYTES, 0, &moved), -ENOENT);
	CHECK_EQ(moved, 2 * SLOT_NBYTES);
	CHECK(bench_is_moved(dst, src, 2 * SLOT_NBYTES, moved, 1));
	CHECK(bench_holds(src + 3 * SLOT_NBYTES, SLOT_NBYTES, 1));
	contract_finish(&b);
}

/* A slot in which only every third page, from the second on, has a frame. */
static int punch(char *slot)
{
	int nfailed = 0;

	for (size_t i = 0; i < SLOT_NPAGES; i++)
		if (i % 3 != 1)
			nfailed += umpa_os_unback(slot + i * PAGE_NBYTES, PAGE_NBYTES) != 0;
	return nfailed;
}

static int is_punched(const char *slot, uint64_t tag)
{
	for (size_t i = 0; i < SLOT_NPAGES; i++) {
		const char *page = slot + i * PAGE_NBYTES;

		if (i % 3 == 1 ? *tag_of(page) != tag + i : !bench_absent(page, PAGE_NBYTES))
			return 0;
	}
	return 1;
}

void contract_holes_are_left_out(const struct contract *c)
{
	struct bench b;
	char *dst, *src;
	size_t moved;

	PLAN(SETUP_NCHECKS + 6);
	contract_setup(&b, c);
	dst = bench_slot(&b, 8), src = bench_slot(&b, 2);
	bench_fill(&b, src, SLOT_NBYTES, 1);
	CHECK_EQ(punch(src), 0);
	bench_fill(&b, src + 2 * SLOT_NBYTES, SLOT_NBYTES, 1); /* the slot between has no frames */
	CHECK_EQ(bench_move(&b, dst, src, 3 * SLOT_NBYTES, UMPA_MOVE_HOLES, &moved), 0);
	CHECK_EQ(moved, 3 * SLOT_NBYTES);
	CHECK(is_punched(dst, 1) && bench_absent(dst + SLOT_NBYTES, SLOT_NBYTES));
	CHECK(bench_holds(dst + 2 * SLOT_NBYTES, SLOT_NBYTES, 1));
	CHECK(bench_absent(src, 3 * SLOT_NBYTES));
	contract_finish(&b);
}

void contract_hole_stops(const struct contract *c)
{
	struct bench b;
	char *dst, *src;
	size_t moved, hole = 9;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, c);
	dst = bench_slot(&b, 8), src = bench_slot(&b, 2);
	bench_fill(&b, src, SLOT_NBYTES, 1);
	CHECK_EQ(umpa_os_unback(src + hole * PAGE_NBYTES, PAGE_NBYTES), 0);
	CHECK_EQ(bench_move(&b, dst, src, SLOT_NBYTES, 0, &moved), -ENOENT);
	CHECK(moved <= hole * PAGE_NBYTES &&
		bench_is_moved(dst, src, hole * PAGE_NBYTES, moved, 1));
	CHECK(bench_holds(
		src + (hole + 1) * PAGE_NBYTES, SLOT_NBYTES - (hole + 1) * PAGE_NBYTES, hole + 2));
	contract_finish(&b);
}

/* --- single pages ------------------------------------------------------------------------- */

/* The first move of a page says whether the mover moves pages at all. */
static int moves_pages(int result, size_t moved, const char *dst, const char *src)
{
	if (result != -ENOSYS)
		return 1;
	CHECK(!moved && bench_absent(dst, PAGE_NBYTES) && bench_holds(src, PAGE_NBYTES, 1));
	return 0;
}

void contract_single_pages(const struct contract *c)
{
	struct bench b;
	char *dst, *src;
	size_t moved;
	int result;

	contract_setup(&b, c);
	dst = bench_slot(&b, 8) + 3 * PAGE_NBYTES, src = bench_slot(&b, 2) + 5 * PAGE_NBYTES;
	bench_fill(&b, src, 2 * PAGE_NBYTES, 1);
	result = bench_move(&b, dst, src, PAGE_NBYTES, 0, &moved);
	if (!moves_pages(result, moved, dst, src)) {
		PLAN(SETUP_NCHECKS + 1);
		contract_finish(&b);
		return;
	}
	PLAN(SETUP_NCHECKS + 5);
	CHECK_EQ(result, 0);
	CHECK(bench_is_moved(dst, src, 2 * PAGE_NBYTES, moved, 1));
	CHECK_EQ(bench_move(&b, dst, src + PAGE_NBYTES, PAGE_NBYTES, 0, &moved), -EEXIST);
	CHECK_EQ(bench_move(&b, dst + PAGE_NBYTES, src, PAGE_NBYTES, 0, &moved), -ENOENT);
	CHECK_EQ(moved, 0);
	contract_finish(&b);
}

void contract_unaligned_ends(const struct contract *c)
{
	size_t nbytes = SLOT_NBYTES + 20 * PAGE_NBYTES, moved;
	struct bench b;
	char *dst, *src;
	int result;

	contract_setup(&b, c);
	dst = bench_slot(&b, 8) + 300 * PAGE_NBYTES, src = bench_slot(&b, 2) + 5 * PAGE_NBYTES;
	bench_fill(&b, src, nbytes, 1);
	result = bench_move(&b, dst, src, nbytes, 0, &moved);
	if (!moves_pages(result, moved, dst, src)) {
		PLAN(SETUP_NCHECKS + 1);
		contract_finish(&b);
		return;
	}
	PLAN(SETUP_NCHECKS + 2);
	CHECK_EQ(result, 0);
	CHECK(bench_is_moved(dst, src, nbytes, moved, 1));
	contract_finish(&b);
}

/* --- parts of the window that are mapped anew ----------------------------------------------- */

static int renew(struct bench *b, char *addr, size_t nbytes)
{
	int error = umpa_os_renew(addr, nbytes, b->contract->huge);

	if (!error && b->mover.renewed)
		b->mover.renewed(&b->mover, addr, nbytes);
	return error;
}

void contract_renewed_parts_move(const struct contract *c)
{
	struct bench b;
	char *slot[4];
	size_t moved;

	PLAN(SETUP_NCHECKS + 9);
	contract_setup(&b, c);
	for (size_t i = 0; i < array_len(slot); i++)
		slot[i] = bench_slot(&b, i + 1);
	/* To a slot that is new, and from one. */
	bench_fill(&b, slot[0], SLOT_NBYTES, 1000);
	bench_fill(&b, slot[1], SLOT_NBYTES, 2000);
	CHECK_EQ(renew(&b, slot[1], SLOT_NBYTES), 0);
	CHECK_EQ(bench_move(&b, slot[1], slot[0], SLOT_NBYTES, 0, &moved), 0);
	CHECK(bench_is_moved(slot[1], slot[0], SLOT_NBYTES, SLOT_NBYTES, 1000));
	CHECK_EQ(renew(&b, slot[2], SLOT_NBYTES), 0);
	bench_fill(&b, slot[2], SLOT_NBYTES, 3000);
	CHECK_EQ(bench_move(&b, slot[0], slot[2], SLOT_NBYTES, 0, &moved), 0);
	CHECK(bench_is_moved(slot[0], slot[2], SLOT_NBYTES, SLOT_NBYTES, 3000));
	/* One that is new in part may be refused. */
	CHECK_EQ(renew(&b, slot[0] + 7 * PAGE_NBYTES, 9 * PAGE_NBYTES), 0);
	bench_fill(&b, slot[0], SLOT_NBYTES, 4000);
	bench_move(&b, slot[3], slot[0], SLOT_NBYTES, 0, &moved);
	CHECK(bench_is_moved(slot[3], slot[0], SLOT_NBYTES, moved, 4000));
	CHECK(bench_holds(slot[1], SLOT_NBYTES, 1000));
	contract_finish(&b);
}
