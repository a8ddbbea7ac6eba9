#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define NHEADERS_MOST 64

static int runnable(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	return access(path, X_OK) ? errno : 0;
}

/* As execvp(3): a slash means a path; else the first that can be run in PATH wins. Result: 0 or
 * errno. */
static int find(const char *name, char path[PATH_MAX])
{
	const char *at = getenv("PATH");
	int error = ENOENT;
	size_t n;

	if (!*name || strlen(name) >= PATH_MAX)
		return ENOENT;
	if (strchr(name, '/')) {
		strcpy(path, name);
		return runnable(path);
	}
	for (at = at ? at : "/bin:/usr/bin"; at; at = at[n] ? at + n + 1 : NULL) {
		int tried;

		n = strcspn(at, ":");
		if (snprintf(path, PATH_MAX, "%.*s%s%s", (int)n, at, n ? "/" : "", name) >=
			PATH_MAX)
			continue;
		tried = runnable(path);
		if (!tried)
			return 0;
		/* A folder that can't be looked into may as well not have it. */
		if (tried == EACCES && !access(path, F_OK))
			error = EACCES;
	}
	return error;
}

int umpa_program_refused(const char *name, int error)
{
	char path[PATH_MAX];

	if (error != ENOENT && error != ENOTDIR)
		return umpa_refuse(EXIT_CANNOT_RUN, "%s: can't be run: %s", name, strerror(error));
	if (find(name, path))
		return umpa_refuse(EXIT_NOT_FOUND, "%s: program not found", name);
	return umpa_refuse(EXIT_CANNOT_RUN, "%s: can't be run: its interpreter is missing", name);
}

static int has_interpreter(int fd, const ElfW(Ehdr) * head)
{
	ElfW(Phdr) p[NHEADERS_MOST];
	size_t n = head->e_phnum < NHEADERS_MOST ? head->e_phnum : NHEADERS_MOST, i;

	if (head->e_phentsize != sizeof(p[0]) ||
		pread(fd, p, n * sizeof(p[0]), (off_t)head->e_phoff) != (ssize_t)(n * sizeof(p[0])))
		return 1;
	for (i = 0; i < n; i++)
		if (p[i].p_type == PT_INTERP)
			return 1;
	return 0;
}

/* Why the library has no effect in the program, or NULL. A script's interpreter is not looked at.
 */
static const char *obstacle(int fd)
{
	ElfW(Ehdr) head;
	struct stat st;

	if (!fstat(fd, &st) && (st.st_mode & (S_ISUID | S_ISGID)) && st.st_uid != geteuid())
		return "it is set-user-ID or set-group-ID";
	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
		memcmp(head.e_ident, ELFMAG, SELFMAG))
		return NULL;
	if (head.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
		return "it is of another word size than this umpa";
	return has_interpreter(fd, &head) ? NULL : "it is statically linked";
}

int umpa_program_check(const char *name)
{
	char path[PATH_MAX];
	const char *why;
	int fd, error = find(name, path);

	if (error)
		return umpa_program_refused(name, error);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	why = obstacle(fd);
	if (why)
		umpa_say("%s runs without umpa: %s", name, why);
	close(fd);
	return 0;
}
