# The four products. Every object is position-independent and hidden by default, compiled once and
# shared by the three libraries.

# initial-exec: thread-local storage that never needs an allocation to be reached.
set(library_options -fvisibility=hidden -ftls-model=initial-exec)
# Symbolic: a program that is linked with libumpa.a and exports its functions has two copies of umpa in it
# under preload; each must call its own.
# Never unloaded: blocks, and what is registered with the system, would stay behind, and the next load would
# begin with a window of its own.
# Headers, constants and code in one segment, and an order of sections: few page faults at the start.
set(start_script ${PROJECT_SOURCE_DIR}/cmake/start.ld)
set(library_link_options -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete -Wl,--as-needed
	-Wl,-Bsymbolic-functions -Wl,-z,noseparate-code -Wl,-T,${start_script})

function(umpa_objects name)
	add_library(${name} OBJECT ${ARGN})
	set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
	target_compile_options(${name} PRIVATE ${library_options})
endfunction()

function(umpa_version_script target map)
	target_link_options(${target} PRIVATE -Wl,--version-script=${map})
	set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${map} ${start_script})
endfunction()

umpa_objects(umpa_core ${core_sources})

add_library(umpa SHARED $<TARGET_OBJECTS:umpa_core>)
set_target_properties(umpa PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0 LINKER_LANGUAGE C)
target_link_options(umpa PRIVATE ${library_link_options})
umpa_version_script(umpa ${PROJECT_SOURCE_DIR}/cmake/libumpa.map)

add_library(umpa_static STATIC $<TARGET_OBJECTS:umpa_core>)
set_target_properties(umpa_static PROPERTIES OUTPUT_NAME umpa LINKER_LANGUAGE C)

foreach(library umpa umpa_static)
	# As find_package() names them, where this is a part of another project.
	add_library(umpa::${library} ALIAS ${library})
	target_include_directories(${library} INTERFACE
		$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
		$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()

if(heap_sources AND shim_sources)
	umpa_objects(umpa_heap ${heap_sources})
	umpa_objects(umpa_shim ${shim_sources})
	# In this order: what every process runs is in front.
	add_library(umpa-preload SHARED $<TARGET_OBJECTS:umpa_shim> $<TARGET_OBJECTS:umpa_heap>
		$<TARGET_OBJECTS:umpa_core>)
	set_target_properties(umpa-preload PROPERTIES LINKER_LANGUAGE C)
	# But C++'s operators and reallocarray() call whatever a program has put in the place of one of
	# them, or of realloc().
	target_link_options(umpa-preload PRIVATE ${library_link_options} -Wl,--dynamic-list-cpp-new
		-Wl,--dynamic-list=${PROJECT_SOURCE_DIR}/src/shim/replaceable.map)
	if(EXISTS ${PROJECT_SOURCE_DIR}/src/shim/exports.map)
		umpa_version_script(umpa-preload ${PROJECT_SOURCE_DIR}/src/shim/exports.map)
	endif()
endif()

glob_sources(program_sources cli bench)
if(program_sources)
	add_executable(umpa-program ${program_sources})
	set_target_properties(umpa-program PROPERTIES OUTPUT_NAME umpa)
	target_include_directories(umpa-program PRIVATE ${PROJECT_SOURCE_DIR})
	target_link_libraries(umpa-program PRIVATE umpa_static m)
	target_compile_definitions(umpa-program PRIVATE
		UMPA_LIBDIR="${CMAKE_INSTALL_FULL_LIBDIR}")
endif()
