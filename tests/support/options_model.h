/* The options' text, understood by other means than src/core/options.c: slowly, part by part. */
#ifndef UMPA_TESTS_OPTIONS_MODEL_H
#define UMPA_TESTS_OPTIONS_MODEL_H

#include "core/options.h"

/* Fills *o as umpa_options_parse() should. Result: how many parts are to be refused. */
int options_model_parse(struct umpa_options *o, const char *text);

/* Both on one text. NULL, or what differs. */
const char *options_model_compare(const char *text);

#endif
