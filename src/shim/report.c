#include "shim/report.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/format.h"
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

/* Whose counters they are: where a program runs others, many end. One that umpa has done nothing
 * for is told in one line. */
static void report(int fd)
{
	struct umpa_stats st;
	char line[256];
	size_t n;
	int served;

	umpa_stats_so_far(&st);
	served = st.nallocs || st.nmappings;
	n = umpa_format(line, sizeof(line), "umpa: process %d, %s%s\n", (int)getpid(),
		program_invocation_short_name, served ? ":" : ": nothing was served");
	if (write(fd, line, n) > 0 && served)
		umpa_stats_print(fd);
}

void umpa_report_fini(void)
{
	if (kept_fd < 0)
		return;
	if (still_leads_there(kept_fd))
		report(kept_fd);
	else if (still_leads_there(STDERR_FILENO))
		report(STDERR_FILENO);
}
