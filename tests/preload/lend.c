/*
 * What a program does to its memory by other calls than mmap's: lends pages to the kernel, advises
 * and locks them, asks for more than there is. Prints what it sees; the script compares the text
 * with umpa and without.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB  ((size_t)1 << 10)
#define MIB  ((size_t)1 << 20)
#define PAGE ((size_t)4096)

enum {
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS,
	GUARD_INSTALL = 102 /* MADV_GUARD_INSTALL of Linux 6.13 */
};

static char *map(size_t nbytes, int byte)
{
	char *p = mmap(NULL, nbytes, RW, ANON, -1, 0);

	if (p == MAP_FAILED)
		abort();
	memset(p, byte, nbytes);
	return p;
}

/* Sizes that are served are those that were used before. */
static void get_known(size_t nbytes)
{
	for (int i = 0; i < 4; i++)
		munmap(map(nbytes, i), nbytes);
}

/* How many of nbytes read from fd are another byte. */
static size_t count_others(int fd, size_t nbytes, int byte)
{
	static char buffer[64 << 10];
	size_t nothers = 0, have = 0;

	while (have < nbytes) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			nothers += buffer[i] != (char)byte;
		have += (size_t)n;
	}
	return nothers + (nbytes - have);
}

/* --- pages that are lent ------------------------------------------------------------------ */

static int lend_to_pipe(char *p, size_t nbytes, int pipes[2])
{
	struct iovec v = {p, nbytes};

	if (pipe(pipes) || fcntl(pipes[1], F_SETPIPE_SZ, (int)MIB) < 0)
		abort();
	return vmsplice(pipes[1], &v, 1, SPLICE_F_GIFT) == (ssize_t)nbytes;
}

static void unmap_what_a_pipe_has(size_t nbytes)
{
	char *p = map(nbytes, 'A'), *q;
	int pipes[2];

	printf("lent %d\n", lend_to_pipe(p, nbytes, pipes));
	munmap(p, nbytes);
	q = map(nbytes, 'B');
	printf("others in the pipe %zu\n", count_others(pipes[0], nbytes, 'A'));
	munmap(q, nbytes);
	p = map(nbytes, 'C');
	printf("lent %d\n", lend_to_pipe(p, nbytes, pipes));
	mmap(p, nbytes, RW, ANON | MAP_FIXED, -1, 0);
	printf("zero %d\n", !p[0] && !p[nbytes - 1]);
	memset(p, 'D', nbytes);
	printf("others in the pipe %zu\n", count_others(pipes[0], nbytes, 'C'));
	p = mremap(p, nbytes, 4 * nbytes, MREMAP_MAYMOVE);
	printf("grown %d\n", p != MAP_FAILED && p[0] == 'D' && !p[4 * nbytes - 1]);
	munmap(p, 4 * nbytes);
}

static int connect_to_self(int ends[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(listener, (struct sockaddr *)&at, n) || listen(listener, 1) ||
		getsockname(listener, (struct sockaddr *)&at, &n))
		return 0;
	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(ends[0], (struct sockaddr *)&at, n))
		return 0;
	ends[1] = accept(listener, NULL, NULL);
	close(listener);
	return ends[1] >= 0;
}

static void unmap_what_is_being_sent(size_t nbytes)
{
	int ends[2], yes = 1;
	ssize_t nsent;
	char *p, *q;

	if (!connect_to_self(ends)) {
		printf("no network\n");
		return;
	}
	printf("may send without copying %d\n",
		!setsockopt(ends[0], SOL_SOCKET, SO_ZEROCOPY, &yes, sizeof(yes)));
	p = map(nbytes, 'E');
	nsent = send(ends[0], p, nbytes, MSG_ZEROCOPY);
	munmap(p, nbytes);
	q = map(nbytes, 'F');
	printf("others sent %zu\n", count_others(ends[1], nsent > 0 ? (size_t)nsent : 1, 'E'));
	munmap(q, nbytes);
	close(ends[0]);
	close(ends[1]);
}

/* --- advice by another call --------------------------------------------------------------- */

