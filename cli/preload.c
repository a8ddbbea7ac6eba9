#include "preload.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

/* Told by the build: where the library is installed, whole and as seen from the program's folder.
 */
#ifndef UMPA_LIBDIR
#define UMPA_LIBDIR "/usr/local/lib"
#endif
#ifndef UMPA_BINDIR_TO_LIBDIR
#define UMPA_BINDIR_TO_LIBDIR "../lib"
#endif

/* The path of this executable, or 0 where /proc is missing and the kernel's note of it is no help.
 */
static int own_path(char path[PATH_MAX])
{
	const char *noted;
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);

	if (n > 0) {
		path[n] = 0;
		return 1;
	}
	noted = (const char *)getauxval(AT_EXECFN);
	return noted && realpath(noted, path);
}

static char *readable(const char *pattern)
{
	char *found = NULL;
	glob_t g;
	size_t i;

	if (!glob(pattern, 0, NULL, &g))
		for (i = 0; i < g.gl_pathc && !found; i++)
			if (!access(g.gl_pathv[i], R_OK))
				found = realpath(g.gl_pathv[i], NULL);
	globfree(&g);
	return found;
}

/* A directory's name stands for itself in a pattern. */
static void append_quoted(char *out, size_t nout, const char *dir)
{
	size_t n = strlen(out);

	for (; *dir && n + 3 < nout; dir++) {
		if (strchr("*?[\\", *dir))
			out[n++] = '\\';
		out[n++] = *dir;
	}
	out[n] = 0;
}

static char *look_in(const char *dir, const char *below)
{
	char pattern[2 * PATH_MAX + 64] = "";

	append_quoted(pattern, 2 * PATH_MAX, dir);
	strcat(pattern, below);
	strcat(pattern, UMPA_PRELOAD_FILE);
	return readable(pattern);
}

static char *look_around(void)
{
	char dir[PATH_MAX], *found = NULL;

	if (own_path(dir)) {
		*strrchr(dir, '/') = 0;
		found = look_in(dir, "/");
		if (!found)
			found = look_in(dir, "/" UMPA_BINDIR_TO_LIBDIR "/");
		if (!found)
			found = look_in(dir, "/../lib*/");
		if (!found)
			found = look_in(dir, "/../lib*/*/");
	}
	return found ? found : look_in(UMPA_LIBDIR, "/");
}

/* LD_PRELOAD is split at these, and there is no way to quote them. */
static char *check_spelling(char *path, char **why)
{
	if (!strpbrk(path, " :"))
		return path;
	*why = umpa_text(
		"the path %s holds a space or a colon, which LD_PRELOAD can't carry", path);
	free(path);
	return NULL;
}

char *umpa_preload_locate(char **why)
{
	const char *wanted = getenv("UMPA_PRELOAD");
	char *found;

	*why = NULL;
	if (wanted && *wanted) {
		found = access(wanted, R_OK) ? NULL : realpath(wanted, NULL);
		if (!found)
			*why = umpa_text("UMPA_PRELOAD names %s: %s", wanted, strerror(errno));
	} else {
		found = look_around();
		if (!found)
			*why = umpa_text(
				"can't find %s: not beside this program, not in ../lib* from "
				"it, not in %s; set UMPA_PRELOAD to its path",
				UMPA_PRELOAD_FILE, UMPA_LIBDIR);
	}
	return found ? check_spelling(found, why) : NULL;
}

char *umpa_preload_find(void)
{
	char *why, *found = umpa_preload_locate(&why);

	if (!found)
		umpa_say("%s", why);
	free(why);
	return found;
}

/* The child's half. Both outputs go into the pipe, whichever descriptors it was given; what a low
 * limit leaves is for the loader. */
static _Noreturn void become_trial(const char *own, const char *library, const int fd[2])
{
	int i;

	dup2(fd[1], STDOUT_FILENO);
	dup2(fd[1], STDERR_FILENO);
	for (i = 0; i < 2; i++)
		if (fd[i] > STDERR_FILENO)
			close(fd[i]);
	if (!setenv("LD_PRELOAD", library, 1) && !setenv("LC_ALL", "C", 1))
		execl(own, own, "--version", (char *)NULL);
	_exit(EXIT_CANNOT_RUN);
}

/* Runs this program with the library preloaded. Result: where its output can be read, or -errno. */
static int start_trial(const char *own, const char *library, pid_t *pid)
{
	int fd[2], error;

	if (pipe(fd))
		return -errno;
	*pid = fork();
	error = errno;
	if (*pid == 0)
		become_trial(own, library, fd);
	close(fd[1]);
	if (*pid > 0)
		return fd[0];
	close(fd[0]);
	return -error;
}

