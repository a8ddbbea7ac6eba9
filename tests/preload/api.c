/*
 * The malloc family as glibc 2.36 has it. Arguments: "umpa" also checks that large blocks are
 * umpa's, "glibc" also checks what only glibc's malloc does. With neither it must pass on any
 * malloc.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "expect.h"

#define BIG ((size_t)3 << 20)

static int with_umpa, with_glibc;
/* What the compiler must not know, as it would warn of what is tried here. */
static volatile size_t size_max = SIZE_MAX, ptrdiff_max = PTRDIFF_MAX;
static volatile size_t wraps = (size_t)1 << 33, odd[] = {24, 3000, 0};

static int aligned_to(const void *p, size_t align)
{
	return p && !((uintptr_t)p % align);
}

/* glibc's blocks are all aligned to 16; others give less to what is too small to need it. */
static int aligned(const void *p, size_t nbytes)
{
	return aligned_to(p, nbytes >= 16 || with_glibc ? 16 : 8);
}

static void one_size(size_t nbytes)
{
	size_t usable;
	char *p = malloc(nbytes);

	EXPECT(aligned(p, nbytes));
	usable = malloc_usable_size(p);
	EXPECT(usable >= nbytes);
	memset(p, 0xa5, usable);
	EXPECT(!usable || (p[0] == (char)0xa5 && p[usable - 1] == (char)0xa5));
	errno = EDOM;
	free(p);
	EXPECT(errno == EDOM);
	p = calloc(1, nbytes);
	EXPECT(aligned(p, nbytes));
	EXPECT(all_zero(p, nbytes));
	memset(p, 0x5a, nbytes);
	free(p);
	p = calloc(nbytes, 1);
	EXPECT(p && all_zero(p, nbytes));
	free(p);
}

static unsigned long sizes(void)
{
	static const size_t middle[] = {16, 4096, 65536, 131072, 2097152, 4194304, 6291456};
	static const long around[] = {-4096, -17, -16, -1, 0, 1, 15, 16, 4095, 4096};
	unsigned long n = 0;

	for (size_t i = 0; i < sizeof(middle) / sizeof(middle[0]); i++)
		for (size_t j = 0; j < sizeof(around) / sizeof(around[0]); j++, n++)
			one_size(around[j] < 0 && (size_t)-around[j] > middle[i]
					 ? 0
					 : middle[i] + (size_t)around[j]);
	return n * 7;
}

static unsigned long who_serves(void)
{
	void *p = malloc(BIG), *q = malloc(100);

	EXPECT(p && q);
	EXPECT(umpas(p) == with_umpa);
	EXPECT(!umpas(q));
	free(p);
	free(q);
	return 3;
}

#define REFUSES(call)                                                                              \
	do {                                                                                       \
		errno = 0;                                                                         \
		EXPECT((call) == NULL);                                                            \
		EXPECT(errno == ENOMEM);                                                           \
	} while (0)

static unsigned long too_much(void)
{
	char *volatile p = malloc(BIG), *volatile q = malloc(100);

	tag(p, BIG, 1);
	tag(q, 100, 2);
	REFUSES(malloc(size_max));
	REFUSES(malloc(ptrdiff_max));
	REFUSES(malloc(ptrdiff_max + 1));
	REFUSES(calloc(size_max / 2, 3));
	REFUSES(calloc(wraps, wraps));
	REFUSES(calloc(1, size_max));
	REFUSES(realloc(p, size_max));
	REFUSES(realloc(p, ptrdiff_max));
	REFUSES(realloc(q, size_max - 100));
	REFUSES(realloc(NULL, size_max));
	REFUSES(reallocarray(p, size_max / 2, 3));
	REFUSES(reallocarray(q, wraps, wraps));
	REFUSES(memalign(4096, size_max));
	REFUSES(memalign(4096, ptrdiff_max));
	REFUSES(aligned_alloc(64, ptrdiff_max & ~(size_t)63));
	REFUSES(valloc(size_max));
	REFUSES(pvalloc(size_max));
	REFUSES(pvalloc(ptrdiff_max));
	EXPECT(tagged(p, BIG, 1));
	EXPECT(tagged(q, 100, 2));
	free(p);
	free(q);
	return 18 * 2 + 2;
}

