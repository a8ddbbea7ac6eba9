# Which sources make what. Only folders are named here, and the files with a special part.

# glob_sources(OUT folder...): the C and assembler files of the folders.
function(glob_sources out)
	set(found)
	foreach(folder ${ARGN})
		file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.c ${PROJECT_SOURCE_DIR}/${folder}/*.S)
		list(APPEND found ${files})
	endforeach()
	set(${out} ${found} PARENT_SCOPE)
endfunction()

glob_sources(core_sources src/base src/os src/va src/frame src/core
	src/rewire src/mm src/vmm src/diag src/policy)
# Guest mode is known of one kind of processor; elsewhere there are the functions that say so.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
	list(FILTER core_sources EXCLUDE REGEX "/src/vmm/elsewhere\\.c$")
else()
	list(FILTER core_sources EXCLUDE REGEX "/src/(os/os_kvm|vmm/(calls|entries|guest|held|hide|lead|left|machine|mirror|probe|run|sync|taken))\\.c$|\\.S$")
endif()
glob_sources(heap_sources src/heap)
glob_sources(shim_sources src/shim)

# What the fake OS in tests/support takes the place of.
set(real_os_sources ${core_sources})
list(FILTER real_os_sources INCLUDE REGEX "/src/os/(os_linux|os_resident|os_proc|os_kvm|mover_[^/]*)\\.c$")
set(portable_sources ${core_sources} ${heap_sources})
list(REMOVE_ITEM portable_sources ${real_os_sources})

# Files that define the malloc family or stand right below it: the compiler must not turn malloc and
# memset into calloc there, nor think it knows what free does.
set(no_builtin)
foreach(name malloc calloc realloc reallocarray free posix_memalign aligned_alloc memalign valloc
		pvalloc strdup)
	list(APPEND no_builtin -fno-builtin-${name})
endforeach()
if(heap_sources OR shim_sources)
	set_property(SOURCE ${heap_sources} ${shim_sources}
		APPEND PROPERTY COMPILE_OPTIONS ${no_builtin})
	# Its functions call each other as whoever replaces some of them expects, and exceptions pass.
	set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/shim/operators.c
		APPEND PROPERTY COMPILE_OPTIONS -fsemantic-interposition -fexceptions)
endif()

# What may run inside a trap: all but the general registers are those of what was interrupted.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
	foreach(name base/bitmap base/heights frame/shelf va/extents vmm/entries vmm/guest vmm/hide
			vmm/holding vmm/holding_resize vmm/inside vmm/peers vmm/stock vmm/tables)
		set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/${name}.c
			APPEND PROPERTY COMPILE_OPTIONS -mgeneral-regs-only)
	endforeach()
endif()
set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/vmm/guest.c
	APPEND PROPERTY COMPILE_OPTIONS -fno-stack-protector)
