/*
 * The fake OS: implements os.h over a simulated page table, so that a test can ask which frame is
 * behind which page, make the n-th call fail, and look at the clock it sets itself.
 *
 * Addresses are real memory, so the code under test may read and write blocks as always; the fake
 * adds, per page, whether it is opened and which numbered frame is behind it. A frame is born when
 * a page is first backed or touched (fake_touch) and dies when it is given back, which zeroes the
 * page; its number is never used again. Only the first FAKE_TAG_NBYTES of each page are carried by
 * the fake mover (and zeroed where they came from), which is what tests may rely on; it keeps
 * millions of operations cheap: about 10 us a superpage.
 *
 * A call against the contract (a range that is not opened, not whole pages, outside the window)
 * ends the program with a line that says so.
 *
 * Not thread-safe unless fake_threads(1) was said; then one lock guards the page table.
 */
#ifndef UMPA_TESTS_FAKE_OS_H
#define UMPA_TESTS_FAKE_OS_H

#include <stddef.h>
#include <stdint.h>

#include "os/mover.h"
#include "os/os.h"

#define FAKE_TAG_NBYTES 64

/* Forgets everything: no reservation, no frames, no faults planned, clock 0, machine as below. */
void fake_reset(void);
void fake_threads(int on);

/* What umpa_os_machine() reports; after reset 256 MiB of memory, 2 CPUs, no limits. */
extern struct umpa_os_machine fake_machine;
extern uint64_t fake_clock_ns;
extern unsigned fake_cpu;             /* that all threads run on. atomic */
extern int fake_single_threaded;      /* 0 at first. atomic */
extern void (*fake_on_release)(void); /* before addresses are given back. NULL after reset */
/* What the first look at what a mover has moved takes: the second reading of the clock behind a
 * move is that much later. 0 after reset. */
extern uint64_t fake_first_look_ns;
/* How much later each of the next looks at the clock is than the one before. 0 after reset. */
extern uint64_t fake_looks_ns[3];
extern uint64_t fake_move_ns; /* that a call of the mover takes. 0 after reset */
/* What every segment of shared memory takes; it is attached anew each time, zero. A page after
 * reset. */
extern size_t fake_segment_nbytes;
/* Huge pages, of MAP_HUGETLB and of one file: their size, a power of two, a slot's after reset; and
 * how many bytes of them there are for one mapping, none after reset. What is mapped over pages and
 * is refused for that has ended what was there, as the kernel has it. */
extern size_t fake_huge_nbytes, fake_huge_max;
extern int fake_locked;        /* all memory is, says umpa_os_sync(). 0 after reset */
extern int fake_huge_snatched; /* what is measured is somebody else's before it is mapped */
enum {
	FAKE_HUGE_FILE = 77
};
/* Frames there are: backing one more is -ENOMEM (fake_touch then ends the program). SIZE_MAX after
 * reset. */
extern size_t fake_nframes_max;
/* Most bytes that may be opened (RLIMIT_DATA). SIZE_MAX after reset. */
extern size_t fake_open_max;

/* What umpa_os_break() shows: libc's break, at first 0, or nothing. */
extern uintptr_t fake_break;
extern int fake_break_hidden;

/* The n-th call from now (1 = the next) of any verb or mover call that can refuse fails with error,
 * once. 0: none. error is negative. */
void fake_fail_at(uint64_t n, int error);
/* From the n-th on, every such call fails. */
void fake_fail_from(uint64_t n, int error);
/* Behind fake_fail_at(): so does the m-th call after that one, such as those that undo what had
 * been done by then. 0: none. */
void fake_fail_again(uint64_t m, int error);
/* Calls of verbs and movers that can refuse, since reset; and of one: "reserve", "release", "open",
 * "advise_huge", "map", "unmap", "remap", "back", "unback", "resident", "bare", "move", "mmap",
 * "munmap", "mremap", "protect", "advise", "renew", "lock", "unlock", "sync", "incore",
 * "protect_key", "attach", "detach", "measure", "unregister", "let_go", "reserve_at",
 * "measure_pages", "kvm". */
uint64_t fake_ncalls(void);
uint64_t fake_ncalls_of(const char *verb);

/* For the fake KVM: a call of a verb of src/os/kvm.h. The error planned for it, or 0. */
int fake_refuses_kvm(void);

/* The program touches: every page of the range gets a frame if it has none. In a slot advised huge,
 * with all 512 pages opened and none backed, the whole slot gets frames, as the kernel would. */
void fake_touch(void *addr, size_t nbytes);
/* Frame number behind the page of addr, 0 if none. */
uint64_t fake_frame(const void *addr);
size_t fake_nframes(void);         /* frames alive */
size_t fake_opened_nbytes(void);   /* bytes opened in reservations */
size_t fake_reserved_nbytes(void); /* bytes reserved, mapped not counted */
size_t fake_mapped_nbytes(void);   /* bytes from umpa_os_map */
/* How a page differs from ordinary memory: 0, FAKE_GUARDED (not readable and writable), FAKE_ODD
 * (something else mapped there, or advice), or both. */
enum {
	FAKE_GUARDED = 1,
	FAKE_ODD = 2
};
int fake_oddity(const void *addr);
/* Marks the frames of a range as shared with another process: moving them is -EBUSY until cleared.
 */
void fake_share(void *addr, size_t nbytes, int shared);

/* Checks the page table: no frame behind two pages, unopened pages without frames. 0 and a line on
 * stdout if not. */
int fake_consistent(void);

/* The fake mover: moves superpages and pages by the rules in mover.h. In a program linked with the
 * fake, umpa_mover_choose() (src/os/mover.c) gets it under the name of the mover it tries. */
void fake_mover_init(struct umpa_mover *m, void *window, size_t nbytes);
/* The next move stops after nbytes with -EAGAIN, once. */
void fake_mover_partial(size_t nbytes);

#endif
