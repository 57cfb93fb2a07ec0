# qcc_embed_kernels(<target> FUNCTION <name> HEADER <file> FILES <file>...): a
# library that carries files which NVRTC compiles at run time. FUNCTION, which
# HEADER declares in qcc::cuda, returns them by the names they include each
# other by: their paths in the project.
set(qcc_kernel_sources_template ${CMAKE_CURRENT_LIST_DIR}/KernelSources.cpp.in)
function(qcc_embed_kernels target)
  cmake_parse_arguments(ARG "" "FUNCTION;HEADER" "FILES" ${ARGN})
  set(texts)
  set(entries)
  foreach(file IN LISTS ARG_FILES)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
      ${CMAKE_SOURCE_DIR}/${file})
    file(READ ${CMAKE_SOURCE_DIR}/${file} text)
    string(MAKE_C_IDENTIFIER ${file} name)
    # A literal may not be longer than 64 KiB; these files are shorter.
    string(APPEND texts "const char ${name}[] = R\"__qcc__(${text})__qcc__\";\n")
    string(APPEND entries "      {\"${file}\", ${name}},\n")
  endforeach()
  set(QCC_KERNEL_TEXTS "${texts}")
  set(QCC_KERNEL_ENTRIES "${entries}")
  set(QCC_KERNEL_FUNCTION ${ARG_FUNCTION})
  set(QCC_KERNEL_HEADER ${ARG_HEADER})
  configure_file(${qcc_kernel_sources_template} KernelSources.cpp @ONLY)
  add_library(${target} STATIC ${CMAKE_CURRENT_BINARY_DIR}/KernelSources.cpp)
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE qcc_options)
endfunction()
