/*
 * Stores past the caches. They don't fetch what they overwrite, and leave nothing in the caches:
 * twice to three times as fast as others where the memory is not in them, no faster where it is,
 * and there dearer for who uses it next.
 */
#ifndef UMPA_BASE_STREAM_H
#define UMPA_BASE_STREAM_H

#include <stddef.h>

enum {
	STREAM_ALIGN = 64
};

/* Bytes that this processor's longest such store writes, up to 32; 0: there are none. */
unsigned umpa_stream_width(void);

/* Zeros nbytes at addr, both multiples of STREAM_ALIGN, by stores of width bytes: 16, or 32 where
 * umpa_stream_width() says so; 0: by others. Other threads see them once they see what is written
 * afterwards. */
void umpa_stream_zeros(void *addr, size_t nbytes, unsigned width);

#endif
