/* Attributes of pages: rows and changes, against a byte a page. */
#include <errno.h>
#include <string.h>

#include "mm/attributes.h"
#include "support/check.h"
#include "support/fake_os.h"
#include "support/numbers.h"

enum {
	NSLOTS = 2048,
	NPAGES = 4 * 512 /* of the first slots, in the random test */
};

static struct umpa_attributes a;

static void begin(void)
{
	fake_reset();
	REQUIRE(!umpa_attributes_init(&a, NSLOTS));
}

static unsigned row(size_t first, size_t end, size_t *row_end)
{
	*row_end = 0;
	return umpa_attributes_row(&a, first, end, row_end);
}

TEST(attributes_ordinary_without_memory)
{
	size_t end;

	PLAN(5);
	begin();
	CHECK_EQ(row(5, 2000, &end), 0);
	CHECK_EQ(end, 2000);
	umpa_attributes_change(&a, 0, 5000, PAGE_GUARDED | PAGE_ODD, 0);
	CHECK_EQ(fake_opened_nbytes(), 0);
	umpa_attributes_fini(&a);
	CHECK_EQ(fake_reserved_nbytes(), 0);
}

TEST(attributes_are_narrowed)
{
	size_t all, end;

	PLAN(8);
	fake_reset();
	REQUIRE(!umpa_attributes_init(&a, 8 * NSLOTS));
	all = fake_reserved_nbytes();
	REQUIRE(!umpa_attributes_need(&a, 5000));
	umpa_attributes_change(&a, 500, 5000, 0, PAGE_ODD);
	umpa_attributes_narrow(&a, 1);
	CHECK(fake_reserved_nbytes() < all);
	CHECK_EQ(row(500, 5000, &end), PAGE_ODD);
	CHECK_EQ(end, 5000);
	CHECK_EQ(umpa_attributes_need(&a, 5000), 0);
	umpa_attributes_fini(&a);
	CHECK_EQ(fake_reserved_nbytes(), 0);
	CHECK(fake_consistent());
}

TEST(attributes_rows_go_over_slots)
{
	size_t end;

	PLAN(10);
	begin();
	REQUIRE(!umpa_attributes_need(&a, 1600));
	umpa_attributes_change(&a, 500, 1600, 0, PAGE_GUARDED);
	CHECK_EQ(row(0, 100000, &end), 0);
	CHECK_EQ(end, 500);
	CHECK_EQ(row(510, 100000, &end), PAGE_GUARDED);
	CHECK_EQ(end, 1600);
	CHECK_EQ(row(510, 1100, &end), PAGE_GUARDED);
	CHECK_EQ(end, 1100);
	CHECK_EQ(row(1600, (size_t)NSLOTS * 512, &end), 0);
	CHECK_EQ(end, (size_t)NSLOTS * 512);
	umpa_attributes_fini(&a);
}

TEST(attributes_to_the_end_of_what_is_open)
{
	size_t end, last = (size_t)512 * 512;

	PLAN(5);
	begin();
	REQUIRE(!umpa_attributes_need(&a, last));
	umpa_attributes_change(&a, last - 10, last, 0, PAGE_ODD);
	row(last - 5, last + 100, &end);
	CHECK_EQ(end, last);
	CHECK_EQ(row(last, last + 100, &end), 0);
	CHECK_EQ(end, last + 100);
	umpa_attributes_fini(&a);
}

/* Whatever a slot's share of a step is. */
TEST(attributes_open_in_steps)
{
	size_t end;

	PLAN(1 + 3 * NSLOTS);
	begin();
	for (size_t i = 0; i < NSLOTS; i++) {
		REQUIRE(!umpa_attributes_need(&a, (i + 1) * 512));
		umpa_attributes_change(&a, i * 512 + 100, (i + 1) * 512, 0, PAGE_VOID);
		CHECK_EQ(row(i * 512 + 100, (i + 1) * 512, &end), PAGE_VOID);
		CHECK_EQ(end, (i + 1) * 512);
	}
	umpa_attributes_fini(&a);
}

TEST(attributes_refused_memory)
{
	PLAN(5);
	fake_reset();
	fake_fail_at(1, -ENOMEM);
	CHECK_EQ(umpa_attributes_init(&a, NSLOTS), -ENOMEM);
	begin();
	fake_fail_at(1, -ENOMEM);
	CHECK_EQ(umpa_attributes_need(&a, 1), -ENOMEM);
	CHECK_EQ(umpa_attributes_need(&a, 1), 0);
	CHECK_EQ(umpa_attributes_need(&a, 1), 0);
	umpa_attributes_fini(&a);
}

static unsigned char wanted[NPAGES];

static size_t wanted_row(size_t first, size_t end)
{
	size_t at = first;

	while (at < end && wanted[at] == wanted[first])
		at++;
	return at;
}

TEST(attributes_are_as_a_byte_a_page)
{
	struct numbers numbers = numbers_of_seed(check_seed(71));
	uint64_t nsteps = check_times(20000);

	PLAN(2 * nsteps + 2);
	begin();
	memset(wanted, 0, sizeof(wanted));
	REQUIRE(!umpa_attributes_need(&a, NPAGES));
	for (uint64_t i = 0; i < nsteps; i++) {
		size_t first = number_below(&numbers, NPAGES), end, row_end;
		unsigned taken = number_below(&numbers, 64), given = number_below(&numbers, 64);

		end = first + 1 + number_below(&numbers, (uint32_t)(NPAGES - first));
		umpa_attributes_change(&a, first, end, taken, given);
		for (size_t p = first; p < end; p++)
			wanted[p] = (unsigned char)((wanted[p] & ~taken) | given);
		first = number_below(&numbers, NPAGES);
		CHECK_EQ(row(first, NPAGES, &row_end), wanted[first]);
		CHECK_EQ(row_end, wanted_row(first, NPAGES));
	}
	umpa_attributes_fini(&a);
}
