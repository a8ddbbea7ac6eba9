/* A plug-in that allocates while it is loaded and frees while it is unloaded, with static TLS of
 * its own. */
#include <stdlib.h>
#include <string.h>

static char *small, *large;
static __thread char room[256] __attribute__((tls_model("initial-exec"))) = "room";

char *plug_make(size_t nbytes);
int plug_right(void);

__attribute__((constructor)) static void load(void)
{
	small = calloc(1, 1000);
	large = calloc(1, 300000);
	memset(large, 'l', 300000);
}

__attribute__((destructor)) static void unload(void)
{
	free(realloc(small, 100000));
	free(realloc(large, 3000000));
}

/* For the caller to free. */
char *plug_make(size_t nbytes)
{
	return malloc(nbytes);
}

int plug_right(void)
{
	return !strcmp(room, "room") && large[0] == 'l' && large[299999] == 'l' && !small[999];
}
