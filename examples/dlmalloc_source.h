/* dlmalloc's malloc.c as Debian's wasi-libc has it, but without what that added. */
#define __wasilibc_unmodified_upstream 1
#include <malloc.c>
