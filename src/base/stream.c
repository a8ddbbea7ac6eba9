#include "base/stream.h"

#include <string.h>

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

/* And the system keeps the upper halves of registers. */
static int has_avx(void)
{
	const unsigned both = bit_OSXSAVE | bit_AVX, halves = 6;
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || (c & both) != both)
		return 0;
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return (a & halves) == halves;
}

/* The processor is asked once: in a virtual machine that takes a microsecond or two. */
unsigned umpa_stream_width(void)
{
	static unsigned known; /* atomic */
	unsigned width = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (!width) {
		width = has_avx() ? 32 : 16;
		__atomic_store_n(&known, width, __ATOMIC_RELAXED);
	}
	return width;
}

__attribute__((target("avx"))) static void zeros_by_32(char *at, const char *end)
{
	const __m256i zero = _mm256_setzero_si256();

	for (; at < end; at += STREAM_ALIGN) {
		_mm256_stream_si256((__m256i *)at, zero);
		_mm256_stream_si256((__m256i *)at + 1, zero);
	}
}

static void zeros_by_16(char *at, const char *end)
{
	const __m128i zero = _mm_setzero_si128();

	for (; at < end; at += STREAM_ALIGN)
		for (int i = 0; i < STREAM_ALIGN / 16; i++)
			_mm_stream_si128((__m128i *)at + i, zero);
}

static void zeros_past(char *at, const char *end, unsigned width)
{
	if (width == 32)
		zeros_by_32(at, end);
	else
		zeros_by_16(at, end);
	_mm_sfence();
}

#else

unsigned umpa_stream_width(void)
{
	return 0;
}

static void zeros_past(char *at, const char *end, unsigned width)
{
	(void)width;
	memset(at, 0, (size_t)(end - at));
}

#endif

void umpa_stream_zeros(void *addr, size_t nbytes, unsigned width)
{
	if (width)
		zeros_past(addr, (const char *)addr + nbytes, width);
	else
		memset(addr, 0, nbytes);
}
