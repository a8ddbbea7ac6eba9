/*
 * Kinds of bad weather: each breaks over the calling process for good, so it belongs in a forked
 * child. tests/real/test_weather.c says what must still work in each.
 */
#ifndef UMPA_TESTS_WEATHER_H
#define UMPA_TESTS_WEATHER_H

struct weather {
	/*
	 * Lets it break; late: umpa is in use already. Result: NULL, or why this can't be had here
	 * (a string constant).
	 */
	const char *(*arrange)(int late);
	/* After the work: what has gone wrong beside memory, or NULL. May be missing. */
	const char *(*look_back)(void);
	/* In the parent: puts the machine in order again. May be missing. */
	void (*clear_up)(void);
};

/* weather_limits.c */
extern const struct weather weather_as_small;     /* RLIMIT_AS: 192 MiB more; late: nothing more */
extern const struct weather weather_data_small;   /* RLIMIT_DATA: 64 MiB more; late: nothing more */
extern const struct weather weather_memlock_none; /* RLIMIT_MEMLOCK 0 */
extern const struct weather
	weather_memlock_small;                /* all future memory locked, at most 64 MiB of it */
extern const struct weather weather_mlockall; /* MCL_CURRENT | MCL_FUTURE */
extern const struct weather weather_mlock_onfault; /* the same with MCL_ONFAULT */
extern const struct weather weather_nofile_none;   /* RLIMIT_NOFILE allows no descriptor more */
extern const struct weather weather_maps_full;     /* vm.max_map_count reached, or nearly (early) */
extern const struct weather
	weather_strict_commit;                 /* overcommit_memory=2, little left; whole machine */
extern const struct weather weather_thp_never; /* no huge pages for this process */

/* RLIMIT_AS or RLIMIT_DATA (resource) nbytes above what is in use now. */
const char *weather_limit(int resource, unsigned long nbytes);

/* weather_refused.c: the kernel answers every such call with an error. */
extern const struct weather weather_uffd_eperm;
extern const struct weather weather_uffd_enosys;
extern const struct weather weather_move_ebusy;
extern const struct weather weather_move_eagain;
extern const struct weather weather_move_enomem;
extern const struct weather weather_mmap_enomem;
extern const struct weather weather_mprotect_enomem;
extern const struct weather weather_mremap_enomem;
extern const struct weather weather_munmap_enomem;
extern const struct weather weather_madvise_einval;
extern const struct weather weather_madvise_enomem;
extern const struct weather weather_all_enomem;

/* weather_taken.c */
extern const struct weather weather_fds_closed;
extern const struct weather
	weather_fds_reused; /* every number is another file; it must stay whole */
extern const struct weather weather_fds_reused_uffd; /* ... or a userfaultfd of the program's own */
extern const struct weather weather_fds_uffd_refused; /* closed, and no new userfaultfd either */
extern const struct weather weather_proc_unmounted;
extern const struct weather weather_root_empty; /* no file in sight: no /proc, /sys, /dev */

#endif
