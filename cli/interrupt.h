/*
 * Signals that ask the program to end while it runs others: they end the child at work, and whoever
 * started it sees to what is left to do, such as printing what there is. The second of a kind ends
 * the program itself.
 *
 * For the command line and the benchmarks only. One thread, one child at a time.
 */
#ifndef UMPA_CLI_INTERRUPT_H
#define UMPA_CLI_INTERRUPT_H

#include <sys/types.h>

/* From here on. A signal that is ignored (nohup) stays so. */
void umpa_interrupt_catch(void);

/* The signal that came, or 0. */
int umpa_interrupted(void);

/* fork(2); a signal ends the child until it is said to be reaped. In the child nothing is caught.
 */
pid_t umpa_interrupt_fork(void);
void umpa_interrupt_reaped(void);

/* Ends the program by the signal that came, as its parent expects; returns if none did. */
void umpa_interrupt_end(void);

#endif
