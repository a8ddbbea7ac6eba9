#include "core/stats.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "core/core.h"
#include "core/outside.h"
#include "core/recent.h"
#include "core/shard.h"

static void gather_shards(struct umpa_stats *st)
{
	for (unsigned i = 0; i < umpa_core.nshards; i++) {
		struct umpa_shard *s = umpa_shard(i);

		st->nallocs += s->nallocs;
		st->nfrees += s->nfrees;
		st->block_nbytes += s->block_npages << PAGE_SHIFT;
		st->nslots_in_place += s->nslots_in_place;
		st->run_free_nbytes += (uint64_t)s->shelf.nfree_pages << PAGE_SHIFT;
	}
}

/* Not of one moment: what one thread maps and another ends meanwhile may seem ended and not mapped.
 */
static void gather_mappings(struct umpa_stats *st)
{
	int64_t npages = 0;

	for (unsigned i = 0; i < umpa_core.nshards; i++) {
		const struct umpa_shard *s = umpa_shard(i);

		st->nmappings += __atomic_load_n(&s->nmappings, __ATOMIC_RELAXED);
		npages += (int64_t)__atomic_load_n(&s->mapped_npages, __ATOMIC_RELAXED);
	}
	st->mapping_nbytes = npages > 0 ? (uint64_t)npages << PAGE_SHIFT : 0;
}

static void gather_space(struct umpa_stats *st)
{
	struct umpa_space *s = &umpa_core.space;

	st->window_nbytes = umpa_core.window.nbytes;
	st->open_nbytes = (uint64_t)umpa_core.window.nslots_open << SLOT_SHIFT;
	st->pool_nbytes = (uint64_t)umpa_extents_count(&s->extents, EXTENT_RESIDENT) << SLOT_SHIFT;
}

/* What came back first: books.h. */
static void gather_spans(struct umpa_stats *st)
{
	for (unsigned i = 0; i < umpa_core.nshards; i++) {
		const struct umpa_span_books *b = &umpa_shard(i)->spans;

		st->nfrees += umpa_books_read(&b->nfrees);
		st->block_nbytes -= umpa_books_read(&b->npages_given) << PAGE_SHIFT;
	}
	for (unsigned i = 0; i < umpa_core.nshards; i++) {
		const struct umpa_span_books *b = &umpa_shard(i)->spans;

		st->nallocs += umpa_books_read(&b->nallocs);
		st->block_nbytes += umpa_books_read(&b->npages_taken) << PAGE_SHIFT;
		st->nslots_in_place += umpa_books_read(&b->nslots_in_place);
	}
}

static void gather_outside(struct umpa_stats *st)
{
	struct umpa_outside_stats o;

	umpa_outside_stats(&o);
	st->outside_nbytes = (uint64_t)o.npages << PAGE_SHIFT;
	st->block_nbytes += st->outside_nbytes;
	st->nallocs += o.nallocs;
	st->nfrees += o.nallocs - o.nblocks;
}

static void gather_events(struct umpa_stats *st)
{
	const struct umpa_events *e = &umpa_core.events;

#define EVENT(name) st->name = __atomic_load_n(&e->name, __ATOMIC_RELAXED)
	EVENT(nreallocs_in_place);
	EVENT(nreallocs_moved);
	EVENT(nslots_moved);
	EVENT(nmove_calls);
	EVENT(nmoves_refused);
	EVENT(nslots_copied);
	EVENT(nslots_from_kernel);
	EVENT(cleared_nbytes);
	EVENT(trimmed_nbytes);
#undef EVENT
}

/* Under all locks at once: a block that goes through several hands meanwhile must not be counted as
 * freed and not as handed out. */
static void gather_blocks(struct umpa_stats *st)
{
	umpa_shards_collect();
	umpa_recent_flush();
	umpa_shards_lock();
	umpa_lock_take(&umpa_core.space.lock);
	gather_shards(st);
	gather_mappings(st);
	gather_space(st);
	gather_spans(st);
	gather_outside(st);
	umpa_lock_give(&umpa_core.space.lock);
	umpa_shards_unlock();
}

static void gather(struct umpa_stats *st)
{
	memset(st, 0, sizeof(*st));
	if (umpa_core_is_started() && umpa_core.window.nbytes)
		gather_blocks(st);
	else
		gather_outside(st);
	gather_events(st);
	st->nblocks = st->nallocs - st->nfrees;
}

public_api int umpa_get_stats(struct umpa_stats *out, size_t nbytes)
{
	struct umpa_stats st;

	if (!out || !nbytes || nbytes % sizeof(uint64_t)) {
		errno = EINVAL;
		return -1;
	}
	umpa_core_need();
	gather(&st);
	memset(out, 0, nbytes);
	memcpy(out, &st, nbytes < sizeof(st) ? nbytes : sizeof(st));
	return 0;
}

public_api const char *umpa_mover_in_use(void)
{
	umpa_core_need();
	return umpa_mover_so_far();
}

int umpa_stats_started(void)
{
	return umpa_core_is_started();
}

void umpa_stats_so_far(struct umpa_stats *out)
{
	gather(out);
}

const char *umpa_mover_so_far(void)
{
	return __atomic_load_n(&umpa_core.mover_state, __ATOMIC_ACQUIRE) == MOVER_CHOSEN
		       ? umpa_core.mover.name
		       : "undecided";
}

void umpa_stats_print(int fd)
{
	struct umpa_stats st;
	char line[128];
	size_t n;

	umpa_stats_so_far(&st);
	n = umpa_format(line, sizeof(line), "umpa: mover %s\n", umpa_mover_so_far());
	if (write(fd, line, n) < 0)
		return;
#define UMPA_STAT(name, help)                                                                      \
	n = umpa_format(                                                                           \
		line, sizeof(line), "umpa: " #name " %llu\n", (unsigned long long)st.name);        \
	if (write(fd, line, n) < 0)                                                                \
		return;
#include <umpa/stats.def>
#undef UMPA_STAT
}
