/* Where libumpa-preload.so is, and the environment that makes a program run on it. */
#ifndef UMPA_CLI_PRELOAD_H
#define UMPA_CLI_PRELOAD_H

#include "base/compiler.h"

#define UMPA_PRELOAD_FILE "libumpa-preload.so"

/*
 * The library's path, malloc'ed: UMPA_PRELOAD from the environment; else beside this executable
 * (the build tree); else in a lib directory of the prefix this executable is installed in; else
 * where it was to be installed when this executable was built. NULL: *why is the reason, malloc'ed.
 */
char *umpa_preload_locate(char **why);

/* As umpa_preload_locate(), with the reason as a message. */
char *umpa_preload_find(void);

/*
 * Tries whether the loader accepts `library` (a path or a bare name) in LD_PRELOAD. NULL: it does;
 * else why not, malloc'ed, and *untried is 0, or the errno for which it could not be tried.
 */
char *umpa_preload_refusal(const char *library, int *untried);

/* 1 if the loader accepts it, else 0 after a message. */
int umpa_preload_loads(const char *library);

/*
 * A copy of this environment, malloc'ed whole, in which LD_PRELOAD has no umpa library and, unless
 * first is NULL, `first` ahead of what else is there; UMPA_OPTIONS is options unless that is NULL;
 * setting, "NAME=VALUE" or NULL, is added unless a variable of that name is there.
 */
char **umpa_preload_environment(const char *first, const char *options, const char *setting);
void umpa_preload_environment_free(char **envp);

#endif
