/*
 * The counters at the program's end (option stats). Programs may have closed standard error by
 * then, and something else may have its number: a duplicate is kept, and written to only if it
 * still leads to what standard error was at the start. Touches nothing while the option is off.
 * Called by the library's constructor and destructor alone.
 */
#ifndef UMPA_SHIM_REPORT_H
#define UMPA_SHIM_REPORT_H

void umpa_report_init(void);
void umpa_report_fini(void);

#endif
