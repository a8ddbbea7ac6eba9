/* What the two compilers spell alike, under one name. */
#ifndef UMPA_BASE_COMPILER_H
#define UMPA_BASE_COMPILER_H

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define must_check   __attribute__((warn_unused_result))
#define public_api   __attribute__((visibility("default")))
#define cold_path    __attribute__((cold, noinline))
#define format_like(f, a) __attribute__((format(printf, f, a)))

#define array_len(a) (sizeof(a) / sizeof((a)[0]))

#endif
