/* What the two compilers spell alike, under one name. */
#ifndef UMPA_BASE_COMPILER_H
#define UMPA_BASE_COMPILER_H

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define must_check        __attribute__((warn_unused_result))
#define public_api        __attribute__((visibility("default")))
#define cold_path         __attribute__((cold, noinline))
#define format_like(f, a) __attribute__((format(printf, f, a)))

/* Where what the linker has put in order lies (cmake/start.ld): code that every process runs, in
 * front; zeros that are large and that few touch, behind. */
#define start_path __attribute__((section(".text.startup")))
#define late_data  __attribute__((section(".bss.late")))

/* In a loop that waits for another thread. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#define array_len(a) (sizeof(a) / sizeof((a)[0]))

#endif
