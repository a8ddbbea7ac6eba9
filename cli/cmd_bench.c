/* umpa bench: the benchmarks read their own arguments. */
#include "cli.h"

/* bench/ is built on what is here, so only the name of its entrance is known: bench/bench.h. */
int umpa_bench_main(int argc, char **argv);

static int run_bench(const struct umpa_command *c, int argc, char **argv)
{
	(void)c;
	return umpa_bench_main(argc, argv);
}

const struct umpa_command umpa_cmd_bench = {
	.name = "bench",
	.operands = "[NAME [options]]",
	.summary = "Measure what memory costs here; without a name, list the benches.",
	.text = "'umpa bench NAME --help' lists the options of a bench.\n",
	.run = run_bench,
};
