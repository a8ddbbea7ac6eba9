#include "shim/report.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/options.h"
#include "core/stats.h"

/* Above what programs close one by one and what they count on being free. */
#define KEPT_FD_MIN 500

static int kept_fd = -1;
static struct stat kept;

void umpa_report_init(void)
{
	if (!umpa_option(OPTION_stats) || fstat(STDERR_FILENO, &kept))
		return;
	kept_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, KEPT_FD_MIN);
	if (kept_fd < 0)
		kept_fd = STDERR_FILENO;
}

static int still_leads_there(int fd)
{
	struct stat now;

	return !fstat(fd, &now) && now.st_dev == kept.st_dev && now.st_ino == kept.st_ino &&
	       now.st_rdev == kept.st_rdev;
}

void umpa_report_fini(void)
{
	if (kept_fd < 0)
		return;
	if (still_leads_there(kept_fd))
		umpa_stats_print(kept_fd);
	else if (still_leads_there(STDERR_FILENO))
		umpa_stats_print(STDERR_FILENO);
}
