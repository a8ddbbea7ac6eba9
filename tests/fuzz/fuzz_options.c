/*
 * Bytes are the options' text: as they are up to 127, above that a piece of text that has a
 * meaning, so that names and values come about by chance. Compared with a slow parser.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/options_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static const char *const pieces[] = {
#define UMPA_OPTION(name, type, text, help) #name "=",
#include "core/options.def"
#undef UMPA_OPTION
	",", "auto", "uffd", "plain", "K", "T", "g", "9223372036854775807", "8388608T", "1024",
	"18446744073709551616", "00"};

static void append(char *text, size_t room, const char *piece)
{
	strncat(text, piece, room - strlen(text) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char text[512] = "";
	const char *wrong;

	for (size_t i = 0; i < n; i++) {
		char byte[2] = {(char)bytes[i], 0};

		append(text, sizeof(text),
			bytes[i] < 128 ? byte
				       : pieces[bytes[i] % (sizeof(pieces) / sizeof(pieces[0]))]);
	}
	wrong = options_model_compare(text);
	if (wrong) {
		fprintf(stderr, "\"%s\": %s\n", text, wrong);
		abort();
	}
	return 0;
}
