# make install: libraries, headers, program, man pages, pkg-config and CMake package. Both package
# files find the rest from their own place, so an installed tree can be moved.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/umpa)

install(TARGETS umpa umpa_static EXPORT umpaTargets
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
	ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(target umpa-preload umpa-program)
	if(TARGET ${target})
		install(TARGETS ${target}
			LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
			RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
	endif()
endforeach()
install(DIRECTORY include/umpa DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
	FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
install(DIRECTORY bench/plot DESTINATION ${CMAKE_INSTALL_DATADIR}/umpa
	FILES_MATCHING PATTERN "*.gp")
install(DIRECTORY bench/programs DESTINATION ${CMAKE_INSTALL_DATADIR}/umpa)
# man(1) finds a function's page by its file's name: those that a page names lead to it.
foreach(page umpa umpa_vmm)
	set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS man/${page}.3)
	file(STRINGS man/${page}.3 lines REGEX "^\\.Nm [a-z]")
	foreach(line ${lines})
		string(REGEX REPLACE "^\\.Nm ([a-z_]+).*" "\\1" name ${line})
		file(WRITE ${PROJECT_BINARY_DIR}/man/${name}.3 ".so man3/${page}.3\n")
		install(FILES ${PROJECT_BINARY_DIR}/man/${name}.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
	endforeach()
endforeach()
foreach(section 1 3 5 7)
	file(GLOB pages CONFIGURE_DEPENDS man/*.${section})
	if(pages)
		install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
	endif()
endforeach()

file(RELATIVE_PATH pcfiledir_to_prefix
	${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
# The folders may be absolute, as some distributions have them.
file(RELATIVE_PATH pcfiledir_to_include
	${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
configure_file(umpa.pc.in umpa.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/umpa.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(EXPORT umpaTargets NAMESPACE umpa:: DESTINATION ${package_dir})
configure_package_config_file(cmake/umpaConfig.cmake.in umpaConfig.cmake
	INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(umpaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/umpaConfig.cmake ${PROJECT_BINARY_DIR}/umpaConfigVersion.cmake
	DESTINATION ${package_dir})
