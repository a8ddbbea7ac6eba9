# The tests, as ctest runs them. A kind of test is a folder of tests/ and a label; programs are built
# to tests/KIND/NAME in the build folder. Exit status 77 is a skip. How long a test may take is for
# whoever runs ctest to say (--timeout): a soak gives them hours.

# What takes long begins first, so that at the end no processor waits.
set(COST_preload 100)
set(COST_fuzz 20)
set(COST_real 10)
set(COST_cli 5)

set(test_environment UMPA_BUILD=${PROJECT_BINARY_DIR} UMPA_SOURCE=${PROJECT_SOURCE_DIR})
set(run_test)

# umpa_test(LABEL NAME command...)
function(umpa_test label name)
	if(NOT UMPA_KERNEL_TESTS AND NOT label MATCHES "unit|fuzz")
		return()
	endif()
	add_test(NAME ${label}/${name} COMMAND ${run_test} ${ARGN})
	set_tests_properties(${label}/${name} PROPERTIES LABELS ${label}
		SKIP_RETURN_CODE 77 ENVIRONMENT "${test_environment}")
	if(COST_${label})
		set_tests_properties(${label}/${name} PROPERTIES COST ${COST_${label}})
	endif()
endfunction()

# umpa_program(KIND SOURCE library...): sets ${name} and ${program} for the caller.
function(umpa_program kind source)
	get_filename_component(name ${source} NAME_WE)
	set(program ${kind}-${name})
	if(UMPA_KERNEL_TESTS OR kind MATCHES "unit|fuzz")
		add_executable(${program} ${source})
	else()
		add_library(${program} OBJECT ${source})
	endif()
	set_target_properties(${program} PROPERTIES OUTPUT_NAME ${name}
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/${kind})
	target_include_directories(${program} PRIVATE
		${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/tests/support)
	target_link_libraries(${program} PRIVATE ${ARGN})
	set(name ${name} PARENT_SCOPE)
	set(program ${program} PARENT_SCOPE)
endfunction()

glob_sources(support_sources tests/support)
file(GLOB fake_support CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/support/fake_*.c)
set(real_support ${support_sources})
list(REMOVE_ITEM real_support ${fake_support})

# --- on the fake OS, everything but the kernel's verbs and movers, with debug checks -----------

# umpa_fake(NAME SOURCES option...): what programs on the fake OS link with.
function(umpa_fake name sources)
	add_library(${name} STATIC ${sources})
	set_target_properties(${name} PROPERTIES
		ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
	target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
	target_compile_definitions(${name} PUBLIC UMPA_DEBUG=1)
	target_compile_options(${name} PUBLIC ${ARGN})
	target_link_options(${name} PUBLIC ${ARGN})
endfunction()

if(UMPA_SANITIZE)
	set(sanitize -fsanitize=${UMPA_SANITIZE} -fno-sanitize-recover=all
		-fno-omit-frame-pointer)
endif()
if(UMPA_SANITIZE STREQUAL "thread")
	# The thread sanitizer stops where the kernel spreads addresses wider than it expects.
	find_program(SETARCH setarch)
	if(SETARCH)
		execute_process(COMMAND ${SETARCH} -R true RESULT_VARIABLE refused ERROR_QUIET)
		if(NOT refused)
			set(run_test ${SETARCH} -R)
		endif()
	endif()
	# Huge pages behind its shadow: else every page of it is a fault.
	list(APPEND test_environment TSAN_OPTIONS=no_huge_pages_for_shadow=0)
endif()

umpa_fake(umpa_fake "${portable_sources};${support_sources}" ${sanitize})
file(GLOB unit_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/unit/test_*.c)
file(GLOB real_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/real/test_*.c)
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
	list(FILTER unit_tests EXCLUDE REGEX "/test_vmm[^/]*$")
	list(FILTER real_tests EXCLUDE REGEX "/test_vmm[^/]*$")
endif()
foreach(source ${unit_tests})
	if(UMPA_SANITIZE STREQUAL "thread")
		# Where no thread is started, the thread sanitizer can find nothing, in ten times the time.
		file(STRINGS ${source} threaded REGEX "pthread|fake_threads|together")
		if(NOT threaded)
			continue()
		endif()
	endif()
	umpa_program(unit ${source} umpa_fake)
	umpa_test(unit ${name} $<TARGET_FILE:${program}>)
endforeach()

if(UMPA_SANITIZE MATCHES "address" AND CMAKE_C_COMPILER_ID MATCHES "Clang")
	file(GLOB fuzzers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_*.c)
	# Compiled once more, to tell the fuzzer which way they went: only what it leads bytes to.
	glob_sources(fuzzed_sources src/base src/va src/frame)
	list(APPEND fuzzed_sources ${PROJECT_SOURCE_DIR}/src/core/options.c)
	foreach(model extents shelf options)
		list(APPEND fuzzed_sources ${PROJECT_SOURCE_DIR}/tests/support/${model}_model.c)
	endforeach()
	if(fuzzers)
		umpa_fake(umpa_fuzz "${fuzzed_sources}" ${sanitize} -fsanitize=fuzzer-no-link)
		# All of umpa is below the mmap family: the rest is the unit tests'.
		glob_sources(mmap_sources src/mm)
		list(APPEND mmap_sources ${PROJECT_SOURCE_DIR}/tests/support/fake_mmap.c
			${PROJECT_SOURCE_DIR}/tests/support/mmap_model.c)
		umpa_fake(umpa_fuzz_mmap "${mmap_sources}" ${sanitize} -fsanitize=fuzzer-no-link)
		target_link_libraries(umpa_fuzz_mmap PUBLIC umpa_fake)
	endif()
	# A run is many calls, each on pages by the hundred: few are made, of full length at once.
	set(nruns_of_fuzz_mmap 200)
	foreach(source ${fuzzers})
		get_filename_component(name ${source} NAME_WE)
		set(nruns 10000)
		set(lengths)
		set(library umpa_fuzz)
		if(nruns_of_${name})
			set(nruns ${nruns_of_${name}})
			set(lengths -len_control=0 -max_len=400)
			set(library umpa_${name})
		endif()
		umpa_program(fuzz ${source} ${library})
		target_link_options(${program} PRIVATE -fsanitize=fuzzer)
		# New inputs go to the build folder; those of the source tree are read only.
		set(found ${PROJECT_BINARY_DIR}/tests/fuzz/found/${name})
		file(MAKE_DIRECTORY ${found})
		set(corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
		if(NOT IS_DIRECTORY ${corpus})
			set(corpus)
		endif()
		# Its own exit status for a finding is 77, which is a skip here.
		umpa_test(fuzz ${name} $<TARGET_FILE:${program}> -runs=${nruns} ${lengths} -seed=1 -print_final_stats=1
			-error_exitcode=1 -artifact_prefix=${PROJECT_BINARY_DIR}/tests/fuzz/ ${found} ${corpus})
	endforeach()
endif()
if(UMPA_SANITIZE)
	return()
endif()

# --- on the real kernel ---------------------------------------------------------------------

add_library(umpa_test_support STATIC ${real_support})
set_target_properties(umpa_test_support PROPERTIES
	EXCLUDE_FROM_ALL ON # where nothing is linked with it: its files are the fake OS's too
	ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)

file(GLOB contract_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/contract/*.c)
foreach(source ${contract_tests})
	umpa_program(contract ${source} umpa_test_support umpa_static)
	umpa_test(real ${name} $<TARGET_FILE:${program}>)
endforeach()
foreach(source ${real_tests})
	umpa_program(real ${source} umpa_test_support umpa_static)
	umpa_test(real ${name} $<TARGET_FILE:${program}>)
endforeach()

# One program a misuse, with the shared library; those named malloc_* know nothing of umpa and run
# with it preloaded.
file(GLOB misuses CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/misuse/*.c)
if(NOT UMPA_KERNEL_TESTS)
	set(misuses) # compiled without warnings, so for nothing
endif()
foreach(source ${misuses})
	umpa_program(misuse ${source} umpa)
	target_compile_options(${program} PRIVATE -w) # compilers warn of some, rightly
	set(preload)
	if(name MATCHES "^malloc_")
		target_compile_options(${program} PRIVATE ${no_builtin})
		set(preload ${PROJECT_BINARY_DIR}/libumpa-preload.so)
	endif()
	umpa_test(misuse ${name} ${PROJECT_SOURCE_DIR}/tests/misuse/run
		$<TARGET_FILE:${program}> ${source} ${preload})
endforeach()

# --- the examples ---------------------------------------------------------------------------

foreach(name jemalloc jemalloc_forks mimalloc dlmalloc vmm_barrier vmm_paging vmm_scaling vmm_snapshot
		vmm_threads)
	umpa_test(examples ${name} sh ${PROJECT_SOURCE_DIR}/tests/examples/run ${name})
endforeach()

# --- scripts --------------------------------------------------------------------------------

# Programs the scripts run: they know nothing of umpa, and their mallocs are made as written.
file(GLOB helpers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/preload/*.c)
foreach(source ${helpers})
	get_filename_component(name ${source} NAME_WE)
	if(name MATCHES "^lib")
		add_library(preload-${name} MODULE ${source})
		set_target_properties(preload-${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
			LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/preload)
		target_compile_options(preload-${name} PRIVATE -fno-builtin)
	else()
		umpa_program(preload ${source} m)
		target_compile_options(${program} PRIVATE -fno-builtin)
		target_link_options(${program} PRIVATE -rdynamic)
		if(name STREQUAL "mmap" AND UMPA_KERNEL_TESTS)
			target_sources(${program} PRIVATE
				${PROJECT_SOURCE_DIR}/tests/support/mmap_model.c)
		endif()
	endif()
endforeach()

foreach(kind preload cli install)
	file(GLOB scripts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${kind}/*.sh)
	foreach(script ${scripts})
		get_filename_component(name ${script} NAME_WE)
		umpa_test(${kind} ${name} sh ${script})
	endforeach()
endforeach()
