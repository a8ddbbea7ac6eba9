/*
 * A program that confines itself as OpenSSH does: after a while it may make a few calls only, those
 * that a malloc makes among them, and is killed for any other. usage: sandbox [early | limited]:
 * before it has large memory; until a limit refuses it.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "expect.h"

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS SECCOMP_RET_KILL
#endif

enum {
	NBLOCKS = 16,
	ROUNDS = 150,
	PAGE = 4096,
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS
};

#define MIB ((size_t)1 << 20)

static int confine(void)
{
#define ALLOW(call)                                                                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1),                                     \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), ALLOW(brk),
		ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), ALLOW(mprotect), ALLOW(madvise),
		ALLOW(futex), ALLOW(write), ALLOW(exit), ALLOW(exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
	const struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static uint64_t state = 2011;
static struct {
	char *p;
	size_t nbytes;
	uint64_t seed;
} block[NBLOCKS];

/* Blocks that come, grow, shrink and go, each looked at before it changes. */
static void use_blocks(int nrounds)
{
	for (int i = 0; i < nrounds; i++) {
		unsigned b = random_next(&state) % NBLOCKS;
		size_t nbytes = random_nbytes(&state, 23), kept = block[b].nbytes;
		char *p = block[b].p;

		EXPECT(!p || tagged(p, kept, block[b].seed));
		if (p && random_next(&state) % 3 == 0) {
			free(p);
			p = i % 2 ? calloc(1, nbytes) : malloc(nbytes);
			EXPECT(p && (i % 2 == 0 || all_zero(p, nbytes)));
		} else {
			p = realloc(p, nbytes);
			EXPECT(p && tagged(p, kept < nbytes ? kept : nbytes, block[b].seed));
		}
		tag(p, nbytes, ++block[b].seed);
		block[b].p = p;
		block[b].nbytes = nbytes;
	}
}

/* Mappings likewise; the first half of one is unmapped by itself, the rest grows. */
static void use_mappings(int nrounds)
{
	for (int i = 0; i < nrounds; i++) {
		size_t half = (1 + random_next(&state) % 700) * PAGE, nbytes = 2 * half;
		char *p = mmap(NULL, nbytes, RW, ANON, -1, 0), *q;

		EXPECT(p != MAP_FAILED && all_zero(p, nbytes));
		tag(p, nbytes, nbytes);
		EXPECT(!mprotect(p, PAGE, PROT_READ) && !munmap(p, half));
		q = mremap(p + half, half, nbytes, MREMAP_MAYMOVE);
		EXPECT(q != MAP_FAILED && all_zero(q + half, half));
		EXPECT(!madvise(q, PAGE, MADV_DONTNEED) && q[0] == 0);
		EXPECT(!munmap(q, nbytes));
	}
}

/* What umpa has to know more of than a malloc does: are pages locked, is this a child? */
static void use_oddities(char *elsewhere)
{
	const size_t nbytes = 6 * MIB;

	for (int i = 0; i < 8; i++) {
		char *p = mmap(NULL, nbytes, RW, ANON, -1, 0), *q;

		/* All of it is used, so that umpa comes to serve such. */
		EXPECT(p != MAP_FAILED && all_zero(p, nbytes));
		tag(p, nbytes, 7);
		EXPECT(!madvise(p, 2 * PAGE, MADV_DONTFORK) && !munmap(p, nbytes));
		p = mmap(NULL, nbytes, RW, ANON, -1, 0);
		EXPECT(p != MAP_FAILED);
		tag(p, nbytes, 7);
		q = mremap(p, nbytes, nbytes, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
		EXPECT(q == elsewhere && tagged(q, nbytes, 7));
	}
}

static void use_all(void)
{
	enum {
		NMOST = 1 << 12
	};
	static char *all[NMOST];
	int n = 0;

	while (n < NMOST && (all[n] = malloc(5 * MIB)))
		n++;
	EXPECT(n > NBLOCKS && n < NMOST && errno == ENOMEM);
	while (n)
		free(all[--n]);
}

static void *thread(void *arg)
{
	(void)arg;
	use_mappings(5);
	return NULL;
}

int main(int argc, char **argv)
{
	int early = argc > 1 && !strcmp(argv[1], "early");
	int limited = argc > 1 && !strcmp(argv[1], "limited");
	pthread_t other;
	char *elsewhere = mmap(NULL, 6 * MIB, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	/* What makes calls but once, of stdio and of threads. */
	puts("begins");
	EXPECT(!pthread_create(&other, NULL, thread, NULL) && !pthread_join(other, NULL));
	if (!early) {
		use_blocks(ROUNDS);
		use_mappings(20);
		use_oddities(elsewhere);
	}
	EXPECT(!confine());
	use_blocks(ROUNDS);
	use_mappings(20);
	use_oddities(elsewhere);
	for (int i = 0; i < NBLOCKS; i++)
		free(block[i].p);
	if (limited)
		use_all();
	return expect_end(
		(early ? 1 : 2) * (2UL * ROUNDS + 5 * 20 + 4 * 8) + 5 * 5 + 2 + (limited ? 1 : 0));
}
