#include "core/recent.h"

#include "core/shard.h"
#include "core/span.h"

static uint32_t nslots_of(struct slot slot)
{
	return umpa_core.record[slot.i].nslots;
}

/* 1 if a list may hold nslots. */
static int is_share(uint32_t nslots)
{
	uint64_t nused = __atomic_load_n(&umpa_core.space.nused, __ATOMIC_RELAXED);

	return (uint64_t)nslots * RECENT_SHARE * umpa_core.nshards <= nused;
}

static void set_n(struct umpa_recent *r, unsigned n)
{
	__atomic_store_n(&r->n, n, __ATOMIC_RELAXED);
}

/* Neither a block any more, nor free to the space: the books of the shard say the former. */
static void add(struct umpa_shard *s, struct slot slot)
{
	struct umpa_recent *r = &s->recent;

	slot_set_use(slot, SLOT_RECENT);
	s->nfrees++;
	s->block_npages -= umpa_span_npages(slot);
	r->span[r->n] = slot;
	set_n(r, r->n + 1);
	r->nslots += nslots_of(slot);
}

int umpa_recent_put(struct slot slot)
{
	struct umpa_shard *s = umpa_shard_of_thread();
	int put;

	/* The option keep bounds what is free, and looks at the pool. */
	if (umpa_core.keep_nslots != UINT32_MAX || !umpa_span_is_tight(slot) ||
		!is_share(nslots_of(slot)) || !umpa_lock_try(&s->lock))
		return 0;
	put = s->recent.n < RECENT_NSPANS && is_share(s->recent.nslots + nslots_of(slot));
	if (put) {
		add(s, slot);
		umpa_shard_note_recent(s);
	}
	umpa_lock_give(&s->lock);
	return put;
}

/* The index of the one put in last that fits, or RECENT_NSPANS. */
static unsigned find(const struct umpa_recent *r, size_t npages, uint32_t align)
{
	unsigned i = r->n;

	while (i-- > 0)
		if (umpa_span_fits(r->span[i], npages, align))
			return i;
	return RECENT_NSPANS;
}

static void remove_at(struct umpa_shard *s, unsigned i, size_t npages)
{
	struct umpa_recent *r = &s->recent;

	r->nslots -= nslots_of(r->span[i]);
	s->nallocs++;
	s->block_npages += npages;
	__atomic_store_n(
		&s->nslots_in_place, s->nslots_in_place + nslots_of(r->span[i]), __ATOMIC_RELAXED);
	set_n(r, r->n - 1);
	for (; i < r->n; i++)
		r->span[i] = r->span[i + 1];
}

static struct slot take_from(struct umpa_shard *s, size_t npages, uint32_t align)
{
	struct slot slot = NO_SLOT;
	unsigned i;

	if (!__atomic_load_n(&s->recent.n, __ATOMIC_RELAXED) || !umpa_lock_try(&s->lock))
		return NO_SLOT;
	i = find(&s->recent, npages, align);
	if (i < RECENT_NSPANS) {
		slot = s->recent.span[i];
		remove_at(s, i, npages);
	}
	umpa_lock_give(&s->lock);
	return slot;
}

struct slot umpa_recent_take(size_t npages, uint32_t align)
{
	uint64_t left = __atomic_load_n(&umpa_core.recent_shards, __ATOMIC_RELAXED);
	struct slot slot = take_from(umpa_shard_of_thread(), npages, align);

	for (; slot_is(slot, NO_SLOT) && left; left &= left - 1)
		slot = take_from(umpa_shard((unsigned)__builtin_ctzll(left)), npages, align);
	return slot;
}

/* Takes the spans off the shard's books as if they were blocks again, and frees them. */
static void flush_spans(struct umpa_shard *s)
{
	struct umpa_recent taken;

	umpa_lock_take(&s->lock);
	taken = s->recent;
	set_n(&s->recent, 0);
	s->recent.nslots = 0;
	s->nfrees -= taken.n;
	for (unsigned i = 0; i < taken.n; i++)
		s->block_npages += umpa_span_npages(taken.span[i]);
	umpa_lock_give(&s->lock);
	for (unsigned i = 0; i < taken.n; i++)
		umpa_span_release(taken.span[i]);
}

void umpa_recent_flush(void)
{
	uint64_t left = 0;

	if (unlikely(__atomic_load_n(&umpa_core.recent_shards, __ATOMIC_RELAXED)))
		left = __atomic_exchange_n(&umpa_core.recent_shards, 0, __ATOMIC_RELAXED);
	for (; left; left &= left - 1) {
		struct umpa_shard *s = umpa_shard((unsigned)__builtin_ctzll(left));

		/* Takes the lock in any case: who set the bit has put what it stands for. */
		flush_spans(s);
		umpa_shard_empty_bins(s);
	}
}

uint64_t umpa_recent_nslots_taken(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < umpa_core.nshards; i++)
		n += __atomic_load_n(&umpa_shard(i)->nslots_in_place, __ATOMIC_RELAXED);
	return n;
}

void umpa_recent_fork_child(void)
{
	umpa_core.recent_shards = ~(uint64_t)0 >> (64 - umpa_core.nshards);
}
