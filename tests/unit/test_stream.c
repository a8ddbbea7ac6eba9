/* Stores past the caches: every byte, and none beside. */
#include <stdlib.h>
#include <string.h>

#include "base/stream.h"
#include "support/check.h"

enum {
	ROOM_NBYTES = 8192
};

static unsigned nwrong_by(char *room, unsigned width)
{
	unsigned nwrong = 0;

	for (size_t begin = STREAM_ALIGN; begin <= 1024; begin += STREAM_ALIGN)
		for (size_t n = 0; n <= 4096; n += STREAM_ALIGN) {
			memset(room, 0xff, ROOM_NBYTES);
			umpa_stream_zeros(room + begin, n, width);
			for (size_t i = 0; i < ROOM_NBYTES; i++)
				nwrong += (room[i] == 0) != (i >= begin && i < begin + n);
		}
	return nwrong;
}

TEST(stream_zeros_are_where_they_should_be)
{
	char *room = aligned_alloc(STREAM_ALIGN, ROOM_NBYTES);

	unsigned nwrong = 0;

	PLAN(4);
	REQUIRE(room);
	CHECK(umpa_stream_width() % 16 == 0 && umpa_stream_width() <= 32);
	CHECK_EQ(nwrong_by(room, 0), 0);
	for (unsigned width = 16; width <= umpa_stream_width(); width += 16)
		nwrong += nwrong_by(room, width);
	CHECK_EQ(nwrong, 0);
	free(room);
}
