/* A table of short texts, printed aligned or as Markdown. One thread; cells are cut to fit. */
#ifndef UMPA_BENCH_TABLE_H
#define UMPA_BENCH_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

#define TABLE_COLUMNS     12
#define TABLE_ROWS        64
#define TABLE_CELL_NBYTES 72

struct umpa_table {
	size_t nrows, ncolumns;
	size_t width[TABLE_COLUMNS];
	size_t at; /* the next cell of the last row */
	char cell[TABLE_ROWS][TABLE_COLUMNS][TABLE_CELL_NBYTES];
};

/* Empties the table. */
void umpa_table_init(struct umpa_table *t);

/* Begins a row; the first one is the head. */
void umpa_table_row(struct umpa_table *t);

/* Adds a cell to the row. */
void umpa_table_text(struct umpa_table *t, const char *format, ...) format_like(2, 3);

/* Three significant figures; "-" if it is not known. suffix may be "". */
void umpa_table_number(struct umpa_table *t, double value, const char *suffix);

/* A whole number; "-" if it is not known. */
void umpa_table_count(struct umpa_table *t, double value);

/* "64 KiB" and the like. */
void umpa_table_nbytes(struct umpa_table *t, uint64_t nbytes);

/* First column to the left, the others to the right. */
void umpa_table_print(const struct umpa_table *t, FILE *out, int markdown);

#endif
