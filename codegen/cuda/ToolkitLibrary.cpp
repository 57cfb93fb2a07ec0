//===- ToolkitLibrary.cpp - Libraries of the CUDA toolkit -----------------===//

#include "codegen/cuda/ToolkitLibrary.h"

#include "runtime/support/DynamicLibrary.h"

#include <algorithm>
#include <cstdio>
#include <dlfcn.h>

namespace qcc::cuda {

/// The folders in which python3 looks for packages.
static const std::vector<std::string> &pythonFolders() {
  static const std::vector<std::string> folders = [] {
    std::vector<std::string> found;
    FILE *pipe =
        ::popen("python3 -c 'import sys; print(*sys.path, sep=chr(10))' "
                "2>/dev/null",
                "r");
    if (!pipe)
      return found;
    std::string text;
    char buffer[4096];
    while (size_t n = std::fread(buffer, 1, sizeof(buffer), pipe))
      text.append(buffer, n);
    ::pclose(pipe);
    for (size_t begin = 0, end; begin < text.size(); begin = end + 1) {
      end = std::min(text.find('\n', begin), text.size());
      if (end > begin)
        found.push_back(text.substr(begin, end - begin));
    }
    return found;
  }();
  return folders;
}

void *openToolkitLibrary(const std::vector<std::string> &names,
                         const std::string &package, int flags) {
  if (void *handle = qrt::openToolkitLibrary(names, flags))
    return handle;
  for (const std::string &folder : pythonFolders())
    for (const std::string &inner : {std::string("cu13"), package})
      for (const std::string &name : names)
        if (void *handle = ::dlopen(
                (folder + "/nvidia/" + inner + "/lib/" + name).c_str(), flags))
          return handle;
  return nullptr;
}

} // namespace qcc::cuda
