/* What raw figures come from: a paragraph of text for people, a run. */
#ifndef UMPA_BENCH_ABOUT_H
#define UMPA_BENCH_ABOUT_H

/*
 * When, by which command line, of which version of umpa; the system, the processors, the memory,
 * whether there are huge pages, UMPA_OPTIONS: lines "name: value", an empty one behind them. What
 * can't be learned is left out. Nothing names the machine or whoever runs it. Result: malloc'ed.
 */
char *umpa_about_text(void);

#endif
