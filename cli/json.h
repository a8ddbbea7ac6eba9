/* JSON texts. */
#ifndef UMPA_CLI_JSON_H
#define UMPA_CLI_JSON_H

#include <stdio.h>

/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. NULL is null. */
void umpa_json_string(FILE *out, const char *text);

/* An array of strings; ends with NULL. */
void umpa_json_strings(FILE *out, char *const *texts);

#endif
