/* The table, targets and plot of `umpa bench vmm`. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "files.h"
#include "grid.h"
#include "report.h"
#include "vmm.h"

#define MOST_HOSTS 3
#define NHOSTS     4

static const char *const hosts[NHOSTS] = {VMM_HERE, "linux-6.1", "linux-6.12", "linux-6.18"};

/* One operation: its metric in guest mode and of the kernel's call; what it may take in guest mode,
 * in instructions; and how many times as fast as without it was with others, as they published: in
 * cycles, of modules of the kernel. */
struct row {
	const char *text, *metric;
	uint64_t nbytes;
	const char *call, *against;
	double most;
	double published; /* by Dune, OSDI 2012; 0: none */
	double libdbos;   /* SIGMOD 2025, on the same module */
};

static const struct row rows[] = {
	{"map a page", "map", 0, "page fault on fresh memory", "touch", 20, 0, 0},
	{"lead a page elsewhere, flush, touch it", "remap", 0, "mmap(MAP_FIXED) of a file's page",
		"remap", 40, 0, 0},
	{"exchange two superpages, flush all", "swap", 0, "mremap of a superpage", "move_superpage",
		20, 0, 0},
	{"a page fault that the program handles", "fault", 0, "a page fault of the kernel's",
		"touch", 200, 2687.0 / 5093, 0},
	{"getppid", "call", 0, "getppid", "call", 6000, 138.0 / 895, 230.0 / 1770},
	{"enter and leave", "entry", 0, "", NULL, 5000, 0, 0},
	{"alloc and free again, 4 KiB", "alloc", 4096, "mmap, munmap", "map", 150, 0, 0},
	{"alloc and free again, 64 KiB", "alloc", 65536, "mmap, munmap", "map", 150, 0, 0},
	{"alloc and free again, 1 MiB", "alloc", 1048576, "mmap, munmap", "map", 150, 0, 0},
	{"alloc and free again, 64 MiB", "alloc", 67108864, "mmap, munmap", "map", 150, 0, 0},
	{"alloc and free again, 1 GiB", "alloc", 1073741824, "mmap, munmap", "map", 150, 0, 0},
	{"the same, 64 live, 4 KiB to 64 MiB", "mixed", 0, "mmap, munmap", "map", NAN, 0, 0},
	{"a page of a block, swapped for another's", "page", 0, "mremap of a page", "move", NAN, 0,
		0},
	{"64 pages likewise, each", "pages", 0, "mremap of a page", "move", NAN, 0, 0},
	{"alloc, and free on another CPU, 1 MiB", "far", 0, "mmap, munmap", "map", 300, 0, 0},
	{"a superpage that a block gets of another", "fill", 0, "mremap of a superpage",
		"move_superpage", NAN, 0, 0},
	{"a superpage of a block that moves", "resize", 0, "mremap of a superpage",
		"move_superpage", NAN, 0, 0},
};

/* What the examples do, by the name that they give it: in guest mode and by the kernel. */
#define EXAMPLE(text, metric, call, published)                                                     \
	{                                                                                          \
		(text), (metric), 0, (call), (metric), NAN, (published), 0                         \
	}

static const struct row examples[] = {
	EXAMPLE("alloc, touch, free: from 4 KiB", "scaling: 4 KiB", "mmap, munmap", 0),
	EXAMPLE("alloc, touch, free: from 16 KiB", "scaling: 16 KiB", "mmap, munmap", 0),
	EXAMPLE("alloc, touch, free: from 64 KiB", "scaling: 64 KiB", "mmap, munmap", 0),
	EXAMPLE("alloc, touch, free: from 256 KiB", "scaling: 256 KiB", "mmap, munmap", 0),
	EXAMPLE("alloc, touch, free: from 1 MiB", "scaling: 1024 KiB", "mmap, munmap", 0),
	EXAMPLE("alloc, touch, free: from 4 MiB", "scaling: 4096 KiB", "mmap, munmap", 0),
	EXAMPLE("a superpage of a block growing to 1 GiB", "realloc: a superpage", "mremap", 0),
	EXAMPLE("Appel 1: protect, fault, unprotect", "barrier: one protected", "mprotect, signal",
		7.5),
	EXAMPLE("Appel 2: protect 100, fault, unprotect", "barrier: many protected",
		"mprotect, signal", 7.5),
	EXAMPLE("demand paging: a page fault", "paging: a page fault", "mprotect, signal", 0),
	EXAMPLE("a snapshot, each superpage", "snapshot: a superpage", "fork", 0),
	EXAMPLE("the first write after it, a page", "snapshot: first write", "the same", 0),
};

static double guest(const struct umpa_samples *s, const char *host, const struct row *r)
{
	return umpa_samples_median(s, &(struct umpa_series){host, "guest", r->metric, r->nbytes});
}

static double kernel(const struct umpa_samples *s, const char *host, const struct row *r)
{
	if (!r->against)
		return NAN;
	return umpa_samples_median(s, &(struct umpa_series){host, "kernel", r->against, 0});
}

static int is_there(const struct umpa_samples *s, const char *host)
{
	return isfinite(guest(s, host, &rows[0]));
}

static size_t present_hosts(const struct umpa_samples *s, const char *there[MOST_HOSTS])
{
	size_t n = 0;

	for (size_t i = 0; i < NHOSTS && n < MOST_HOSTS; i++)
		if (is_there(s, hosts[i]))
			there[n++] = hosts[i];
	return n;
}

/* --- the table ---------------------------------------------------------------------------- */

struct table {
	const struct umpa_samples *s;
	const char *host[MOST_HOSTS];
	size_t nhosts;
	struct umpa_grid grid;
};

