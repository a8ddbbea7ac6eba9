/* Evidence: what of the mappings of a size is used, and what follows from it. */
#include "base/units.h"
#include "core/evidence.h"
#include "os/os.h"
#include "support/check.h"
#include "support/fake_os.h"

enum {
	NPAGES = 600,
	NLARGE = 40000
};

static void begin(void)
{
	umpa_evidence_stop();
	fake_reset();
}

static int is_used(size_t npages)
{
	return umpa_evidence_for(umpa_evidence_class(npages));
}

/* As the kernel maps it, with so many of its pages touched. */
static char *probe(size_t npages, size_t ntouched)
{
	void *p;

	REQUIRE(!umpa_os_map(npages * PAGE_NBYTES, &p));
	if (ntouched)
		fake_touch(p, ntouched * PAGE_NBYTES);
	umpa_evidence_note(umpa_evidence_class(npages), p, npages);
	return p;
}

static void unmap(char *p, size_t npages)
{
	umpa_evidence_unmap(p, npages);
	umpa_os_unmap(p, npages * PAGE_NBYTES);
}

TEST(evidence_is_asked_for_first)
{
	PLAN(5);
	begin();
	CHECK_EQ(is_used(NPAGES), 0);
	probe(NPAGES, NPAGES / 2);
	CHECK_EQ(is_used(NPAGES), 1);
	CHECK_EQ(is_used(NPAGES + 20), 1); /* the same power of two */
	CHECK_EQ(is_used(2 * NPAGES), 0);
}

TEST(evidence_of_little_use)
{
	PLAN(5);
	begin();
	probe(NPAGES, NPAGES / 2 - 1);
	CHECK_EQ(is_used(NPAGES), 0);
	CHECK_EQ(is_used(NPAGES), 0);
	probe(NPAGES, NPAGES);
	CHECK_EQ(is_used(NPAGES), 1);
}

TEST(evidence_when_unmapped)
{
	PLAN(5);
	begin();
	unmap(probe(NPAGES, NPAGES), NPAGES);
	CHECK_EQ(is_used(NPAGES), 1);
	/* Used no more, which the next probe shows. */
	unmap(probe(NPAGES, 10), NPAGES);
	CHECK_EQ(is_used(NPAGES), 0);
	CHECK_EQ(is_used(NPAGES), 0);
}

TEST(evidence_is_asked_for_again)
{
	unsigned nprobes = 0;

	PLAN(2);
	begin();
	unmap(probe(NPAGES, NPAGES), NPAGES);
	for (int i = 0; i < 160; i++)
		nprobes += !is_used(NPAGES);
	CHECK_EQ(nprobes, 10);
}

/* Four looks are spread over all of it. */
TEST(evidence_of_large_mappings)
{
	char *p;

	PLAN(6);
	begin();
	p = probe(NLARGE, NLARGE / 4);
	CHECK_EQ(is_used(NLARGE), 0);
	CHECK(fake_ncalls_of("resident") <= 4);
	fake_touch(p, NLARGE * 3 / 5 * PAGE_NBYTES);
	CHECK_EQ(is_used(NLARGE), 1);
	unmap(p, NLARGE);
	CHECK_EQ(is_used(NLARGE), 1);
	umpa_evidence_unmap((void *)PAGE_NBYTES, NLARGE); /* nobody's */
	CHECK_EQ(is_used(NLARGE), 1);
}

/* Half of it is cut off for an alignment: all of the rest is used, but it is not served. */
TEST(evidence_of_what_is_cut)
{
	char *p;

	PLAN(4);
	begin();
	p = probe(2 * NPAGES, NPAGES);
	umpa_os_unmap(p + (size_t)NPAGES * PAGE_NBYTES, (size_t)NPAGES * PAGE_NBYTES);
	CHECK_EQ(is_used(2 * NPAGES), 0);
	p = probe(2 * NPAGES, 2 * NPAGES);
	CHECK_EQ(is_used(2 * NPAGES), 1);
}

/* An engine's mappings are alike whatever their size; it may cut the front off for alignment. */
TEST(evidence_of_an_engine)
{
	char *p;

	PLAN(8);
	begin();
	CHECK_EQ(umpa_evidence_for(EVIDENCE_OF_ENGINE), 0);
	p = probe(NPAGES, NPAGES);
	umpa_evidence_note(EVIDENCE_OF_ENGINE, p, NPAGES);
	/* Used, but less than 24 MiB so far. */
	CHECK_EQ(umpa_evidence_for(EVIDENCE_OF_ENGINE), 0);
	p = probe(6144 - NPAGES, 6144 - NPAGES);
	umpa_evidence_note(EVIDENCE_OF_ENGINE, p, 6144 - NPAGES);
	umpa_evidence_unmap(p, 5);
	umpa_os_unmap(p, 5 * PAGE_NBYTES);
	CHECK_EQ(umpa_evidence_for(EVIDENCE_OF_ENGINE), 1);
	p = probe(NPAGES, 0);
	umpa_evidence_note(EVIDENCE_OF_ENGINE, p, NPAGES);
	unmap(p, NPAGES);
	CHECK_EQ(umpa_evidence_for(EVIDENCE_OF_ENGINE), 0);
	CHECK_EQ(is_used(2 * NPAGES), 0);
}

