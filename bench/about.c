#include "about.h"

#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include <umpa/version.h>

#include "cli/cli.h"
#include "os/os.h"
#include "os/os_proc.h"

static void put_time(FILE *out)
{
	time_t now = time(NULL);
	char text[32];
	struct tm tm;

	if (gmtime_r(&now, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm))
		fprintf(out, "time: %s\n", text);
}

static void put_command(FILE *out)
{
	char text[4096];
	FILE *in = fopen("/proc/self/cmdline", "re");
	size_t n = in ? fread(text, 1, sizeof(text), in) : 0, i;

	if (in)
		fclose(in);
	if (!n)
		return;
	fputs("command: ", out);
	for (i = 0; i + 1 < n; i++)
		fputc(text[i] && text[i] != '\n' ? text[i] : ' ', out);
	fputc('\n', out);
}

static void put_system(FILE *out)
{
	struct utsname name;

	if (!uname(&name))
		fprintf(out, "system: %s %s, %s, glibc %s\n", name.sysname, name.release,
			name.machine, gnu_get_libc_version());
}

/* The first processor's name; the others mostly have the same. */
static void put_processors(FILE *out, unsigned ncpus)
{
	static const char key[] = "model name";
	FILE *in = fopen("/proc/cpuinfo", "re");
	char line[256], *colon = NULL;

	while (in && !colon && fgets(line, sizeof(line), in))
		if (!strncmp(line, key, sizeof(key) - 1))
			colon = strchr(line, ':');
	if (in)
		fclose(in);
	if (colon)
		colon[strcspn(colon, "\n")] = 0;
	fprintf(out, "processors: %u%s%s\n", ncpus, colon ? " of" : "", colon ? colon + 1 : "");
}

static void put_memory(FILE *out, size_t nbytes)
{
	static const char *const modes[] = {"never", "madvise", "always"};
	struct umpa_os_facts facts;

	fprintf(out, "memory: %zu MiB\n", nbytes >> 20);
	umpa_os_facts(&facts);
	if (facts.thp != UMPA_THP_UNKNOWN)
		fprintf(out, "huge pages: %s\n", modes[facts.thp]);
}

char *umpa_about_text(void)
{
	const char *options = getenv("UMPA_OPTIONS");
	struct umpa_os_machine machine;
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		exit(umpa_refuse(EXIT_UMPA, "out of memory"));
	umpa_os_machine(&machine);
	put_time(out);
	put_command(out);
	fprintf(out, "umpa: %s\n", UMPA_VERSION);
	put_system(out);
	put_processors(out, machine.ncpus);
	put_memory(out, machine.memory_nbytes);
	if (options && *options)
		fprintf(out, "UMPA_OPTIONS: %s\n", options);
	fputc('\n', out);
	if (fclose(out))
		exit(umpa_refuse(EXIT_UMPA, "out of memory"));
	return text;
}
