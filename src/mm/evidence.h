/*
 * Evidence: whether a program uses what it maps. A mapping out of the pool is cleared all over, and
 * its first touch brings a huge page: that pays where most of it is written to, and costs where
 * little is. So the program's own mmap is served, by size, once a mapping of that size was seen to
 * be used: one that the kernel had mapped, the *probe*, of which half the pages have frames when
 * the next one is asked for, or when it is unmapped. Each 16th is a probe again. What an engine
 * maps for its blocks it uses alike, whatever the size; its first 16 MiB are probes all, as in a
 * small process the part of a superpage that is not used weighs too much.
 *
 * Any number of threads, no lock: what races is a guess that is made again soon.
 */
#ifndef UMPA_MM_EVIDENCE_H
#define UMPA_MM_EVIDENCE_H

#include <stddef.h>

/* Mappings that are used alike: an engine's, or a program's of the size of npages. */
unsigned umpa_evidence_class(size_t npages);
#define EVIDENCE_OF_ENGINE 0

/* 1: mappings of the class are used. 0: the kernel shall map this one; umpa_evidence_note() then.
 */
int umpa_evidence_for(unsigned class);

/* The kernel has mapped npages at addr. */
void umpa_evidence_note(unsigned class, void *addr, size_t npages);

/* npages at addr are about to be unmapped. */
void umpa_evidence_unmap(void *addr, size_t npages);

/* Forgets all. For tests. */
void umpa_evidence_stop(void);

#endif
