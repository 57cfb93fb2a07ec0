# Warnings and sanitizers, the same in every preset.
add_library(qcc_options INTERFACE)
target_compile_options(qcc_options INTERFACE
  -Wall -Wextra -Wno-unused-parameter $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
  -Werror=return-type)
if(QCC_WERROR)
  target_compile_options(qcc_options INTERFACE -Werror)
endif()
if(QCC_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(QCC_SANITIZE)
  add_compile_options(-fsanitize=${QCC_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${QCC_SANITIZE})
endif()
