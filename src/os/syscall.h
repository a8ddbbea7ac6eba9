/*
 * Raw system calls: the result or -errno. They leave errno alone, and they reach the kernel where a
 * program, or umpa's own preload library, has put something else behind libc's name.
 */
#ifndef UMPA_OS_SYSCALL_H
#define UMPA_OS_SYSCALL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline long sys_call(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
#else
	int kept = errno;
	long result = syscall(nr, a, b, c, d, e, f);

	if (result == -1)
		result = -errno;
	errno = kept;
	return result;
#endif
}

/* Results from -4095 to -1 are errors, also where addresses are returned. */
static inline int sys_failed(long result)
{
	return (unsigned long)result > -4096ul;
}

#define SYS_1(nr, a)          sys_call(nr, (long)(a), 0, 0, 0, 0, 0)
#define SYS_2(nr, a, b)       sys_call(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS_3(nr, a, b, c)    sys_call(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS_4(nr, a, b, c, d) sys_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS_5(nr, a, b, c, d, e)                                                                   \
	sys_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

/* Private, anonymous, as all of umpa's mappings. */
static inline long sys_mmap(void *addr, size_t nbytes, int prot, int more_flags)
{
	return sys_call(SYS_mmap, (long)addr, (long)nbytes, prot,
		MAP_PRIVATE | MAP_ANONYMOUS | more_flags, -1, 0);
}

#endif
