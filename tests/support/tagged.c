#include "tagged.h"

#include <errno.h>
#include <string.h>
#include <umpa/page.h>

enum {
	page_nbytes = 4096,
	page_nwords = page_nbytes / 8
};
enum {
	least_log2 = 12,
	most_log2 = 26
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static uint64_t draw(struct tagged *t, uint64_t below)
{
	t->random += 0x9e3779b97f4a7c15u;
	return mix(t->random) % below;
}

void tagged_init(struct tagged *t, uint64_t seed, size_t budget_nbytes)
{
	memset(t, 0, sizeof(*t));
	t->random = seed;
	t->budget_npages = budget_nbytes / page_nbytes;
}

/* Sizes of which each power of two has the same share. */
static size_t draw_nbytes(struct tagged *t)
{
	size_t least = (size_t)1 << (least_log2 + draw(t, most_log2 - least_log2));

	return least + draw(t, least) + 1;
}

static int wrong(struct tagged *t, const char *what)
{
	if (!t->wrong)
		t->wrong = what;
	return -1;
}

static volatile uint64_t *word_of(const struct tagged_block *b, size_t page, size_t word)
{
	return (volatile uint64_t *)(b->addr + page * page_nbytes) + word;
}

static uint64_t tag_of(const struct tagged_block *b, size_t page)
{
	return mix(b->tag << 32 | page) | 1;
}

static void tag_pages(struct tagged_block *b, size_t from)
{
	for (size_t page = from; page < b->npages; page++) {
		*word_of(b, page, 0) = tag_of(b, page);
		*word_of(b, page, page_nwords - 1) = ~tag_of(b, page);
	}
}

static int check_tags(struct tagged *t, const struct tagged_block *b, size_t npages)
{
	for (size_t page = 0; page < npages; page++)
		if (*word_of(b, page, 0) != tag_of(b, page) ||
			*word_of(b, page, page_nwords - 1) != ~tag_of(b, page))
			return wrong(t, "a live block's content has changed");
	return 0;
}

/* Every page this process has used before carries tags at both ends. */
static int check_zero(struct tagged *t, const struct tagged_block *b, size_t from)
{
	for (size_t page = from; page < b->npages; page++)
		if (*word_of(b, page, 0) || *word_of(b, page, page_nwords / 2) ||
			*word_of(b, page, page_nwords - 1))
			return wrong(t, "a page that should be zero is not");
	return 0;
}

static int refused(struct tagged *t, unsigned flags)
{
	/* Staying in place is no more than a wish. */
	if (!(flags & UMPA_NOMOVE))
		t->nrefused++;
	if (errno != ENOMEM)
		return wrong(t, "a refusal's errno is not ENOMEM");
	return -1;
}

/* Looks at what was handed out, keeps the first `kept` pages' content and tags the others. */
static int accept(
	struct tagged *t, struct tagged_block *b, size_t nbytes, size_t kept, unsigned flags)
{
	t->nserved++;
	if ((uintptr_t)b->addr % page_nbytes)
		return wrong(t, "a block is not page-aligned");
	b->npages = umpa_usable_size(b->addr) / page_nbytes;
	t->live_npages += b->npages;
	if (b->npages < (nbytes + page_nbytes - 1) / page_nbytes)
		return wrong(t, "a block is smaller than asked for");
	if (kept > b->npages)
		kept = b->npages;
	if (check_tags(t, b, kept))
		return -1;
	if ((flags & UMPA_ZERO) && check_zero(t, b, kept))
		return -1;
	tag_pages(b, kept);
	return 0;
}

static struct tagged_block *unused_block(struct tagged *t)
{
	for (size_t i = 0; i < TAGGED_MAX; i++)
		if (!t->block[i].addr)
			return &t->block[i];
	return NULL;
}

int tagged_alloc(struct tagged *t, size_t nbytes, unsigned flags)
{
	struct tagged_block *b = unused_block(t);

	if (!b || t->wrong)
		return -1;
	b->addr = umpa_alloc(nbytes, flags);
	if (!b->addr)
		return refused(t, flags);
	b->tag = ++t->ntags;
	return accept(t, b, nbytes, 0, flags);
}

int tagged_realloc(struct tagged *t, struct tagged_block *b, size_t nbytes, unsigned flags)
{
	size_t npages = b->npages;
	size_t wanted_npages = (nbytes + page_nbytes - 1) / page_nbytes;
	unsigned char *addr;

	if (t->wrong)
		return -1;
	addr = umpa_realloc(b->addr, nbytes, flags);
	if (!addr) {
		refused(t, flags);
		check_tags(t, b, npages);
		return -1;
	}
	if ((flags & UMPA_NOMOVE) && addr != b->addr)
		return wrong(t, "a block moved in spite of UMPA_NOMOVE");
	b->addr = addr;
	t->live_npages -= npages;
	return accept(t, b, nbytes, npages < wanted_npages ? npages : wanted_npages, flags);
}

void tagged_free(struct tagged *t, struct tagged_block *b)
{
	if (t->wrong || !b->addr || check_tags(t, b, b->npages))
		return;
	umpa_free(b->addr);
	t->live_npages -= b->npages;
	b->addr = NULL;
}

void tagged_free_all(struct tagged *t)
{
	for (size_t i = 0; i < TAGGED_MAX; i++)
		tagged_free(t, &t->block[i]);
}

static void unback_and_tag_again(struct tagged *t, struct tagged_block *b)
{
	if (umpa_unback(b->addr, b->npages * page_nbytes)) {
		wrong(t, "unback refused a whole block");
		return;
	}
	if (!check_zero(t, b, 0))
		tag_pages(b, 0);
}

static void back_whole(struct tagged *t, struct tagged_block *b)
{
	if (umpa_back(b->addr, b->npages * page_nbytes))
		refused(t, 0);
	check_tags(t, b, b->npages);
}

static void step(struct tagged *t)
{
	struct tagged_block *b = &t->block[draw(t, TAGGED_MAX)];
	unsigned flags = draw(t, 3) ? 0 : UMPA_ZERO;
	size_t nbytes = draw_nbytes(t);
	uint64_t what = draw(t, 10);

	if (!b->addr) {
		if (t->live_npages + nbytes / page_nbytes < t->budget_npages)
			tagged_alloc(t, nbytes, flags | (what ? 0 : UMPA_BACKED));
	} else if (what < 5) {
		tagged_free(t, b);
	} else if (what < 8) {
		if (t->live_npages + nbytes / page_nbytes < t->budget_npages + b->npages)
			tagged_realloc(t, b, nbytes, flags | (what < 7 ? 0 : UMPA_NOMOVE));
	} else if (what < 9) {
		unback_and_tag_again(t, b);
	} else {
		back_whole(t, b);
	}
}

void tagged_churn(struct tagged *t, unsigned nsteps)
{
	for (unsigned i = 0; i < nsteps && !t->wrong; i++)
		step(t);
}

int tagged_check(struct tagged *t)
{
	for (size_t i = 0; i < TAGGED_MAX && !t->wrong; i++)
		if (t->block[i].addr)
			check_tags(t, &t->block[i], t->block[i].npages);
	return !t->wrong;
}
