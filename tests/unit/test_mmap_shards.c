/* Mappings of threads of different shards: whose lock is needed, and whose pages are whose. On the
 * fake OS. */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/owns.h"
#include "core/pool.h"
#include "core/shard.h"
#include "mm/mapping.h"
#include "mm/pages.h"
#include "support/check.h"
#include "support/fake_os.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

enum {
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS
};

/* Every new thread belongs to the shard of its CPU. */
static void begin(void)
{
	umpa_mapping_stop();
	umpa_core_stop();
	fake_reset();
	fake_threads(1);
	fake_machine.ncpus = 2;
	umpa_shard_crowd = 0;
}

enum {
	END_CHECKS = 3
};

static void end(void)
{
	struct umpa_stats st;

	umpa_get_stats(&st, sizeof(st));
	CHECK_EQ(st.mapping_nbytes, 0);
	CHECK(umpa_mapping_valid() && umpa_extents_valid(&umpa_core.space.extents) &&
		fake_consistent());
	umpa_mapping_stop();
	umpa_core_stop();
	CHECK_EQ(fake_nframes() + fake_reserved_nbytes() + fake_mapped_nbytes(), 0);
	umpa_shard_crowd = 4;
	fake_threads(0);
}

/* What a thread of some CPU is to do, which ends then. */
struct order {
	char *p; /* NULL: to map */
	size_t nbytes;
	int failed;
};

static void *obey(void *arg)
{
	struct order *o = arg;

	if (o->p) {
		o->failed = umpa_munmap(o->p, o->nbytes);
	} else {
		o->p = umpa_mmap(NULL, o->nbytes, RW, ANON, -1, 0);
		o->failed = o->p == MAP_FAILED;
	}
	return NULL;
}

static struct order on(unsigned cpu, char *p, size_t nbytes)
{
	struct order o = {p, nbytes, 0};
	pthread_t thread;

	fake_cpu = cpu;
	pthread_create(&thread, NULL, obey, &o);
	pthread_join(thread, NULL);
	return o;
}

static char *map_on(unsigned cpu, size_t nbytes)
{
	struct order o = on(cpu, NULL, nbytes);

	return o.failed ? NULL : o.p;
}

/* So often that the shard of that CPU has superpages of its own. */
static void map_often_on(unsigned cpu)
{
	struct order o;

	for (int i = 0; i < 16; i++) {
		o = on(cpu, NULL, 4 * KIB);
		on(cpu, o.p, o.nbytes);
	}
}

/* 1 if done. */
static int unmap_on(unsigned cpu, char *p, size_t nbytes)
{
	return !on(cpu, p, nbytes).failed;
}

static size_t page_of(const char *p)
{
	return (size_t)(p - umpa_pages_address(0)) >> PAGE_SHIFT;
}

static unsigned shard_of(const char *p)
{
	return slot_shard(umpa_window_slot(&umpa_core.window, p));
}

static struct umpa_pages_shard *lock_shard_of(const char *p, size_t nbytes)
{
	return umpa_pages_lock_shard(page_of(p), page_of(p + nbytes));
}

TEST(mmap_shards_do_not_meet)
{
	struct umpa_pages_shard *s;
	char *a, *b, *c;

	PLAN(8 + END_CHECKS);
	begin();
	map_often_on(1);
	a = map_on(0, 64 * KIB);
	REQUIRE(a);
	s = lock_shard_of(a, 64 * KIB); /* who needed it would stand still */
	REQUIRE(s);
	b = map_on(1, 64 * KIB);
	c = map_on(1, 2 * MIB + 64 * KIB);
	CHECK(umpa_in_window(b) && umpa_in_window(c));
	CHECK(shard_of(a) == 0 && shard_of(b) == 1 && shard_of(c) == 1);
	CHECK(unmap_on(1, b, 64 * KIB));
	CHECK(unmap_on(0, c, 2 * MIB + 64 * KIB)); /* by whomever */
	umpa_pages_unlock_shard(s);
	CHECK_EQ(shard_of(a), 0);
	CHECK(unmap_on(1, a, 64 * KIB));
	end();
}

