#include "files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

/* Cuts the last name off a path. Result: 0, or -1 if that leaves nothing. */
static int cut_name(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		return -1;
	*slash = 0;
	return 0;
}

static int look_in(const char *dir, const char *below, const char *name, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s%s/%s", dir, below, name);

	return n >= PATH_MAX || access(path, R_OK) ? -1 : 0;
}

int umpa_bench_file(const char *name, char path[PATH_MAX])
{
	char dir[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	if (n > 0) {
		dir[n] = 0;
		if (!cut_name(dir) && !look_in(dir, "/../share/umpa", name, path))
			return 0;
	}
	snprintf(dir, sizeof(dir), "%s", __FILE__);
	return cut_name(dir) ? -1 : look_in(dir, "", name, path);
}

void umpa_bench_temporary(const char *name, char path[PATH_MAX])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(path, PATH_MAX, "%s/umpa-%s.XXXXXX", tmp && *tmp ? tmp : "/tmp", name);
}

static int run_gnuplot(const char *dir, char *script)
{
	char *argv[] = {(char *)"gnuplot", script, NULL};
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (!chdir(dir))
			execvp(argv[0], argv);
		_exit(EXIT_NOT_FOUND);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_FOUND)
		return umpa_refuse(-1, "bench: no plot: gnuplot is not installed (gnuplot-nox)");
	return status ? umpa_refuse(-1, "bench: no plot: gnuplot failed") : 0;
}

int umpa_draw(const char *dir, const char *script)
{
	char path[PATH_MAX];

	if (umpa_bench_file(script, path))
		return umpa_refuse(-1, "bench: no plot: can't find %s", script);
	return run_gnuplot(dir, path);
}
