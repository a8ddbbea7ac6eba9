/* An LD_AUDIT library that looks at every binding and allocates while it does. */
#include <link.h>
#include <stdlib.h>

unsigned int la_version(unsigned int version)
{
	return version;
}

unsigned int la_objopen(struct link_map *map, Lmid_t lmid, uintptr_t *cookie)
{
	void *p = malloc(100000);

	(void)map;
	(void)lmid;
	(void)cookie;
	free(p);
	return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

uintptr_t la_symbind64(Elf64_Sym *sym, unsigned int index, uintptr_t *from, uintptr_t *to,
	unsigned int *flags, const char *name)
{
	void *p = malloc(100);

	(void)index;
	(void)from;
	(void)to;
	(void)flags;
	(void)name;
	free(p);
	return sym->st_value;
}
