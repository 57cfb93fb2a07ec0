# Wires the lit tests under tests/ into the build: target check-lit, and a ctest
# test of the name `lit`. Included from tests/CMakeLists.txt after the folders,
# so that the tools that exist by then are what the tests depend on.
if(NOT LLVM_EXTERNAL_LIT AND EXISTS ${LLVM_TOOLS_BINARY_DIR}/lit)
  set(LLVM_EXTERNAL_LIT ${LLVM_TOOLS_BINARY_DIR}/lit)
endif()

configure_lit_site_cfg(
  ${CMAKE_CURRENT_SOURCE_DIR}/lit.site.cfg.py.in
  ${CMAKE_CURRENT_BINARY_DIR}/lit.site.cfg.py
  MAIN_CONFIG ${CMAKE_CURRENT_SOURCE_DIR}/lit.cfg.py)

set(qcc_lit_tools)
foreach(tool qcc qcc-opt qcc-lsp-server qrt)
  if(TARGET ${tool})
    list(APPEND qcc_lit_tools ${tool})
  endif()
endforeach()

add_lit_testsuite(check-lit "Running the lit tests" ${CMAKE_CURRENT_BINARY_DIR}
  DEPENDS ${qcc_lit_tools})

# Options, such as -j2 or a file for results, go through $LIT_OPTS.
add_test(NAME lit COMMAND ${LLVM_EXTERNAL_LIT} -v ${CMAKE_CURRENT_BINARY_DIR})
set_tests_properties(lit PROPERTIES TIMEOUT 1200)
