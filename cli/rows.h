/*
 * Rows that can be printed as an aligned table for people or as JSON for programs: the same cells
 * both ways, so that they can't differ. Cells are added one after the other, row by row.
 */
#ifndef UMPA_CLI_ROWS_H
#define UMPA_CLI_ROWS_H

#include <stddef.h>
#include <stdio.h>

#include "base/compiler.h"

/* title NULL: the column is in the JSON only. key NULL: it is in the table only. */
struct umpa_column {
	const char *title;
	const char *key;
	int right; /* aligned to the right; the heading too */
};

struct umpa_cell;

struct umpa_rows {
	const struct umpa_column *columns;
	size_t ncolumns;
	struct umpa_cell *cells;
	size_t ncells, room;
};

#define ROWS_OF(columns)                                                                           \
	{                                                                                          \
		(columns), array_len(columns), NULL, 0, 0                                          \
	}

void umpa_rows_fini(struct umpa_rows *t);

/* text is copied. NULL: an empty cell, null in JSON. */
void umpa_rows_text(struct umpa_rows *t, const char *text);

/* A finite number, with so many decimals in the table and 6 more digits at most in JSON; anything
 * else is an empty cell. */
void umpa_rows_number(struct umpa_rows *t, double value, int decimals);

/* The text of a cell, NULL if it is empty. */
const char *umpa_rows_cell(const struct umpa_rows *t, size_t row, size_t column);

/* Headings and rows, two spaces between columns, nothing at the ends of lines. */
void umpa_rows_print(const struct umpa_rows *t, FILE *out);

/* An array of one object a row; no newline at its end. */
void umpa_rows_json(const struct umpa_rows *t, FILE *out, int indent);

#endif
