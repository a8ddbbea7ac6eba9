/*
 * The page API's calls as the layers above use them: misuse is told under the name of the call that
 * the program made, which may be one of malloc's.
 */
#ifndef UMPA_CORE_PAGE_H
#define UMPA_CORE_PAGE_H

#include <stddef.h>

/* As umpa_free(), umpa_realloc() and umpa_usable_size(); call: the name. */
void umpa_page_free(void *block, const char *call);
void *umpa_page_realloc(void *block, size_t nbytes, unsigned flags, const char *call);
size_t umpa_page_usable_size(const void *block, const char *call);

#endif
