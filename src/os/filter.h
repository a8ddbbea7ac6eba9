/*
 * A seccomp filter that the process was executed under, as a container or a service is. It refuses
 * what it does not know with an error, which any caller here can do with, or kills for it; which of
 * the two is not to be learned. So a call that such filters tend to leave out is not made where it
 * may kill. Nobody owns this: it is a property of the process, and never changes back.
 *
 * Filters that a program sets for itself are another matter: os.h, confinement.
 */
#ifndef UMPA_OS_FILTER_H
#define UMPA_OS_FILTER_H

/* 1: there is a filter, and it was not seen to answer with an error. One system call, once. */
int umpa_filter_may_kill(void);

/* A call was refused as a filter would. Should it have been something else that refused, a filter
 * is taken for one that answers with errors. */
void umpa_filter_answers(void);

#endif
