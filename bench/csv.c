#include "csv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "about.h"
#include "cli/cli.h"

/* All of it at the file's end, or nothing. Result: 0 or -errno. */
static int append(int fd, const char *text, size_t n)
{
	off_t end = lseek(fd, 0, SEEK_END);
	size_t done = 0;
	int error = 0;

	while (done < n && !error) {
		ssize_t put = write(fd, text + done, n - done);

		if (put > 0)
			done += (size_t)put;
		else if (!put || errno != EINTR)
			error = put ? -errno : -EIO;
	}
	if (error && ftruncate(fd, end))
		umpa_say("bench: the last line of the raw figures is not whole");
	return error;
}

/* The lines of the samples from `from` on, below a head line if asked for. */
static int append_samples(int fd, const struct umpa_samples *s, size_t from, int head)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	int error;

	if (!f)
		return -errno;
	umpa_samples_print(s, from, head, f);
	error = fclose(f) ? -ENOMEM : append(fd, text, n);
	free(text);
	return error;
}

/* As a new file, in place of the old one only when it is whole. Result: 0 or -errno. */
static int write_anew(struct umpa_csv *c, const struct umpa_samples *s)
{
	char *path = umpa_text("%s.new", c->path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), error;

	error = fd < 0 ? -errno : append_samples(fd, &c->before, 0, 1);
	if (!error)
		error = append_samples(fd, s, 0, 0);
	if (!error && rename(path, c->path))
		error = -errno;
	if (error && fd >= 0) {
		close(fd);
		unlink(path);
	}
	free(path);
	if (error)
		return error;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = fd;
	c->stale = 0;
	return 0;
}

/* What the figures come from, behind what is there of earlier runs. */
static int keep_about(const struct umpa_csv *c)
{
	char *path = umpa_text("%.*s.txt", (int)(strlen(c->path) - strlen(".csv")), c->path);
	char *text = umpa_about_text();
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	int error = fd < 0 ? -errno : append(fd, text, strlen(text));

	if (error)
		umpa_say("bench: %s: %s", path, strerror(-error));
	if (fd >= 0)
		close(fd);
	free(text);
	free(path);
	return error;
}

int umpa_csv_open(struct umpa_csv *c, const char *dir, const char *name)
{
	int error = 0;

	*c = (struct umpa_csv){.fd = -1};
	snprintf(c->path, sizeof(c->path), "%s/%s.csv", dir, name);
	if (mkdir(dir, 0777) && errno != EEXIST)
		return umpa_refuse(-1, "bench: %s: %s", dir, strerror(errno));
	error = umpa_samples_load(&c->before, c->path);
	if (!error || error == -ENOENT)
		error = write_anew(c, &(struct umpa_samples){0});
	if (!error)
		return 0;
	umpa_samples_fini(&c->before);
	return umpa_refuse(-1, "bench: %s: %s", c->path, strerror(-error));
}

int umpa_csv_load(const char *dir, const char *name, struct umpa_samples *s)
{
	char path[PATH_MAX];
	int error;

	snprintf(path, sizeof(path), "%s/%s.csv", dir, name);
	error = umpa_samples_load(s, path);
	return error ? umpa_refuse(-1, "bench: %s: %s", path, strerror(-error)) : 0;
}

void umpa_csv_forget(struct umpa_csv *c, const char *test)
{
	size_t i, n = 0;

	for (i = 0; i < c->before.n; i++)
		if (strcmp(c->before.v[i].test, test) != 0)
			c->before.v[n++] = c->before.v[i];
	c->stale |= n != c->before.n;
	c->before.n = n;
}

void umpa_csv_keep(struct umpa_csv *c, const struct umpa_samples *s)
{
	int error;

	if (!c || c->fd < 0 || c->nkept == s->n)
		return;
	error = c->stale ? write_anew(c, s) : append_samples(c->fd, s, c->nkept, 0);
	if (!error) {
		if (!c->nkept && keep_about(c))
			c->unsaid = 1;
		c->nkept = s->n;
		return;
	}
	umpa_say("bench: %s: %s; what comes now is not kept", c->path, strerror(-error));
	close(c->fd);
	c->fd = -1;
}

int umpa_csv_close(struct umpa_csv *c)
{
	int whole = c->fd >= 0;

	if (whole)
		close(c->fd);
	if (!c->stale && !c->before.n && !c->nkept)
		unlink(c->path);
	umpa_samples_fini(&c->before);
	return whole && !c->unsaid ? 0 : -1;
}
