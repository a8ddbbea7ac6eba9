#include "rows.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "json.h"

struct umpa_cell {
	char *text; /* as the table shows it, NULL if empty */
	char *json; /* as JSON shows it if that is another text, unquoted */
};

void umpa_rows_fini(struct umpa_rows *t)
{
	size_t i;

	for (i = 0; i < t->ncells; i++) {
		free(t->cells[i].text);
		free(t->cells[i].json);
	}
	free(t->cells);
	t->cells = NULL;
	t->ncells = t->room = 0;
}

static void add(struct umpa_rows *t, char *text, char *json)
{
	if (t->ncells == t->room) {
		struct umpa_cell *longer;

		t->room = t->room ? 2 * t->room : 32;
		longer = umpa_take(t->room * sizeof(*longer));
		if (t->ncells)
			memcpy(longer, t->cells, t->ncells * sizeof(*longer));
		free(t->cells);
		t->cells = longer;
	}
	t->cells[t->ncells++] = (struct umpa_cell){text, json};
}

void umpa_rows_text(struct umpa_rows *t, const char *text)
{
	add(t, text ? umpa_text("%s", text) : NULL, NULL);
}

void umpa_rows_number(struct umpa_rows *t, double value, int decimals)
{
	if (isfinite(value))
		add(t, umpa_text("%.*f", decimals, value), umpa_text("%.15g", value));
	else
		add(t, NULL, NULL);
}

const char *umpa_rows_cell(const struct umpa_rows *t, size_t row, size_t column)
{
	return t->cells[row * t->ncolumns + column].text;
}

/* Places on the screen: one for each UTF-8 character. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; text && *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static size_t column_width(const struct umpa_rows *t, size_t column)
{
	size_t width = width_of(t->columns[column].title), i, n;

	for (i = column; i < t->ncells; i += t->ncolumns) {
		n = width_of(t->cells[i].text);
		width = n > width ? n : width;
	}
	return width;
}

/* Blanks are owed until something follows them, so that no line ends in one. */
static size_t print_cell(FILE *out, const char *text, size_t width, int right, size_t owed)
{
	size_t n = width_of(text);

	if (right)
		owed += width - n;
	if (!n)
		return owed + (right ? 0 : width);
	fprintf(out, "%*s%s", (int)owed, "", text);
	return right ? 0 : width - n;
}

static void print_row(const struct umpa_rows *t, FILE *out, const size_t *width, size_t first)
{
	size_t owed = 0, i;

	for (i = 0; i < t->ncolumns; i++) {
		const struct umpa_column *c = &t->columns[i];

		if (!c->title)
			continue;
		owed = print_cell(out, first == SIZE_MAX ? c->title : t->cells[first + i].text,
			width[i], c->right, owed);
		owed += 2;
	}
	fputc('\n', out);
}

void umpa_rows_print(const struct umpa_rows *t, FILE *out)
{
	size_t *width = umpa_take(t->ncolumns * sizeof(*width)), i;

	for (i = 0; i < t->ncolumns; i++)
		width[i] = column_width(t, i);
	print_row(t, out, width, SIZE_MAX);
	for (i = 0; i + t->ncolumns <= t->ncells; i += t->ncolumns)
		print_row(t, out, width, i);
	free(width);
}

static void json_row(const struct umpa_rows *t, FILE *out, size_t first)
{
	const char *between = "{";
	size_t i;

	for (i = 0; i < t->ncolumns; i++) {
		const struct umpa_cell *cell = &t->cells[first + i];

		if (!t->columns[i].key)
			continue;
		fputs(between, out);
		umpa_json_string(out, t->columns[i].key);
		fputs(": ", out);
		if (cell->json)
			fputs(cell->json, out);
		else
			umpa_json_string(out, cell->text);
		between = ", ";
	}
	fputc('}', out);
}

void umpa_rows_json(const struct umpa_rows *t, FILE *out, int indent)
{
	size_t i;

	fputc('[', out);
	for (i = 0; i + t->ncolumns <= t->ncells; i += t->ncolumns) {
		fprintf(out, "%s\n%*s", i ? "," : "", indent + 2, "");
		json_row(t, out, i);
	}
	fprintf(out, "\n%*s]", indent, "");
}