static unsigned long nothing(void)
{
	void *p = malloc(0), *q = malloc(0), *r;

	EXPECT(p && q && p != q);
	free(p);
	free(q);
	free(NULL);
	EXPECT(malloc_usable_size(NULL) == 0);
	r = calloc(0, 5);
	EXPECT(r != NULL);
	free(r);
	p = realloc(NULL, 0);
	EXPECT(p != NULL);
	q = realloc(p, 0);
	r = realloc(malloc(BIG), 0);
	/* Whatever the engine makes of it, umpa makes the same. */
	EXPECT(!q == !r);
	if (with_glibc)
		EXPECT(q == NULL);
	free(q);
	free(r);
	return 5 + (unsigned long)with_glibc;
}

static unsigned long resizes(void)
{
	static const size_t nbytes[] = {1, 24, 100, 2000, 4095, 4096, 4097, 8192, 20000, 32768,
		65528, 65535, 65536, 65537, 70000, 131072, 200000, 1000000, 2097151, 2097152,
		2097153, 4194304, 5000000, 9000000};
	size_t n = sizeof(nbytes) / sizeof(nbytes[0]);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			size_t least = nbytes[i] < nbytes[j] ? nbytes[i] : nbytes[j];
			char *p = malloc(nbytes[i]), *q;

			tag(p, nbytes[i], i);
			q = realloc(p, nbytes[j]);
			EXPECT(aligned(q, nbytes[j]));
			EXPECT(malloc_usable_size(q) >= nbytes[j]);
			EXPECT(tagged(q, least, i));
			tag(q, nbytes[j], j);
			p = reallocarray(q, nbytes[i], 1);
			EXPECT(p && tagged(p, least, j));
			free(p);
		}
	return n * n * 4;
}

/* Many blocks at once, resized in any order: each keeps its own content. */
static unsigned long random_walk(void)
{
	enum {
		NBLOCKS = 64,
		NSTEPS = 20000
	};
	static struct {
		char *p;
		size_t nbytes;
	} block[NBLOCKS];
	uint64_t state = 88172645463325252u;

	for (unsigned step = 0; step < NSTEPS; step++) {
		unsigned i = (unsigned)(random_next(&state) % NBLOCKS);
		size_t nbytes = random_nbytes(&state, 21), old = block[i].nbytes;
		char *p;

		EXPECT(tagged(block[i].p, old, i));
		if (random_next(&state) % 4 == 0) {
			free(block[i].p);
			p = malloc(nbytes);
			old = 0;
		} else {
			p = realloc(block[i].p, nbytes);
		}
		EXPECT(p && tagged(p, old < nbytes ? old : nbytes, i));
		tag(p, nbytes, i);
		block[i].p = p;
		block[i].nbytes = nbytes;
	}
	for (unsigned i = 0; i < NBLOCKS; i++)
		free(block[i].p);
	return 2 * NSTEPS;
}

static void posix_rules(size_t nbytes)
{
	static const size_t bad[] = {0, 1, 2, 4, 3, 24, 40, 4097, (size_t)3 << 20, SIZE_MAX};
	void *mark = &mark, *p;

	errno = EDOM;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		p = mark;
		EXPECT(posix_memalign(&p, bad[i], nbytes) == EINVAL);
		EXPECT(p == mark && errno == EDOM);
	}
	for (size_t align = 8; align <= (size_t)64 << 20; align *= 2) {
		p = mark;
		EXPECT(posix_memalign(&p, align, nbytes) == 0 && aligned_to(p, align));
		EXPECT(malloc_usable_size(p) >= nbytes);
		tag(p, nbytes, align);
		p = realloc(p, nbytes + 70000);
		EXPECT(p && tagged(p, nbytes, align));
		free(p);
	}
}

static void huge_alignment(size_t align)
{
	void *mark = &mark, *p = mark;
	int error;

	errno = EDOM;
	error = posix_memalign(&p, align, BIG);
	EXPECT(error ? error == ENOMEM && p == mark : aligned_to(p, align));
	EXPECT(errno == EDOM || !with_umpa);
	if (!error)
		free(p);
}

