#include "base/lock.h"

#ifdef UMPA_DEBUG
__thread unsigned char umpa_locks_held[LOCK_NRANKS];
#else
typedef int umpa_lock_c_is_not_empty;
#endif
