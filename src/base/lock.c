#include "base/lock.h"

__thread unsigned umpa_nlocks;

#ifdef UMPA_DEBUG
__thread unsigned char umpa_locks_held[LOCK_NRANKS];
#endif
