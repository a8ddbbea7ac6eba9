/* The doctor's look at the movers: each is tried as umpa itself tries them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "cli.h"
#include "core/options.h"
#include "doctor.h"
#include "os/mover.h"
#include "os/os.h"
#include "os/os_proc.h"

/* Slots 0 and 1 hold the superpages, slot 2 the single pages, which must not lie in a huge page. */
#define NSLOTS 3

struct window {
	char *base;
	struct umpa_mover_scratch scratch;
};

static int back_sources(struct window *w)
{
	int error = umpa_os_back(w->scratch.src, SLOT_NBYTES);

	return error ? error : umpa_os_back(w->scratch.page_src, PAGE_NBYTES);
}

static int window_init(struct window *w)
{
	void *base;
	int error = umpa_os_reserve(NSLOTS * SLOT_NBYTES, &base);

	if (error)
		return error;
	w->base = base;
	w->scratch = (struct umpa_mover_scratch){
		.src = w->base,
		.dst = w->base + SLOT_NBYTES,
		.page_src = w->base + 2 * SLOT_NBYTES,
		.page_dst = w->base + 2 * SLOT_NBYTES + PAGE_NBYTES,
	};
	/* Both are hints: without huge pages the trial moves base pages. */
	(void)!umpa_os_advise_huge(w->base, 2 * SLOT_NBYTES, 1);
	(void)!umpa_os_advise_huge(w->scratch.page_src, SLOT_NBYTES, 0);
	error = umpa_os_open(w->base, NSLOTS * SLOT_NBYTES);
	if (!error)
		error = back_sources(w);
	if (error)
		umpa_os_release(w->base, NSLOTS * SLOT_NBYTES);
	return error;
}

/* 0, or -errno: there was no scratch window to be had. */
static int try_movers(
	enum umpa_mover_kind want, struct umpa_mover *m, struct umpa_mover_trial trials[3])
{
	struct window w;
	int error = window_init(&w);

	if (error)
		return error;
	umpa_mover_choose(m, want, w.base, NSLOTS * SLOT_NBYTES, &w.scratch, trials);
	m->fini(m);
	umpa_os_release(w.base, NSLOTS * SLOT_NBYTES);
	return 0;
}

static const char *const kind_names[] = {"auto", "uffd", "mremap", "plain"};

struct advice {
	const char *why, *fix;
};

static const struct advice newer_kernel = {
	"the kernel can't move pages with userfaultfd: that is Linux 6.8 and later",
	"apt-get install linux-image-6.12-amd64 && reboot",
};
static const struct advice filtered = {
	"a seccomp filter forbids userfaultfd",
	"allow the system call userfaultfd in the container's profile, as with: docker run "
	"--security-opt seccomp=unconfined",
};
static const struct advice forbidden = {
	"the kernel or a security module forbids userfaultfd to this user",
	"sysctl -w vm.unprivileged_userfaultfd=1",
};
static const struct advice no_descriptor = {
	"no file descriptor was left for it",
	"ulimit -n 1024",
};
static const struct advice no_mapping = {
	"no mapping or memory was left for it",
	"sysctl -w vm.max_map_count=65530",
};
static const struct advice unknown = {
	"the kernel refused",
	"umpa doctor --json, in a report of the case",
};

static int at_least(const char *kernel, int major, int minor)
{
	int a = 0, b = 0;

	return sscanf(kernel, "%d.%d", &a, &b) == 2 && (a > major || (a == major && b >= minor));
}

/* A filter answers what it likes, so the version decides whom to believe. */
static const struct advice *uffd_advice(int error, const struct umpa_os_facts *facts)
{
	if (error == -EMFILE || error == -ENFILE)
		return &no_descriptor;
	if (error != -ENOSYS && error != -EPERM && error != -EACCES)
		return &unknown;
	if (*facts->kernel && !at_least(facts->kernel, 6, 8))
		return &newer_kernel;
	if (facts->seccomp > 0)
		return &filtered;
	return error == -ENOSYS ? &newer_kernel : &forbidden;
}

static const struct advice *mremap_advice(int error)
{
	return error == -ENOMEM ? &no_mapping : &unknown;
}

/* What was not refused. */
static const char *state_of(const struct umpa_mover_trial *t)
{
	if (t->step || t->kind == UMPA_MOVER_PLAIN)
		return "works";
	return umpa_option(OPTION_mover) == (uint64_t)t->kind ? "asked for by the option mover"
							      : "not tried: a better one works";
}

static void find_trial(struct umpa_findings *f, const struct umpa_mover_trial *t,
	const struct umpa_os_facts *facts)
{
	const struct advice *advice;
	char *check, *value;

	check = umpa_text("mover %s", kind_names[t->kind]);
	if (!t->error) {
		umpa_finding(f, STATE_OK, check, state_of(t), NULL, NULL);
	} else {
		advice = t->kind == UMPA_MOVER_UFFD ? uffd_advice(t->error, facts)
						    : mremap_advice(t->error);
		value = umpa_text("refused at '%s': %s (%s)", t->step, strerrorname_np(-t->error),
			strerror(-t->error));
		umpa_finding(f, STATE_PROBLEM, check, value, advice->why, advice->fix);
		free(value);
	}
	free(check);
}

static void find_in_use(struct umpa_findings *f, enum umpa_mover_kind want)
{
	if (!strcmp(f->mover, "uffd"))
		umpa_finding(f, STATE_OK, "mover in use", f->mover, NULL, NULL);
	else if (want != UMPA_MOVER_AUTO)
		umpa_finding(f, STATE_PROBLEM, "mover in use", f->mover,
			"the option mover asks for another one than the best",
			"take mover= out of UMPA_OPTIONS");
	else
		umpa_finding(f, STATE_PROBLEM, "mover in use", f->mover,
			strcmp(f->mover, "plain")
				? "whole superpages move, one mapping each, within a budget"
				: "nothing moves: memory is kept and used again where it lies",
			"see mover uffd");
}

static void find_shadow(struct umpa_findings *f, const struct umpa_mover *m)
{
	if (!m->shadowed)
		umpa_finding(f, STATE_OK, "page tables", "the MMU walks them", NULL, NULL);
	else
		umpa_finding(f, STATE_NOTE, "page tables", "the host keeps shadow copies of them",
			"moves, faults and the first touch after either cost several times more",
			"a virtual machine with nested paging (EPT, NPT), or none");
}

void umpa_find_movers(struct umpa_findings *f)
{
	enum umpa_mover_kind want = (enum umpa_mover_kind)umpa_option(OPTION_mover);
	struct umpa_mover_trial trials[3];
	struct umpa_os_facts facts;
	struct umpa_mover m;
	int error, i;

	umpa_os_facts(&facts);
	error = try_movers(want, &m, trials);
	strcpy(f->mover, error ? "plain" : m.name);
	find_in_use(f, want);
	if (!error && strcmp(m.name, "plain") != 0)
		find_shadow(f, &m);
	if (!error)
		error = try_movers(UMPA_MOVER_AUTO, &m, trials);
	if (error) {
		char *value = umpa_text(
			"no scratch window: %s (%s)", strerrorname_np(-error), strerror(-error));

		umpa_finding(f, STATE_PROBLEM, "movers", value,
			"a limit leaves no room for three superpages",
			"ulimit -v unlimited; ulimit -d unlimited");
		free(value);
		return;
	}
	for (i = 0; i < 3; i++)
		find_trial(f, &trials[i], &facts);
}
