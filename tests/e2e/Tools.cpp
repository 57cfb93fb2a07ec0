//===- Tools.cpp - Running qcc and qrt in tests ---------------------------===//

#include "tests/e2e/Tools.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace qcc::test {

Outcome run(const std::string &program, const std::vector<std::string> &args,
            const std::string &input,
            const std::vector<std::string> &environment) {
  // Files instead of pipes: nothing to deadlock on.
  TemporaryFolder folder;
  writeFile(folder.folder / "in", input);
  pid_t child = fork();
  if (child == 0) {
    for (auto [name, fd, flags] : {std::tuple{"in", 0, O_RDONLY},
                                   {"out", 1, O_WRONLY | O_CREAT | O_TRUNC},
                                   {"err", 2, O_WRONLY | O_CREAT | O_TRUNC}}) {
      int file = open(folder.path(name).c_str(), flags, 0600);
      dup2(file, fd);
    }
    for (const std::string &entry : environment)
      putenv(const_cast<char *>(entry.c_str()));
    std::vector<char *> argv = {const_cast<char *>(program.c_str())};
    for (const std::string &arg : args)
      argv.push_back(const_cast<char *>(arg.c_str()));
    argv.push_back(nullptr);
    execv(program.c_str(), argv.data());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  Outcome outcome;
  outcome.status =
      WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = readFile(folder.folder / "out");
  outcome.err = readFile(folder.folder / "err");
  return outcome;
}

static fs::path makeFolder() {
  std::string name = (fs::temp_directory_path() / "qcc-test-XXXXXX").string();
  if (!mkdtemp(name.data()))
    std::abort();
  return name;
}

TemporaryFolder::TemporaryFolder() : folder(makeFolder()) {}
TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  fs::remove_all(folder, error);
}

fs::path sharedData() {
  const char *given = std::getenv("QCC_SHARED_DATA");
  fs::path path = given ? given : QCC_SHARED_DATA;
  return fs::exists(path / "goldens") ? path : fs::path();
}

std::string readFile(const fs::path &path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void writeFile(const fs::path &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

template <typename T>
static std::vector<double> decode(const std::string &bytes, size_t begin,
                                  size_t end) {
  std::vector<double> values;
  for (size_t at = begin; at + sizeof(T) <= end; at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    values.push_back(double(value));
  }
  return values;
}

std::vector<double> readTensor(const fs::path &file, const std::string &name) {
  std::string bytes = readFile(file);
  uint64_t header = 0;
  if (bytes.size() < 8)
    return {};
  std::memcpy(&header, bytes.data(), 8);
  auto json = nlohmann::json::parse(bytes.substr(8, header));
  auto &entry = json.at(name);
  size_t begin = 8 + header + entry["data_offsets"][0].get<size_t>();
  size_t end = 8 + header + entry["data_offsets"][1].get<size_t>();
  return entry["dtype"] == "I64" ? decode<int64_t>(bytes, begin, end)
                                 : decode<float>(bytes, begin, end);
}

std::string joinIds(const std::vector<double> &ids) {
  std::string text;
  for (double id : ids)
    text += (text.empty() ? "" : ",") + std::to_string(int64_t(id));
  return text;
}

double relativeError(const std::vector<double> &a,
                     const std::vector<double> &b) {
  if (a.size() != b.size() || b.empty())
    return INFINITY;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

} // namespace qcc::test
