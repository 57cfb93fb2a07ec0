# Installs the build into a fresh folder, configures each example against it as
# a user's project would, builds it and runs it.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result
    OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGV}\nended with ${result}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
foreach(part IN ITEMS qrt qrt_static qrt_tool qrt_write_fake_model)
  run(${CMAKE_COMMAND} --build ${BUILD} --target ${part})
endforeach()
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix
  --component qrt)
run(${WRITE_FAKE_MODEL} ${WORK}/model.qbin)

set(flags "${FLAGS}")
if(SANITIZE)
  string(APPEND flags " -fsanitize=${SANITIZE}")
endif()
foreach(example IN ITEMS c_generate cpp_generate cpp_batch)
  run(${CMAKE_COMMAND} -S ${EXAMPLES}/${example} -B ${WORK}/${example}
    -D CMAKE_PREFIX_PATH=${WORK}/prefix
    "-DCMAKE_C_FLAGS=${flags}" "-DCMAKE_CXX_FLAGS=${flags}")
  run(${CMAKE_COMMAND} --build ${WORK}/${example})
  run(${WORK}/${example}/${example} ${WORK}/model.qbin hello)
  if(NOT output MATCHES "hello")
    message(FATAL_ERROR "${example} printed: ${output}")
  endif()
endforeach()

find_program(PKG_CONFIG pkg-config)
if(PKG_CONFIG)
  set(ENV{PKG_CONFIG_PATH} ${WORK}/prefix/${LIBDIR}/pkgconfig)
  run(${PKG_CONFIG} --cflags --libs qrt)
  if(NOT output MATCHES "-lqrt")
    message(FATAL_ERROR "pkg-config gave: ${output}")
  endif()
endif()