/* The next block of a class, which the kernel maps if the class is not served. */
static void *block(unsigned class, size_t npages, size_t ntouched)
{
	void *p;

	CHECK_EQ(umpa_evidence_for(class), 0);
	REQUIRE(!umpa_os_map(npages * PAGE_NBYTES, &p));
	fake_touch(p, ntouched * PAGE_NBYTES);
	umpa_evidence_note(class, p, npages);
	return p;
}
enum {
	BLOCK_CHECKS = 2
};

static void free_block(void *p, size_t npages)
{
	umpa_evidence_free(p, npages);
	umpa_os_unmap(p, npages * PAGE_NBYTES);
}

/* 8 MiB in a row, each filled to three quarters; then all are served. */
TEST(evidence_of_blocks)
{
	unsigned nserved = 0;
	void *last;

	PLAN(6 * BLOCK_CHECKS + 5);
	begin();
	block(EVIDENCE_OF_BLOCKS, 800, 800);
	block(EVIDENCE_OF_BLOCKS, 800, 599); /* breaks the row */
	block(EVIDENCE_OF_BLOCKS, 1300, 1300);
	block(EVIDENCE_OF_BLOCKS, 800, 600);
	for (int i = 0; i < 100; i++)
		nserved += umpa_evidence_for(EVIDENCE_OF_BLOCKS) != 0;
	CHECK_EQ(nserved, 100);
	CHECK_EQ(umpa_evidence_for(umpa_evidence_class_of_zeroed(800)), 0);
	umpa_evidence_stop();
	free_block(block(EVIDENCE_OF_BLOCKS, 1100, 1100), 1100);
	free_block(block(EVIDENCE_OF_BLOCKS, 1100, 1100), 1100);
	CHECK_EQ(umpa_evidence_for(EVIDENCE_OF_BLOCKS), 1);
	/* The last probe's end changes nothing. */
	REQUIRE(!umpa_os_map(800 * PAGE_NBYTES, &last));
	umpa_evidence_note(EVIDENCE_OF_BLOCKS, last, 800);
	free_block(last, 800);
	CHECK_EQ(umpa_evidence_for(EVIDENCE_OF_BLOCKS), 1);
}

TEST(evidence_of_zeroed_blocks)
{
	unsigned class = umpa_evidence_class_of_zeroed(800), nserved = 0;

	PLAN(2 * BLOCK_CHECKS + 3);
	begin();
	block(class, 800, 399);
	block(class, 900, 450);
	for (int i = 0; i < 100; i++)
		nserved += umpa_evidence_for(class) != 0;
	CHECK_EQ(nserved, 100);
	CHECK_EQ(umpa_evidence_for(umpa_evidence_class_of_zeroed(1600)), 0);
	CHECK_EQ(is_used(900), 0); /* a mapping is another matter */
}

/* What is left of a reservation that was trimmed at both ends is of the size it had; mappings of
 * that size are others. */
TEST(evidence_of_reservations)
{
	const unsigned class = umpa_evidence_class_reserved(NPAGES);
	unsigned nserved = 1;
	char *p;
	void *area;

	PLAN(8);
	begin();
	REQUIRE(!umpa_os_map(NPAGES * PAGE_NBYTES, &area));
	p = area;
	CHECK_EQ(umpa_evidence_for(class), 0);
	umpa_evidence_note(class, p, NPAGES);
	unmap(p, 100);
	p += 100 * PAGE_NBYTES;
	unmap(p + 200 * PAGE_NBYTES, NPAGES - 300);
	fake_touch(p, 120 * PAGE_NBYTES);
	umpa_evidence_unmap(p + 50 * PAGE_NBYTES, 10); /* its middle: nothing is learned */
	umpa_evidence_unmap(p + NLARGE * PAGE_NBYTES, 10);
	unmap(p, 200);
	CHECK_EQ(umpa_evidence_for(class), 1);
	CHECK_EQ(umpa_evidence_for(umpa_evidence_class_reserved(2 * NPAGES)), 0);
	CHECK_EQ(is_used(NPAGES), 0);
	/* One in 16 is a probe, as of mappings: habits change. */
	for (int i = 1; i < 16; i++)
		nserved += umpa_evidence_for(class) != 0;
	CHECK_EQ(nserved, 15);
	/* Opened hardly at all: what is closed has no frames. */
	REQUIRE(!umpa_os_map(NPAGES * PAGE_NBYTES, &area));
	umpa_evidence_note(class, area, NPAGES);
	fake_touch(area, 10 * PAGE_NBYTES);
	unmap(area, NPAGES);
	CHECK_EQ(umpa_evidence_for(class), 0);
}

TEST(evidence_that_is_refused)
{
	PLAN(4);
	begin();
	probe(NPAGES, NPAGES);
	fake_fail_from(1, -12);
	CHECK_EQ(is_used(NPAGES), 0);
	fake_fail_at(0, 0);
	CHECK_EQ(is_used(NPAGES), 1);
	fake_fail_from(1, -12);
	CHECK_EQ(is_used(NPAGES), 1);
}
