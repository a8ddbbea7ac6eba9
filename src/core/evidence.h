/*
 * Evidence: whether a program uses what it maps or allocates. Memory out of the window has huge
 * pages, and out of the pool it is cleared all over where it shall be zero: that pays where most of
 * it is written to, and costs where little is. So some kinds of memory are served once others of
 * their class were seen to be used: such that the kernel had mapped, the *probes*. A class has the
 * latest one, which is looked at when the next of the class is asked for, or when it is over.
 *
 * class                    served after                      and then
 * a program's mappings,    a probe used to a half; one       each 16th is a probe
 *   by size                that was cut to three quarters
 *                          of what it was, if it is 2 MiB
 *                          or more and has huge pages
 * its reservations, by     the same                          the same
 *   size
 * an engine's mappings     the same, and 24 MiB of probes,   each 16th is a probe
 *                          as in a small process the part
 *                          of a superpage that is not used
 *                          weighs too much
 * zeroed blocks, by size   a probe used to a half            all are served
 * other blocks             probes of 8 MiB in a row, each    all are served
 *                          used to three quarters
 *
 * Any number of threads, no lock: what races is a guess that is made again soon.
 */
#ifndef UMPA_CORE_EVIDENCE_H
#define UMPA_CORE_EVIDENCE_H

#include <stddef.h>

/* Memory that is used alike. Of a program's mappings, and of its zeroed blocks, by their size. */
unsigned umpa_evidence_class(size_t npages);
unsigned umpa_evidence_class_of_zeroed(size_t npages);
/* Reservations of npages, of which is used what was opened and touched. */
unsigned umpa_evidence_class_reserved(size_t npages);
enum {
	EVIDENCE_OF_ENGINE,
	EVIDENCE_OF_BLOCKS
};

/* 1: what is of the class is used. 0: the kernel shall map this one; umpa_evidence_note() then. */
int umpa_evidence_for(unsigned class);

/* What is of the class is used, and most of it is served: the kernel maps a probe now and then. */
int umpa_evidence_says_used(unsigned class);

/* The kernel has mapped npages at addr. */
void umpa_evidence_note(unsigned class, void *addr, size_t npages);

/* npages at addr, a mapping or a block, are about to be unmapped. */
void umpa_evidence_unmap(void *addr, size_t npages);
void umpa_evidence_free(void *addr, size_t npages);

/* Forgets all. For tests. */
void umpa_evidence_stop(void);

#endif