static void advise_by_descriptor(size_t nbytes)
{
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0), status;
	char *p = map(nbytes, 'G');
	struct iovec v[2] = {{p, PAGE}, {p + 2 * PAGE, PAGE}};

	printf("guard %zd\n", process_madvise(self, v, 1, GUARD_INSTALL, 0));
	printf("wipe %zd\n", process_madvise(self, v + 1, 1, MADV_WIPEONFORK, 0));
	printf("no vector %zd\n", process_madvise(self, NULL, 1, MADV_COLD, 0));
	printf("no process %zd\n", process_madvise(-1, v, 1, MADV_COLD, 0));
	munmap(p, nbytes);
	for (int i = 0; i < 4; i++) {
		p = map(nbytes, 'H');
		fflush(stdout);
		if (!fork())
			_exit(p[0] != 'H' || p[2 * PAGE] != 'H');
		wait(&status);
		printf("child %d\n", status);
		munmap(p, nbytes);
	}
}

/* What was kept back by one call and handed on by the other is the child's. */
static void hand_on_by_descriptor(size_t nbytes)
{
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0), status;
	char *p = map(nbytes, 'M');
	struct iovec v = {p, 2 * PAGE};

	printf("kept back %d\n", madvise(p, 3 * PAGE, MADV_DONTFORK));
	printf("handed on %zd\n", process_madvise(self, &v, 1, MADV_DOFORK, 0));
	fflush(stdout);
	if (!fork())
		_exit(p[0] != 'M' || p[PAGE] != 'M' || p[3 * PAGE] != 'M');
	wait(&status);
	printf("child %d\n", status);
	munmap(p, nbytes);
}

/* --- more than there is ------------------------------------------------------------------- */

static void said(const char *what, int ok)
{
	printf("%s: %s\n", what, ok ? "granted" : strerror(errno));
}

static void ask_for_too_much(void)
{
	size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * PAGE, nbytes = 8 * memory;
	char *p = malloc(4 * MIB), *q;

	memset(p, 'I', 4 * MIB);
	q = malloc(nbytes);
	said("malloc", q != NULL);
	q = calloc(1, nbytes);
	said("calloc", q != NULL);
	q = aligned_alloc(2 * MIB, nbytes);
	said("aligned_alloc", q != NULL);
	q = realloc(p, nbytes);
	said("realloc", q != NULL);
	printf("as it was %d\n", p[0] == 'I' && p[4 * MIB - 1] == 'I');
	free(p);
	for (int i = 0; i < 3; i++)
		said("mmap", mmap(NULL, nbytes, RW, ANON, -1, 0) != MAP_FAILED);
	p = map(4 * MIB, 'J');
	said("mremap", mremap(p, 4 * MIB, nbytes, MREMAP_MAYMOVE) != MAP_FAILED);
	said("mremap", mremap(p, 4 * MIB, nbytes, 0) != MAP_FAILED);
	printf("as it was %d\n", p[0] == 'J' && p[4 * MIB - 1] == 'J');
	munmap(p, 4 * MIB);
	q = mmap(NULL, nbytes, RW, ANON | MAP_NORESERVE, -1, 0);
	said("not to be reserved", q != MAP_FAILED);
	munmap(q, nbytes);
}

/* --- rights of a child -------------------------------------------------------------------- */

static void let_child_confine_itself(void)
{
	int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
	char *p = map(4 * MIB, 'K');
	pid_t child = vfork();

	if (!child) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	printf("confined %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	said("shmat", shmat(id, p, SHM_REMAP) == p);
	shmctl(id, IPC_RMID, NULL);
	munmap(p, 4 * MIB);
}

/* --- locks -------------------------------------------------------------------------------- */

static long nlocked_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static void lock_what_comes(void)
{
	char *block[4], *p;
	long before;

	said("MCL_FUTURE", !mlockall(MCL_FUTURE));
	before = nlocked_kib();
	p = map(MIB, 'L');
	printf("mapped and locked %d\n", nlocked_kib() >= before + 1024);
	before = nlocked_kib();
	for (int i = 0; i < 4; i++)
		memset(block[i] = malloc(MIB), i, MIB);
	printf("allocated and locked %d\n", nlocked_kib() >= before + 4 * 1024);
	for (int i = 0; i < 4; i++)
		free(block[i]);
	munmap(p, MIB);
	said("munlockall", !munlockall());
}

int main(void)
{
	get_known(4 * MIB);
	get_known(MIB);
	get_known(64 * KIB);
	let_child_confine_itself();
	advise_by_descriptor(4 * MIB);
	hand_on_by_descriptor(4 * MIB);
	ask_for_too_much();
	unmap_what_a_pipe_has(64 * KIB);
	unmap_what_a_pipe_has(MIB);
	unmap_what_is_being_sent(64 * KIB);
	lock_what_comes();
	return 0;
}
