//===- DynamicLibrary.cpp - Libraries that are opened when needed ---------===//

#include "runtime/support/DynamicLibrary.h"

#include <cstdlib>
#include <dlfcn.h>

namespace qrt {

/// Where the toolkit may lie; an empty folder is the linker's own path.
static std::vector<std::string> toolkitFolders() {
  std::vector<std::string> folders{""};
  for (const char *variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const char *folder = std::getenv(variable))
      folders.push_back(std::string(folder) + "/lib64/");
  folders.emplace_back("/usr/local/cuda/lib64/");
  return folders;
}

void *openToolkitLibrary(const std::vector<std::string> &names, int flags) {
  for (const std::string &folder : toolkitFolders())
    for (const std::string &name : names)
      if (void *handle = ::dlopen((folder + name).c_str(), flags))
        return handle;
  return nullptr;
}

void *Symbols::find(const char *name) {
  void *found = ::dlsym(library, name);
  if (!found && !firstMissing)
    firstMissing = name;
  return found;
}

} // namespace qrt
