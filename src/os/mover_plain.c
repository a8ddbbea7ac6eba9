#include <errno.h>

#include "os/mover.h"

static int move_nothing(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	(void)m, (void)dst, (void)src, (void)nbytes, (void)flags;
	*moved = 0;
	return -ENOSYS;
}

static void give_back_nothing(struct umpa_mover *m)
{
	(void)m;
}

void umpa_mover_plain_init(struct umpa_mover *m, void *window, size_t nbytes)
{
	*m = (struct umpa_mover){.name = "plain",
		.move = move_nothing,
		.fini = give_back_nothing,
		.window = window,
		.window_nbytes = nbytes,
		.fd = -1};
}