/* "... object 'X' from LD_PRELOAD cannot be preloaded (why): ignored." */
static char *cause_of(char *line)
{
	char *object = strstr(line, "object '"), *from = strstr(line, " from LD_PRELOAD");
	char *end = strstr(line, ": ignored");

	line[end ? (size_t)(end - line) : strcspn(line, "\n")] = 0;
	if (!object || !from)
		return umpa_text("%s", line);
	*from = 0;
	return umpa_text("%s%s", object, from + strlen(" from LD_PRELOAD"));
}

/* The loader only warns when it can't preload: so the warning is what there is to go by. */
static char *first_warning(int fd)
{
	FILE *f = fdopen(fd, "r");
	char line[1024], *why = NULL;

	if (!f) {
		close(fd);
		return NULL;
	}
	while (fgets(line, sizeof(line), f))
		if (!why && strstr(line, "cannot be preloaded")) {
			why = cause_of(line);
		}
	fclose(f);
	return why;
}

static int ended_well(pid_t pid)
{
	int status = 0;
	pid_t got;

	do {
		got = waitpid(pid, &status, 0);
	} while (got < 0 && errno == EINTR);
	return got == pid && !status;
}

char *umpa_preload_refusal(const char *library, int *untried)
{
	char own[PATH_MAX], *why;
	pid_t pid = -1;
	int fd;

	*untried = 0;
	if (!own_path(own))
		return NULL;
	if (strpbrk(library, " :"))
		return umpa_text(
			"%s can't be preloaded: its path holds a space or a colon", library);
	fd = start_trial(own, library, &pid);
	if (fd < 0) {
		*untried = -fd;
		return umpa_text("%s can't be tried: %s", library,
			fd == -EMFILE ? "the limit on open files (RLIMIT_NOFILE) leaves no "
					"descriptor"
				      : strerror(-fd));
	}
	why = first_warning(fd);
	if (!ended_well(pid) && !why)
		why = umpa_text("with %s preloaded, even umpa --version fails", library);
	return why;
}

int umpa_preload_loads(const char *library)
{
	int untried;
	char *why = umpa_preload_refusal(library, &untried);

	if (!why)
		return 1;
	umpa_say("%s", why);
	free(why);
	return 0;
}

static int names_umpa(const char *entry, size_t n)
{
	const char *slash = memrchr(entry, '/', n);
	const char *base = slash ? slash + 1 : entry;
	size_t length = n - (size_t)(base - entry);

	return length >= strlen(UMPA_PRELOAD_FILE) &&
	       !strncmp(base, UMPA_PRELOAD_FILE, strlen(UMPA_PRELOAD_FILE));
}

/* "LD_PRELOAD=first:others", or NULL if that is empty. */
static char *preload_entry(const char *first)
{
	const char *at = getenv("LD_PRELOAD");
	char *out = umpa_text("LD_PRELOAD=%s", first ? first : "");
	size_t n;

	for (; at && *at; at += n + (at[n] != 0)) {
		char *longer;

		n = strcspn(at, " :");
		if (!n || names_umpa(at, n))
			continue;
		longer = umpa_text(
			"%s%s%.*s", out, out[strlen(out) - 1] == '=' ? "" : ":", (int)n, at);
		free(out);
		out = longer;
	}
	if (out[strlen(out) - 1] != '=')
		return out;
	free(out);
	return NULL;
}

static int is_variable(const char *entry, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(entry, name, n) && entry[n] == '=';
}

static int is_set_like(const char *setting)
{
	char *name = umpa_text("%.*s", (int)strcspn(setting, "="), setting);
	int is = getenv(name) != NULL;

	free(name);
	return is;
}

char **umpa_preload_environment(const char *first, const char *options, const char *setting)
{
	size_t n = 0, out = 0, i;
	char **envp, *preload = preload_entry(first);

	while (environ && environ[n])
		n++;
	envp = umpa_take((n + 4) * sizeof(*envp));
	for (i = 0; i < n; i++)
		if (!is_variable(environ[i], "LD_PRELOAD") &&
			!(options && is_variable(environ[i], "UMPA_OPTIONS")))
			envp[out++] = umpa_text("%s", environ[i]);
	if (preload)
		envp[out++] = preload;
	if (options)
		envp[out++] = umpa_text("UMPA_OPTIONS=%s", options);
	if (setting && !is_set_like(setting))
		envp[out++] = umpa_text("%s", setting);
	envp[out] = NULL;
	return envp;
}

void umpa_preload_environment_free(char **envp)
{
	size_t i;

	for (i = 0; envp[i]; i++)
		free(envp[i]);
	free(envp);
}
