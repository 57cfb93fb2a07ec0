# Finds MLIR 22 and sets the directory-scoped flags that code above it needs.
# (`find_package(MLIR 22)` is refused by the version file, which wants 22.1.)
find_package(MLIR REQUIRED CONFIG HINTS /usr/lib/llvm-22/lib/cmake/mlir)
if(QCC_STATIC_LLVM)
  set(LLVM_LINK_LLVM_DYLIB OFF)
  # LLVM's exported targets want zstd's shared library by name.
  if(TARGET zstd::libzstd_static AND NOT TARGET zstd::libzstd_shared)
    add_library(zstd::libzstd_shared INTERFACE IMPORTED)
    target_link_libraries(zstd::libzstd_shared INTERFACE zstd::libzstd_static)
  endif()
  # Debian's MLIR is made for LLVM's shared library: its static libraries ask
  # for that. Here they get LLVM's own static ones.
  llvm_map_components_to_libnames(qcc_llvm_libraries X86 Passes BitReader
    BitWriter DTLTO Linker IPO Object LTO Option AsmParser IRReader FrontendOpenMP
    DebugInfoDWARF TargetParser Core Support)
  foreach(target IN LISTS MLIR_EXPORTED_TARGETS)
    get_target_property(libraries ${target} INTERFACE_LINK_LIBRARIES)
    if(libraries AND "LLVM" IN_LIST libraries)
      list(REMOVE_ITEM libraries LLVM)
      set_target_properties(${target} PROPERTIES INTERFACE_LINK_LIBRARIES
        "${libraries};${qcc_llvm_libraries}")
    endif()
  endforeach()
  # lld begins by initializing every target of LLVM. All but the CPU's, which
  # would be most of the tools' size, are empty functions.
  set(qcc_no_targets)
  foreach(target IN LISTS LLVM_TARGETS_TO_BUILD)
    if(NOT target STREQUAL X86)
      foreach(part TargetInfo Target TargetMC AsmPrinter AsmParser)
        string(APPEND qcc_no_targets
          "void LLVMInitialize${target}${part}(void) {}\n")
      endforeach()
    endif()
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/no_targets.c
    CONTENT "${qcc_no_targets}")
  add_library(qcc_no_targets STATIC ${CMAKE_BINARY_DIR}/no_targets.c)
  list(APPEND qcc_llvm_libraries qcc_no_targets)
endif()
if(NOT LLVM_VERSION_MAJOR EQUAL 22)
  message(FATAL_ERROR "qcc needs MLIR 22, found ${LLVM_PACKAGE_VERSION}")
endif()
set(LLVM_RUNTIME_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/bin)
set(LLVM_LIBRARY_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/lib)
set(MLIR_BINARY_DIR ${CMAKE_BINARY_DIR})
if(NOT QCC_STATIC_LLVM)
  set(MLIR_LINK_MLIR_DYLIB ON)
endif()
# Tools and frontends use exceptions (docs/adr/0001); LLVM's own headers do not mind.
set(LLVM_ENABLE_EH ON)
set(LLVM_ENABLE_RTTI ON)
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)
include(HandleLLVMOptions)
separate_arguments(qcc_llvm_definitions NATIVE_COMMAND "${LLVM_DEFINITIONS}")
add_definitions(${qcc_llvm_definitions})
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
include_directories(${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
