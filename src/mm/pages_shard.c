/* The mappings' shards: whose slots are whose, and their locks. */
#include <errno.h>

#include "mm/pages_parts.h"

static struct {
	struct umpa_lock lock; /* of the start, a shard's too; taken first where all are */
	struct umpa_pages_shard *shards;
	unsigned nshards; /* 0: not started */
} mappings = {.lock = UMPA_LOCK_INITIALIZER(LOCK_MAPPING)};

/* --- locks -------------------------------------------------------------------------------- */

static int is_ready(const struct umpa_pages_shard *s)
{
	return likely(__atomic_load_n(&s->is_ready, __ATOMIC_ACQUIRE));
}

void umpa_pages_lock(void)
{
	umpa_lock_take(&mappings.lock);
	for (unsigned i = 0; i < mappings.nshards; i++)
		if (is_ready(&mappings.shards[i]))
			umpa_lock_take(&mappings.shards[i].lock);
}

void umpa_pages_unlock(void)
{
	for (unsigned i = mappings.nshards; i-- > 0;)
		if (is_ready(&mappings.shards[i]))
			umpa_lock_give(&mappings.shards[i].lock);
	umpa_lock_give(&mappings.lock);
}

struct umpa_pages_shard *umpa_pages_shard_of(struct slot slot)
{
	return &mappings.shards[slot_shard(slot)];
}

/* The first shard of which the range has a page; the first of all if nobody's are. */
static struct umpa_pages_shard *some_shard_of(size_t first, size_t end)
{
	for (; first < end; first += first_part(first, end).npages) {
		struct slot slot = first_part(first, end).slot;

		if (is_whole(slot) || is_part(slot))
			return umpa_pages_shard_of(slot);
	}
	return mappings.shards;
}

/* Nothing that is mapped of the range is another shard's. */
static int is_all_of(const struct umpa_pages_shard *s, size_t first, size_t end)
{
	for (; first < end; first += first_part(first, end).npages) {
		struct slot slot = first_part(first, end).slot;

		if ((is_whole(slot) || is_part(slot)) && umpa_pages_shard_of(slot) != s)
			return 0;
	}
	return 1;
}

void umpa_pages_lock_start(void)
{
	umpa_lock_take(&mappings.lock);
}

void umpa_pages_unlock_start(void)
{
	umpa_lock_give(&mappings.lock);
}

struct umpa_pages_shard *umpa_pages_lock_shard(size_t first, size_t end)
{
	struct umpa_pages_shard *s = some_shard_of(first, end);

	umpa_lock_take(&s->lock);
	if (likely(is_all_of(s, first, end)))
		return s;
	umpa_lock_give(&s->lock);
	return NULL;
}

void umpa_pages_unlock_shard(struct umpa_pages_shard *s)
{
	umpa_lock_give(&s->lock);
}

/* --- start -------------------------------------------------------------------------------- */

static size_t shards_nbytes(unsigned nshards)
{
	return rounded_up(nshards * sizeof(struct umpa_pages_shard), PAGE_NBYTES);
}

/* Gives a shard its shelf; with the start's lock. */
static int make_ready(struct umpa_pages_shard *s)
{
	uint32_t nslots = umpa_core.window.nslots;
	size_t leaf = rounded_up(umpa_heights_leaf_nbytes(nslots), PAGE_NBYTES);
	int error;

	s->heights_nbytes = leaf + rounded_up(umpa_heights_inner_nbytes(nslots), PAGE_NBYTES);
	error = umpa_os_map(s->heights_nbytes, &s->heights);
	if (error)
		return error;
	umpa_shelf_init(&s->shelf, umpa_core.map, nslots, s->heights, (char *)s->heights + leaf);
	__atomic_store_n(&s->is_ready, 1, __ATOMIC_RELEASE);
	return 0;
}

int umpa_pages_start(void)
{
	unsigned nshards = umpa_core.nshards;
	void *memory;
	int error =
		umpa_core.window.nslots ? umpa_os_map(shards_nbytes(nshards), &memory) : -ENOMEM;

	if (error)
		return error;
	mappings.shards = memory;
	for (unsigned i = 0; i < nshards; i++) {
		umpa_lock_init(&mappings.shards[i].lock, LOCK_MAPPING);
		mappings.shards[i].number = i;
	}
	error = make_ready(&mappings.shards[0]);
	if (error)
		umpa_os_unmap(memory, shards_nbytes(nshards));
	else
		mappings.nshards = nshards;
	return error;
}

void umpa_pages_stop(void)
{
	for (unsigned i = 0; i < mappings.nshards; i++)
		if (is_ready(&mappings.shards[i]))
			umpa_os_unmap(
				mappings.shards[i].heights, mappings.shards[i].heights_nbytes);
	umpa_os_unmap(mappings.shards, shards_nbytes(mappings.nshards));
	mappings.nshards = 0;
}

struct umpa_pages_shard *umpa_pages_my_shard(void)
{
	struct umpa_pages_shard *s = &mappings.shards[umpa_shard_of_thread()->number];

	return is_ready(s) ? s : mappings.shards;
}

/* A shard has a shelf, and so superpages of its own, once its threads have mapped this often: of
 * many threads that map a little, each would have a superpage for it. */
enum {
	NMAPPINGS_SHARED = 16
};

void umpa_pages_need_shard(void)
{
	const struct umpa_shard *of_core = umpa_shard_of_thread();
	struct umpa_pages_shard *s = &mappings.shards[of_core->number];

	if (is_ready(s) ||
		__atomic_load_n(&of_core->nmappings, __ATOMIC_RELAXED) < NMAPPINGS_SHARED)
		return;
	umpa_pages_lock_start();
	if (!is_ready(s))
		(void)!make_ready(s);
	umpa_pages_unlock_start();
}

/* --- slots -------------------------------------------------------------------------------- */

void umpa_pages_shelve_free(struct umpa_pages_shard *s, struct slot slot, int dirty)
{
	slot_set_shard(slot, s->number);
	slot_set_left(slot, 0);
	umpa_shelf_add(&s->shelf, slot, 0, FIRST_RUN, dirty);
	slot_set_use(slot, SLOT_PART_MAPPED);
}

void umpa_pages_shelve(struct umpa_pages_shard *s, struct part p, int dirty)
{
	umpa_pages_shelve_free(s, p.slot, dirty);
	umpa_shelf_take_at(&s->shelf, p.slot, p.page, p.npages, NULL);
}

void umpa_pages_keep_whole(struct slot slot, uint32_t nslots)
{
	unsigned number = umpa_pages_my_shard()->number;

	for (uint32_t i = 0; i < nslots; i++) {
		slot_set_shard(slot_after(slot, i), number);
		slot_set_left(slot_after(slot, i), 0);
		slot_set_use(slot_after(slot, i), SLOT_MAPPED);
	}
}

/* --- for tests ---------------------------------------------------------------------------- */

static int shard_valid(const struct umpa_pages_shard *s)
{
	for (uint32_t i = 0; i < umpa_window_nslots_open(&umpa_core.window); i++) {
		int is_on = is_part((struct slot){i}) && umpa_pages_shard_of((struct slot){i}) == s;

		if (is_on == !umpa_heights_get(&s->shelf.heights, i))
			return 0;
	}
	return umpa_shelf_valid(&s->shelf);
}

int umpa_pages_valid(void)
{
	for (unsigned n = 0; n < mappings.nshards; n++)
		if (is_ready(&mappings.shards[n]) && !shard_valid(&mappings.shards[n]))
			return 0;
	return 1;
}
