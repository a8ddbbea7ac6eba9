/*
 * A program with a dlsym of its own, exported, that allocates each time: what a malloc that looks
 * up the next one by dlsym runs into. It also asks libifunc.so, if that is preloaded, for its early
 * blocks.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "expect.h"

enum {
	NKEPT = 64,
	KEPT_NBYTES = 300
};

static char *kept[NKEPT];
static unsigned nkept, ninside;

static void *(*real_dlsym)(void *, const char *);

static void find_real(void)
{
	static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5"};
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD), *f = NULL;

	for (unsigned i = 0; i < 3 && !f; i++)
		f = dlvsym(libc, "dlsym", versions[i]);
	memcpy(&real_dlsym, &f, sizeof(f));
}

static void allocate_inside(void)
{
	char *p = calloc(1, 32), *q = malloc(500);

	ninside++;
	if (p)
		p = realloc(p, KEPT_NBYTES);
	if (p && nkept < NKEPT && all_zero(p, 32)) {
		tag(p, KEPT_NBYTES, nkept);
		kept[nkept++] = p;
	}
	free(q);
	free(memalign(64, 100));
}

void *dlsym(void *handle, const char *name)
{
	static int depth;

	if (!depth++) {
		allocate_inside();
		if (!real_dlsym)
			find_real();
	}
	depth--;
	/* The caller's RTLD_NEXT is not this program's: libc is what comes next in this test. */
	if (handle == RTLD_NEXT)
		handle = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	return real_dlsym(handle, name);
}

int main(int argc, char **argv)
{
	int with_ifunc = argc > 1 && !strcmp(argv[1], "ifunc");
	unsigned before_main = nkept;
	int (*right)(void);
	void *f, *p;

	EXPECT(before_main > 0 && before_main == ninside);
	for (unsigned i = 0; i < before_main; i++) {
		EXPECT(tagged(kept[i], KEPT_NBYTES, i));
		EXPECT(malloc_usable_size(kept[i]) >= KEPT_NBYTES);
		kept[i] = realloc(kept[i], i % 2 ? 500000 : 600);
		EXPECT(kept[i] && tagged(kept[i], KEPT_NBYTES, i));
		errno = EDOM;
		free(kept[i]);
		EXPECT(errno == EDOM);
	}
	p = malloc(1000000);
	EXPECT(umpas(p));
	free(p);
	f = real_dlsym(RTLD_DEFAULT, "ifunc_right");
	memcpy(&right, &f, sizeof(f));
	EXPECT(!f == !with_ifunc);
	EXPECT(!f || right());
	return expect_end(1 + before_main * 4 + 3);
}
