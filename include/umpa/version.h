/* The version of these headers. Until 1.0 any of it may change what functions mean. */
#ifndef UMPA_VERSION_H
#define UMPA_VERSION_H

#define UMPA_VERSION_MAJOR 0
#define UMPA_VERSION_MINOR 1
#define UMPA_VERSION_PATCH 0
#define UMPA_VERSION       "0.1.0"

#endif