static unsigned long alignment(void)
{
	static const size_t nbytes[] = {1, 1000, 65535, 65536, 100000, BIG + 1};
	void *mark = &mark, *p = mark;
	size_t n = sizeof(nbytes) / sizeof(nbytes[0]);

	for (size_t i = 0; i < n; i++)
		posix_rules(nbytes[i]);
	for (unsigned log2 = 30; log2 < 64; log2++)
		huge_alignment((size_t)1 << log2);
	errno = EDOM;
	EXPECT(posix_memalign(&p, 64, size_max) == ENOMEM && p == mark);
	EXPECT(errno == EDOM || !with_umpa);
	for (size_t i = 0; i < n; i++)
		for (size_t align = 16; align <= (size_t)8 << 20; align *= 2) {
			p = memalign(align, nbytes[i]);
			EXPECT(aligned_to(p, align));
			free(p);
			p = aligned_alloc(align, nbytes[i]);
			EXPECT(aligned_to(p, align));
			free(p);
		}
	for (size_t i = 0; i < n; i++) {
		p = valloc(nbytes[i]);
		EXPECT(aligned_to(p, 4096) && malloc_usable_size(p) >= nbytes[i]);
		free(p);
		p = pvalloc(nbytes[i]);
		EXPECT(aligned_to(p, 4096) &&
			malloc_usable_size(p) >= ((nbytes[i] + 4095) & ~4095u));
		free(p);
	}
	return n * (10 * 2 + 24 * 3) + 34 * 2 + 2 + n * 20 * 2 + n * 2;
}

/* memalign and aligned_alloc round an odd alignment up. */
static unsigned long odd_alignment(void)
{
	static const size_t nbytes[] = {100, 100000};
	size_t above_half = size_max / 2 + 2;
	void *p;

	for (size_t i = 0; i < 2; i++) {
		p = memalign(odd[0], nbytes[i]);
		EXPECT(aligned_to(p, 32));
		free(p);
		p = aligned_alloc(odd[1], nbytes[i]);
		EXPECT(aligned_to(p, 4096));
		free(p);
		p = memalign(odd[2], nbytes[i]);
		EXPECT(aligned_to(p, 16));
		free(p);
		errno = 0;
		EXPECT(memalign(above_half, nbytes[i]) == NULL);
		EXPECT(errno == EINVAL);
	}
	return 2 * 5;
}

/* What libc itself allocates and its callers free. */
static unsigned long libc_blocks(void)
{
	char *text = malloc(BIG), *copy, *line = NULL;
	size_t nline = 0, nstream = 0;
	FILE *stream;
	void (*cfree)(void *);
	void *f = dlsym(RTLD_DEFAULT, "cfree");

	memset(text, 'x', BIG - 1);
	text[BIG - 2] = '\n';
	text[BIG - 1] = 0;
	copy = strdup(text);
	EXPECT(copy && !strcmp(copy, text));
	free(copy);
	stream = fmemopen(text, BIG - 1, "r");
	EXPECT(getline(&line, &nline, stream) == (ssize_t)BIG - 1);
	EXPECT(line && !strcmp(line, text));
	fclose(stream);
	free(line);
	stream = open_memstream(&copy, &nstream);
	fputs(text, stream);
	fclose(stream);
	EXPECT(nstream == BIG - 1 && !strcmp(copy, text));
	memcpy(&cfree, &f, sizeof(cfree));
	if (f)
		cfree(copy);
	else
		free(copy);
	EXPECT(f || !with_umpa);
	free(text);
	return 5;
}

int main(int argc, char **argv)
{
	unsigned long n = 0;

	for (int i = 1; i < argc; i++) {
		with_umpa |= !strcmp(argv[i], "umpa");
		with_glibc |= !strcmp(argv[i], "glibc");
	}
	n += who_serves();
	n += sizes();
	n += too_much();
	n += nothing();
	n += resizes();
	n += random_walk();
	n += alignment();
	if (with_glibc)
		n += odd_alignment();
	n += libc_blocks();
	return expect_end(n);
}
