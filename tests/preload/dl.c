/* Libraries that come and go. Argument: the path of libplug.so. */
#include <pthread.h>
#include <stdlib.h>

#include "expect.h"

enum {
	NLOADS = 200,
	NTHREADS = 2
};

static const char *path;

static void *lookup(void *library, const char *name, void *function)
{
	void *f = dlsym(library, name);

	memcpy(function, &f, sizeof(f));
	return f;
}

static void *load_loop(void *arg)
{
	for (unsigned i = 0; i < NLOADS; i++) {
		void *library = dlopen(path, i % 2 ? RTLD_NOW : RTLD_LAZY);
		char *(*make)(size_t);
		int (*right)(void);
		char *p;

		if (!EXPECT(library && lookup(library, "plug_make", &make) &&
			    lookup(library, "plug_right", &right)))
			break;
		EXPECT(right());
		p = make(100000 + i);
		tag(p, 100000, i);
		EXPECT(!dlclose(library));
		EXPECT(tagged(p, 100000, i));
		free(p);
		/* An error message is memory that libc allocates and frees. */
		EXPECT(!dlopen("/no/such/library", RTLD_NOW) && dlerror());
	}
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t thread[NTHREADS];

	if (argc != 2)
		return 2;
	path = argv[1];
	load_loop(NULL);
	for (unsigned i = 0; i < NTHREADS; i++)
		pthread_create(&thread[i], NULL, load_loop, NULL);
	for (unsigned i = 0; i < NTHREADS; i++)
		pthread_join(thread[i], NULL);
	return expect_end((1 + NTHREADS) * NLOADS * 5);
}
