/*
 * Making pages of the window ordinary again, that is readable, writable and the window's own, with
 * as few calls as will do. Owns nothing; called with the lock that guards the attributes.
 */
#ifndef UMPA_MM_RESTORE_H
#define UMPA_MM_RESTORE_H

#include "base/compiler.h"
#include "mm/attributes.h"

/*
 * Makes [first, end) ordinary: protected pages by one call for all that have no odd ones between
 * them; unforked ones likewise, with their frames; odd ones lose theirs. PAGE_VOID stays, it is for
 * the caller to take. 0; -ENOMEM: the system refuses, and some are ordinary now.
 */
must_check int umpa_restore(struct umpa_attributes *a, size_t first, size_t end);

#endif
