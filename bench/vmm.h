/*
 * `umpa bench vmm`: what operations take in guest mode, by page tables of one's own, and by the
 * kernel's calls for the same. In instructions, in emulated machines that count them
 * (scripts/check-kernels); or in ticks of this host's clock.
 *
 * A sample's test is the host, "here" or "linux-" and a series; its method "guest" or "kernel".
 */
#ifndef UMPA_BENCH_VMM_H
#define UMPA_BENCH_VMM_H

#include <stdio.h>

#include "cli/cli.h"
#include "samples.h"

#define VMM_HERE "here"

/* One table for all hosts there are samples of, with the targets behind it. */
void umpa_vmm_tables(const struct umpa_samples *s, FILE *out, int markdown);
void umpa_vmm_json(const struct umpa_samples *s, FILE *out);

/* Writes DIR/vmm.dat and has gnuplot draw DIR/vmm.svg and .png. Result: 0, or -1 after a message.
 */
must_check int umpa_vmm_plot(const struct umpa_samples *s, const char *dir);

/* The command. */
extern const struct umpa_flag umpa_vmm_flags[];
int umpa_vmm_command(const struct umpa_command *c, int argc, char **argv);

#endif
