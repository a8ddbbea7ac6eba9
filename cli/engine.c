#include "engine.h"

#include <string.h>

#include "base/compiler.h"
#include "cli.h"
#include "preload.h"

const struct umpa_engine_library umpa_engine_libraries[] = {
	{"system", NULL, NULL, NULL},
	{"system-huge", NULL, NULL, "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"},
	{"jemalloc", JEMALLOC_FILE, "libjemalloc2", NULL},
	{"tcmalloc", TCMALLOC_FILE, "libtcmalloc-minimal4", "TCMALLOC_SKIP_SBRK=1"},
	{"mimalloc", MIMALLOC_FILE, "libmimalloc2.0", NULL},
	{0},
};

const struct umpa_engine_library *umpa_engine_named(const char *name)
{
	const struct umpa_engine_library *e;

	for (e = umpa_engine_libraries; e->name; e++)
		if (!strcmp(e->name, name))
			return e;
	umpa_say("no engine '%s'; there are system, system-huge, jemalloc, tcmalloc and mimalloc",
		name);
	return NULL;
}

char *umpa_engine_chain(const char *library, const struct umpa_engine_library *engine)
{
	if (!engine || !engine->file)
		return umpa_text("%s", library);
	if (!umpa_preload_loads(engine->file)) {
		umpa_say("engine %s can't be had: apt-get install %s", engine->name,
			engine->package);
		return NULL;
	}
	return umpa_text("%s:%s", library, engine->file);
}
