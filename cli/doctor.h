/*
 * What `umpa doctor` finds: a list of findings, each with its state, what it means for umpa and the
 * command that changes it.
 */
#ifndef UMPA_CLI_DOCTOR_H
#define UMPA_CLI_DOCTOR_H

#include "base/compiler.h"
#include "rows.h"

enum umpa_state {
	STATE_OK,
	STATE_NOTE,    /* worth knowing; umpa does here what it can do */
	STATE_PROBLEM, /* umpa does less here than it could */
};

struct umpa_findings {
	struct umpa_rows rows;
	int nproblems;
	char mover[16]; /* the one in use */
};

/* Adds a finding. why and fix may be NULL; all texts are copied. fix is a command, or several. */
void umpa_finding(struct umpa_findings *f, enum umpa_state state, const char *check,
	const char *value, const char *why, const char *fix);

/* umpa's own library: is it there, does it load. */
void umpa_find_library(struct umpa_findings *f);

/* The mover in use, and each mover's trial, on a scratch window. */
void umpa_find_movers(struct umpa_findings *f);

/* Kernel settings and limits. */
void umpa_find_system(struct umpa_findings *f);

/* Guest mode, for functions with page tables of their own (umpa/vmm.h). */
void umpa_find_bare_metal(struct umpa_findings *f);

/* Other allocators that are installed here. */
void umpa_find_peers(struct umpa_findings *f);

#endif