/* A slot that another thread ends a part of stays with its shard. */
TEST(mmap_shards_keep_what_others_cut)
{
	char *a, *b;

	PLAN(7 + END_CHECKS);
	begin();
	map_often_on(1);
	a = map_on(0, 2 * MIB);
	REQUIRE(a);
	CHECK(unmap_on(1, a + MIB, MIB));
	CHECK_EQ(shard_of(a), 0);
	b = map_on(1, MIB);
	REQUIRE(b);
	CHECK(b != a + MIB);
	CHECK(map_on(0, MIB) == a + MIB);
	CHECK(unmap_on(1, a, 2 * MIB) && unmap_on(0, b, MIB));
	end();
}

TEST(mmap_shards_end_together)
{
	char *a, *b;

	PLAN(10 + END_CHECKS);
	begin();
	map_often_on(1);
	a = map_on(0, 2 * MIB);
	b = map_on(1, 2 * MIB);
	REQUIRE(a && b == a + 2 * MIB);
	fake_touch(a, 4 * MIB);
	CHECK(!lock_shard_of(a, 4 * MIB));
	CHECK(unmap_on(0, a + MIB, 2 * MIB));
	CHECK_EQ(umpa_mprotect(a, 4 * MIB, PROT_READ), -1); /* up to the gap */
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(umpa_mprotect(b + MIB, MIB, PROT_READ), 0);
	CHECK(unmap_on(1, a, 4 * MIB));
	CHECK_EQ(umpa_pool_nslots(), 2);
	CHECK(map_on(0, 4 * MIB) == a);
	CHECK(unmap_on(1, a, 4 * MIB));
	end();
}

/* Who ends more than is his, while another thread maps what is in the gap, ends his own. */
TEST(mmap_shards_do_not_end_what_came_meanwhile)
{
	struct umpa_pages_shard *s;
	char *a, *b;

	PLAN(6 + END_CHECKS);
	begin();
	map_often_on(1);
	a = map_on(0, 4 * MIB);
	REQUIRE(a);
	CHECK(unmap_on(0, a + 2 * MIB, 2 * MIB));
	s = lock_shard_of(a, 4 * MIB);
	REQUIRE(s);
	b = map_on(1, 2 * MIB);
	CHECK(b == a + 2 * MIB);
	umpa_pages_end_of_shard(s, page_of(a), page_of(a + 4 * MIB), EXTENT_RESIDENT);
	umpa_pages_unlock_shard(s);
	CHECK_EQ(umpa_mapping_reach(page_of(b), page_of(b + 2 * MIB)), page_of(b + 2 * MIB));
	CHECK(unmap_on(1, b, 2 * MIB));
	end();
}

/* Many threads that map a little share superpages. */
TEST(mmap_shards_share_at_first)
{
	char *a, *b;

	PLAN(4 + END_CHECKS);
	begin();
	a = map_on(0, 64 * KIB);
	b = map_on(1, 64 * KIB);
	CHECK(b == a + 64 * KIB);
	map_often_on(1);
	CHECK(unmap_on(1, b, 64 * KIB));
	b = map_on(1, 64 * KIB);
	CHECK_EQ(shard_of(b), 1);
	CHECK(unmap_on(1, a, 64 * KIB) && unmap_on(0, b, 64 * KIB));
	end();
}

/* A shard that can't have a shelf uses the first one's. */
TEST(mmap_shards_without_memory)
{
	char *a, *b, *c;

	PLAN(5 + END_CHECKS);
	begin();
	map_often_on(1);
	a = map_on(0, 64 * KIB);
	REQUIRE(a);
	fake_fail_at(1, -ENOMEM);
	b = map_on(1, 64 * KIB);
	CHECK(b == a + 64 * KIB);
	fake_fail_at(0, 0);
	c = map_on(1, 64 * KIB);
	REQUIRE(c);
	CHECK(shard_of(b) == 0 && shard_of(c) == 1);
	CHECK(unmap_on(0, a, 64 * KIB) && unmap_on(1, b, 64 * KIB) && unmap_on(1, c, 64 * KIB));
	end();
}
