#include "core/surplus.h"

static uint64_t patience_ns(uint32_t nslots)
{
	return (uint64_t)nslots * SURPLUS_SLOT_MS * 1000000;
}

/* Two threads' readings, of the clock or of what was taken, may come in the wrong order. */
static uint64_t since(uint64_t then, uint64_t now)
{
	return now > then ? now - then : 0;
}

uint32_t umpa_surplus_floor(uint32_t nused)
{
	uint32_t share = nused / SURPLUS_USED_SHARE;

	return share > SURPLUS_NSLOTS_MIN ? share : SURPLUS_NSLOTS_MIN;
}

int umpa_surplus_is_likely(uint32_t npool, uint32_t nused)
{
	return npool > umpa_surplus_floor(nused) + SURPLUS_SLACK_NSLOTS;
}

void umpa_surplus_init(struct umpa_surplus *s, uint64_t now_ns)
{
	*s = (struct umpa_surplus){.halved_ns = now_ns, .asked_ns = now_ns};
}

static void forget(struct umpa_surplus *s, uint32_t npool, uint64_t now_ns)
{
	uint64_t nhalvings = since(s->halved_ns, now_ns) / patience_ns(npool);

	if (!nhalvings)
		return;
	s->nwanted >>= nhalvings < 63 ? nhalvings : 63;
	s->halved_ns = now_ns;
}

/* What of those taken since it was last asked has not been forgotten, if they are spread evenly
 * over that time: those of each patience count half of those of the next. */
static uint64_t remembered(
	const struct umpa_surplus *s, uint64_t nreused, uint32_t npool, uint64_t now_ns)
{
	uint64_t n = npool ? since(s->asked_ns, now_ns) / patience_ns(npool) : 0;

	return n ? (2 * nreused - (2 * nreused >> (n < 63 ? n : 63))) / n : nreused;
}

uint32_t umpa_surplus_keep(
	struct umpa_surplus *s, uint64_t ntaken, uint32_t npool, uint32_t nused, uint64_t now_ns)
{
	uint32_t floor = umpa_surplus_floor(nused);
	uint64_t nreused = since(s->ntaken, ntaken), most = (uint64_t)npool * SURPLUS_NPOOLS_MAX;

	s->ntaken += nreused;
	if (npool)
		forget(s, npool, now_ns);
	s->nwanted += remembered(s, nreused, npool, now_ns);
	s->asked_ns = now_ns;
	/* Hours of it shall not take longer to forget than minutes. */
	if (s->nwanted > most)
		s->nwanted = most;
	return s->nwanted > floor ? (uint32_t)s->nwanted : floor;
}

static int is_soon(const struct umpa_surplus *s, uint64_t now_ns)
{
	return since(s->given_ns, now_ns) < patience_ns(s->ngiven);
}

void umpa_surplus_given(struct umpa_surplus *s, uint32_t nslots, uint64_t now_ns)
{
	s->ntaken += nslots;
	s->ngiven = nslots + (is_soon(s, now_ns) ? s->ngiven : 0);
	s->given_ns = now_ns;
}

void umpa_surplus_asked(struct umpa_surplus *s, uint32_t nslots, uint64_t now_ns)
{
	uint32_t n = nslots < s->ngiven ? nslots : s->ngiven;

	if (is_soon(s, now_ns))
		s->nwanted += n;
	s->ngiven -= n;
}
