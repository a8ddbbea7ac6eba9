/*
 * prctl(): a program that gives up privileges for good is about to confine itself, and from then on
 * umpa keeps to the calls that its filter will know (os.h). A filter set by other calls, or before
 * the program was executed, is not noticed.
 */
#include <stdarg.h>
#include <sys/prctl.h>

#include "mm/answer.h"
#include "os/os.h"
#include "shim/vfork.h"

static int confines(int option)
{
	return option == PR_SET_NO_NEW_PRIVS || option == PR_SET_SECCOMP;
}

/* All of prctl's calls have five words, whatever they need of them. */
public_api int prctl(int option, ...)
{
	long arg[4];
	va_list args;

	va_start(args, option);
	for (int i = 0; i < 4; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (confines(option) && !umpa_has_parents_memory())
		umpa_os_confine();
	return (int)umpa_answer_number(umpa_os_prctl(option, arg[0], arg[1], arg[2], arg[3]));
}
