/* The engines for small blocks that can be chosen by name: other mallocs, preloaded after umpa's.
 */
#ifndef UMPA_CLI_ENGINE_H
#define UMPA_CLI_ENGINE_H

#include <stddef.h>

#include "base/compiler.h"

/* What the loader finds them by, in Debian 12. */
#define JEMALLOC_FILE "libjemalloc.so.2"
#define TCMALLOC_FILE "libtcmalloc_minimal.so.4"
#define MIMALLOC_FILE "libmimalloc.so.2"

struct umpa_engine_library {
	const char *name;
	const char *file;    /* what the loader finds; NULL: the program's own malloc */
	const char *package; /* of Debian */
	/* NAME=VALUE, or NULL: what in its environment makes it take memory from umpa, or the
	   program's own malloc take huge pages. */
	const char *setting;
};

/* Ends with a name that is NULL. */
extern const struct umpa_engine_library umpa_engine_libraries[];

/* The engine of that name, or NULL after a message. */
const struct umpa_engine_library *umpa_engine_named(const char *name);

/* Its setting; NULL if there is none, or no engine. */
static inline const char *umpa_engine_setting(const struct umpa_engine_library *engine)
{
	return engine ? engine->setting : NULL;
}

/* What LD_PRELOAD is to begin with, malloc'ed: umpa's library and the engine's (NULL: the program's
 * own). NULL, after a message, if the loader does not take the engine's. */
char *umpa_engine_chain(const char *library, const struct umpa_engine_library *engine);

#endif
