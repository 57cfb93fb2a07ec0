# find_package(qrt) gives qrt::qrt (shared) and qrt::static; pkg-config: qrt.
include(CMakePackageConfigHelpers)

install(TARGETS qrt EXPORT qrt-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT qrt
  NAMELINK_COMPONENT qrt)
install(TARGETS qrt_static EXPORT qrt-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT qrt)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/include/qrt
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT qrt)

set(qrt_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/qrt)
install(EXPORT qrt-targets NAMESPACE qrt::
  DESTINATION ${qrt_cmake_dir} COMPONENT qrt)
configure_package_config_file(qrt-config.cmake.in qrt-config.cmake
  INSTALL_DESTINATION ${qrt_cmake_dir})
write_basic_package_version_file(qrt-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/qrt-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/qrt-config-version.cmake
  DESTINATION ${qrt_cmake_dir} COMPONENT qrt)

file(RELATIVE_PATH qrt_pc_prefix
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" qrt_pc_prefix "${qrt_pc_prefix}")
configure_file(qrt.pc.in qrt.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/qrt.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT qrt)