/* Of the clock that is read there; NAN where instructions are counted. */
static double tick_ns(const struct table *t, size_t i)
{
	return umpa_samples_median(t->s, &(struct umpa_series){t->host[i], "tick", "ns", 0});
}

/* Each figure has its nanoseconds behind it where it is of a clock. */
static void add_figure(struct table *t, size_t i, double value)
{
	double ns = tick_ns(t, i);

	umpa_grid_count(&t->grid, value);
	if (isfinite(ns))
		umpa_grid_number(&t->grid, value * ns, "");
}

static void head(struct table *t)
{
	umpa_grid_init(&t->grid);
	umpa_grid_row(&t->grid);
	umpa_grid_text(&t->grid, "in guest mode");
	umpa_grid_text(&t->grid, "by the kernel");
	for (size_t i = 0; i < t->nhosts; i++) {
		int of_clock = isfinite(tick_ns(t, i));

		umpa_grid_text(&t->grid, of_clock ? "%s, TSC cycles" : "%s", t->host[i]);
		if (of_clock)
			umpa_grid_text(&t->grid, "ns");
		umpa_grid_text(&t->grid, of_clock ? "kernel, TSC cycles" : "kernel");
		if (of_clock)
			umpa_grid_text(&t->grid, "ns");
		umpa_grid_text(&t->grid, "ratio");
	}
	umpa_grid_text(&t->grid, "others, published; 2011 foresaw 100x");
}

static void add_published(struct table *t, const struct row *r)
{
	if (r->published > 0 && r->libdbos > 0)
		umpa_grid_text(&t->grid, "Dune %.3gx, libdbos %.3gx", r->published, r->libdbos);
	else if (r->published > 0)
		umpa_grid_text(&t->grid, "Dune %.3gx", r->published);
	else
		umpa_grid_text(&t->grid, "-");
}

static int has_row(const struct table *t, const struct row *r)
{
	for (size_t i = 0; i < t->nhosts; i++)
		if (isfinite(guest(t->s, t->host[i], r)))
			return 1;
	return 0;
}

static void add_row(struct table *t, const struct row *r)
{
	if (!has_row(t, r))
		return;
	umpa_grid_row(&t->grid);
	umpa_grid_text(&t->grid, "%s", r->text);
	umpa_grid_text(&t->grid, "%s", r->call);
	for (size_t i = 0; i < t->nhosts; i++) {
		double mine = guest(t->s, t->host[i], r), other = kernel(t->s, t->host[i], r);

		add_figure(t, i, mine);
		add_figure(t, i, other);
		umpa_grid_number(&t->grid, other / mine, "x");
	}
	add_published(t, r);
}

static size_t fill_targets(const struct umpa_samples *s, struct umpa_target *t)
{
	size_t n = 0;

	for (size_t i = 0; i < array_len(rows); i++) {
		double worst = NAN;

		for (size_t h = 0; h < NHOSTS; h++)
			if (strcmp(hosts[h], VMM_HERE) != 0)
				worst = fmax(worst, guest(s, hosts[h], &rows[i]));
		if (isfinite(rows[i].most) && isfinite(worst))
			t[n++] = (struct umpa_target){
				rows[i].text, rows[i].most, 0, " instructions", worst, ""};
	}
	return n;
}

void umpa_vmm_tables(const struct umpa_samples *s, FILE *out, int markdown)
{
	struct umpa_target targets[NTARGETS];
	struct table t = {.s = s};
	size_t ntargets = fill_targets(s, targets);

	t.nhosts = present_hosts(s, t.host);
	if (!t.nhosts)
		return;
	head(&t);
	for (size_t i = 0; i < array_len(rows); i++)
		add_row(&t, &rows[i]);
	for (size_t i = 0; i < array_len(examples); i++)
		add_row(&t, &examples[i]);
	fputs("\n", out);
	umpa_grid_print(&t.grid, out, markdown);
	if (ntargets && !markdown)
		umpa_targets_print(targets, ntargets, out, markdown);
}

void umpa_vmm_json(const struct umpa_samples *s, FILE *out)
{
	struct umpa_target targets[NTARGETS];

	umpa_samples_json(s, "vmm", targets, fill_targets(s, targets), out);
}

/* --- the plot ----------------------------------------------------------------------------- */

static void put(FILE *f, double value)
{
	if (isfinite(value) && value > 0)
		fprintf(f, " %.6g", value);
	else
		fputs(" ?", f);
}

static void put_row(const struct table *t, FILE *f, const struct row *r)
{
	fprintf(f, "\"%s\"", r->text);
	for (size_t i = 0; i < t->nhosts; i++)
		put(f, kernel(t->s, t->host[i], r) / guest(t->s, t->host[i], r));
	put(f, r->published);
	fputs("\n", f);
}

int umpa_vmm_plot(const struct umpa_samples *s, const char *dir)
{
	struct table t = {.s = s};
	char path[PATH_MAX];
	FILE *f;

	t.nhosts = present_hosts(s, t.host);
	snprintf(path, sizeof(path), "%s/vmm.dat", dir);
	f = fopen(path, "we");
	if (!f)
		return umpa_refuse(-1, "bench: %s: %s", path, strerror(errno));
	fputs("operation", f);
	for (size_t i = 0; i < t.nhosts; i++)
		fprintf(f, " %s", t.host[i]);
	fputs(" Dune\n", f);
	for (size_t i = 0; i < array_len(rows); i++)
		if (rows[i].against)
			put_row(&t, f, &rows[i]);
	for (size_t i = 0; i < array_len(examples); i++)
		if (has_row(&t, &examples[i]))
			put_row(&t, f, &examples[i]);
	if (fclose(f))
		return umpa_refuse(-1, "bench: can't write %s", path);
	return umpa_draw(dir, "plot/vmm.gp");
}
