/* A table of short texts, printed aligned or as Markdown. One thread; cells are cut to fit. */
#ifndef UMPA_BENCH_GRID_H
#define UMPA_BENCH_GRID_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

#define GRID_COLUMNS     12
#define GRID_ROWS        64
#define GRID_CELL_NBYTES 72

struct umpa_grid {
	size_t nrows, ncolumns;
	size_t width[GRID_COLUMNS];
	size_t at; /* the next cell of the last row */
	char cell[GRID_ROWS][GRID_COLUMNS][GRID_CELL_NBYTES];
};

/* Empties the table. */
void umpa_grid_init(struct umpa_grid *t);

/* Begins a row; the first one is the head. */
void umpa_grid_row(struct umpa_grid *t);

/* Adds a cell to the row. */
void umpa_grid_text(struct umpa_grid *t, const char *format, ...) format_like(2, 3);

/* Three significant figures; "-" if it is not known. suffix may be "". */
void umpa_grid_number(struct umpa_grid *t, double value, const char *suffix);

/* A whole number; "-" if it is not known. */
void umpa_grid_count(struct umpa_grid *t, double value);

/* "64 KiB" and the like. */
void umpa_grid_nbytes(struct umpa_grid *t, uint64_t nbytes);

/* First column to the left, the others to the right. */
void umpa_grid_print(const struct umpa_grid *t, FILE *out, int markdown);

#endif
