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

/* What is read of a program's file. */
struct image {
	int fd;
	unsigned nheaders;
	ElfW(Phdr) header[NHEADERS_MOST];
};

static int read_at(const struct image *image, void *to, size_t nbytes, size_t at)
{
	return pread(image->fd, to, nbytes, (off_t)at) == (ssize_t)nbytes;
}

/* 1, or 0: it can't be told. */
static int read_headers(struct image *image, const ElfW(Ehdr) * head)
{
	size_t n = head->e_phnum < NHEADERS_MOST ? head->e_phnum : NHEADERS_MOST;

	image->nheaders = (unsigned)n;
	return head->e_phentsize == sizeof(image->header[0]) &&
	       read_at(image, image->header, n * sizeof(image->header[0]), head->e_phoff);
}

static const ElfW(Phdr) * header_of(const struct image *image, ElfW(Word) type)
{
	for (unsigned i = 0; i < image->nheaders; i++)
		if (image->header[i].p_type == type)
			return &image->header[i];
	return NULL;
}

/* Where in the file an address is, or 0. */
static size_t place_of(const struct image *image, ElfW(Addr) addr)
{
	for (unsigned i = 0; i < image->nheaders; i++) {
		const ElfW(Phdr) *p = &image->header[i];

		if (p->p_type == PT_LOAD && addr - p->p_vaddr < p->p_filesz)
			return addr - p->p_vaddr + p->p_offset;
	}
	return 0;
}

/* The next entry of a kind among the dynamic ones from number *i on. */
static int next_entry(const struct image *image, ElfW(Sxword) tag, size_t *i, ElfW(Dyn) * out)
{
	const ElfW(Phdr) *p = header_of(image, PT_DYNAMIC);

	while (p && (*i + 1) * sizeof(*out) <= p->p_filesz &&
		read_at(image, out, sizeof(*out), p->p_offset + *i * sizeof(*out))) {
		++*i;
		if (out->d_tag == tag)
			return 1;
	}
	return 0;
}

/* Their runtimes want to be the first library there is, and are their own malloc. */
static int is_sanitizer(const char *library)
{
	static const char *const names[] = {"libasan.so", "libtsan.so", "libhwasan.so",
		"libclang_rt.asan", "libclang_rt.tsan", "libclang_rt.hwasan"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(library, names[i], strlen(names[i])))
			return 1;
	return 0;
}

static int has_sanitizer(const struct image *image)
{
	size_t i = 0, texts;
	ElfW(Dyn) entry;

	if (!next_entry(image, DT_STRTAB, &i, &entry))
		return 0;
	texts = place_of(image, entry.d_un.d_ptr);
	for (i = 0; texts && next_entry(image, DT_NEEDED, &i, &entry);) {
		char library[24] = "";

		if (pread(image->fd, library, sizeof(library) - 1,
			    (off_t)(texts + entry.d_un.d_val)) > 0 &&
			is_sanitizer(library))
			return 1;
	}
	return 0;
}

/* Why the program runs without the library, or NULL. A script's interpreter is not looked at.
 * *unfit: it would not run with it. */
static const char *obstacle(int fd, int *unfit)
{
	struct image image = {.fd = fd};
	ElfW(Ehdr) head;
	struct stat st;

	*unfit = 0;
	if (!fstat(fd, &st) && (st.st_mode & (S_ISUID | S_ISGID)) && st.st_uid != geteuid())
		return "it is set-user-ID or set-group-ID";
	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
		memcmp(head.e_ident, ELFMAG, SELFMAG))
		return NULL;
	if (head.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
		return "it is of another word size than this umpa";
	if (!read_headers(&image, &head))
		return NULL;
	if (!header_of(&image, PT_INTERP))
		return "it is statically linked";
	*unfit = has_sanitizer(&image);
	return *unfit ? "it has the malloc of a sanitizer" : NULL;
}

int umpa_program_check(const char *name, int *unfit)
{
	char path[PATH_MAX];
	const char *why;
	int fd, error = find(name, path);

	*unfit = 0;
	if (error)
		return umpa_program_refused(name, error);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	why = obstacle(fd, unfit);
	if (why)
		umpa_say("%s runs without umpa: %s", name, why);
	close(fd);
	return 0;
}
