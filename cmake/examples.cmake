# The examples, to examples/ in the build folder: those of jemalloc and mimalloc where these are installed;
# those of dlmalloc if asked for, by `ninja dlmalloc`, which fetches it; those of guest mode on x86-64.
set(example_dir ${PROJECT_BINARY_DIR}/examples)

# umpa_example(NAME SOURCE library...)
function(umpa_example name source)
	add_executable(example-${name} ${source} ${PROJECT_SOURCE_DIR}/examples/queues.c)
	set_target_properties(example-${name} PROPERTIES OUTPUT_NAME ${name}
		RUNTIME_OUTPUT_DIRECTORY ${example_dir})
	target_link_libraries(example-${name} PRIVATE ${ARGN})
endfunction()

# umpa_guest_example(NAME): functions in guest mode.
function(umpa_guest_example name)
	add_executable(example-vmm_${name} ${PROJECT_SOURCE_DIR}/examples/vmm/${name}.c)
	set_target_properties(example-vmm_${name} PROPERTIES OUTPUT_NAME vmm_${name}
		RUNTIME_OUTPUT_DIRECTORY ${example_dir})
	target_compile_options(example-vmm_${name} PRIVATE -mgeneral-regs-only)
	target_link_libraries(example-vmm_${name} PRIVATE umpa_static)
endfunction()

# umpa_preloadable(NAME SOURCE library...): a library to preload.
function(umpa_preloadable name source)
	add_library(${name}-preload SHARED ${PROJECT_SOURCE_DIR}/examples/${source})
	set_target_properties(${name}-preload PROPERTIES OUTPUT_NAME ${name}
		LIBRARY_OUTPUT_DIRECTORY ${example_dir})
	target_link_libraries(${name}-preload PRIVATE ${ARGN})
endfunction()

find_path(JEMALLOC_INCLUDE jemalloc/jemalloc.h)
find_library(JEMALLOC jemalloc)
if(JEMALLOC AND JEMALLOC_INCLUDE)
	umpa_example(jemalloc ${PROJECT_SOURCE_DIR}/examples/jemalloc.c umpa ${JEMALLOC})
	umpa_example(jemalloc_forks ${PROJECT_SOURCE_DIR}/tests/examples/jemalloc_forks.c umpa ${JEMALLOC})
	umpa_preloadable(jemalloc_hooks libjemalloc_hooks.c umpa ${JEMALLOC})
endif()

find_path(MIMALLOC_INCLUDE mimalloc.h)
find_library(MIMALLOC mimalloc)
if(MIMALLOC AND MIMALLOC_INCLUDE)
	umpa_example(mimalloc ${PROJECT_SOURCE_DIR}/examples/mimalloc.c umpa ${MIMALLOC})
endif()

set(dlmalloc_dir ${PROJECT_BINARY_DIR}/dlmalloc)
add_custom_command(OUTPUT ${dlmalloc_dir}/malloc.c
	COMMAND ${PROJECT_SOURCE_DIR}/scripts/fetch-dlmalloc ${dlmalloc_dir}
	DEPENDS ${PROJECT_SOURCE_DIR}/scripts/fetch-dlmalloc)
add_custom_target(dlmalloc)
if(TARGET jemalloc_hooks-preload)
	add_dependencies(dlmalloc jemalloc_hooks-preload)
endif()

# umpa_dlmalloc(TARGET): built if asked for, with dlmalloc's own warnings left to its authors.
function(umpa_dlmalloc target)
	set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
	target_sources(${target} PRIVATE ${dlmalloc_dir}/malloc.c)
	set_source_files_properties(${dlmalloc_dir}/malloc.c PROPERTIES HEADER_FILE_ONLY ON)
	target_include_directories(${target} PRIVATE ${dlmalloc_dir})
	target_compile_options(${target} PRIVATE -w ${no_builtin})
	add_dependencies(dlmalloc ${target})
endfunction()

umpa_example(dlmalloc ${PROJECT_SOURCE_DIR}/examples/dlmalloc.c umpa)
umpa_dlmalloc(example-dlmalloc)
umpa_preloadable(dlmalloc libdlmalloc.c umpa)
umpa_dlmalloc(dlmalloc-preload)
umpa_preloadable(dlmalloc-kernel libdlmalloc.c)
umpa_dlmalloc(dlmalloc-kernel-preload)
target_compile_definitions(dlmalloc-kernel-preload PRIVATE DLMALLOC_OF_KERNEL)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
	foreach(name barrier paging scaling snapshot threads)
		umpa_guest_example(${name})
	endforeach()
endif()
