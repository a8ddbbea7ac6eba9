#include "grid.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

void umpa_grid_init(struct umpa_grid *t)
{
	memset(t, 0, sizeof(*t));
}

void umpa_grid_row(struct umpa_grid *t)
{
	if (t->nrows < GRID_ROWS)
		t->nrows++;
	t->at = 0;
}

static void add(struct umpa_grid *t, const char *text)
{
	char *cell;

	if (!t->nrows || t->at == GRID_COLUMNS)
		return;
	cell = t->cell[t->nrows - 1][t->at];
	snprintf(cell, GRID_CELL_NBYTES, "%s", text);
	if (t->width[t->at] < strlen(cell))
		t->width[t->at] = strlen(cell);
	if (++t->at > t->ncolumns)
		t->ncolumns = t->at;
}

void umpa_grid_text(struct umpa_grid *t, const char *format, ...)
{
	char text[GRID_CELL_NBYTES];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	add(t, text);
}

void umpa_grid_number(struct umpa_grid *t, double value, const char *suffix)
{
	double magnitude = fabs(value);
	int ndigits = magnitude >= 99.95 ? 0 : magnitude >= 9.995 ? 1 : magnitude >= 0.9995 ? 2 : 3;

	if (isnan(value))
		add(t, "-");
	else
		umpa_grid_text(t, "%.*f%s", ndigits, value, suffix);
}

void umpa_grid_count(struct umpa_grid *t, double value)
{
	if (isnan(value))
		add(t, "-");
	else
		umpa_grid_text(t, "%.0f", value);
}

void umpa_grid_nbytes(struct umpa_grid *t, uint64_t nbytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t u = 0;

	while (u + 1 < array_len(units) && nbytes && nbytes % 1024 == 0) {
		nbytes /= 1024;
		u++;
	}
	umpa_grid_text(t, "%llu %s", (unsigned long long)nbytes, units[u]);
}

static void print_row(const struct umpa_grid *t, size_t row, FILE *out, int markdown)
{
	size_t i;

	for (i = 0; i < t->ncolumns; i++) {
		const char *text = t->cell[row][i];
		int width = (int)t->width[i];

		if (markdown)
			fprintf(out, "| %s ", text);
		else
			fprintf(out, i ? "  %*s" : "  %-*s", width, text);
	}
	fputs(markdown ? "|\n" : "\n", out);
}

static void print_rule(const struct umpa_grid *t, FILE *out)
{
	size_t i;

	for (i = 0; i < t->ncolumns; i++)
		fputs(i ? "|---:" : "|---", out);
	fputs("|\n", out);
}

void umpa_grid_print(const struct umpa_grid *t, FILE *out, int markdown)
{
	size_t row;

	for (row = 0; row < t->nrows; row++) {
		print_row(t, row, out, markdown);
		if (!row && markdown)
			print_rule(t, out);
	}
}
