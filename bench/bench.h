/*
 * `umpa bench`: what memory costs here, from the kernel, from umpa and from other allocators.
 *
 * The bench process measures nothing in itself. It starts each measured run as a process of its own
 * (this very program with a hidden first argument, see worker.h), makes the host back memory
 * before each, takes turns between the methods, and keeps every figure as a sample (samples.h) from
 * which all tables, ratios and plots are made.
 */
#ifndef UMPA_BENCH_BENCH_H
#define UMPA_BENCH_BENCH_H

/*
 * argv[0] is "bench", argv[1] the name of a bench and its flags follow; without a name the benches
 * are listed. Result: the exit status (cli/cli.h).
 */
int umpa_bench_main(int argc, char **argv);

#endif
