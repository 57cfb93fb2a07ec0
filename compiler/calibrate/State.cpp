//===- State.cpp - What calibration has done so far -----------------------===//
//
// Files are little-endian and begin with a head: magic, kind, fingerprint, and
// the checksum and size of what follows.
//
//===----------------------------------------------------------------------===//

#include "compiler/calibrate/State.h"

#include "compiler/quantize/Parallel.h"
#include "runtime/support/AtomicFile.h"
#include "runtime/support/Checksum.h"
#include "runtime/support/Error.h"
#include "runtime/support/MappedFile.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <thread>

namespace fs = std::filesystem;
using qrt::Error;

namespace qcc {

namespace {

struct Head {
  char magic[8];
  uint64_t fingerprint, layer, size, checksum;
};
constexpr char kMagic[8] = {'Q', 'C', 'C', 'c', 'a', 'l', '0', '1'};

/// Bytes that are appended to and read back in the same order.
class Bytes {
public:
  template <class T>
  void put(const T &value) {
    append(&value, sizeof(value));
  }
  template <class T>
  void putArray(const std::vector<T> &values) {
    put(uint64_t(values.size()));
    append(values.data(), values.size() * sizeof(T));
  }
  void putText(const std::string &text) {
    put(uint64_t(text.size()));
    append(text.data(), text.size());
  }
  void append(const void *from, size_t size) {
    auto begin = static_cast<const uint8_t *>(from);
    data.insert(data.end(), begin, begin + size);
  }
  std::vector<uint8_t> data;
};

/// Reads what Bytes wrote. The checksum has vouched for the content; sizes are
/// checked all the same.
class Cursor {
public:
  explicit Cursor(std::span<const uint8_t> data) : data(data) {}
  template <class T>
  T get() {
    T value;
    take(&value, sizeof(value));
    return value;
  }
  template <class T>
  std::vector<T> getArray() {
    auto count = get<uint64_t>();
    if (count > (data.size() - at) / sizeof(T))
      throw Error("damaged calibration state");
    std::vector<T> values(count);
    take(values.data(), count * sizeof(T));
    return values;
  }
  std::string getText() {
    auto bytes = getArray<char>();
    return {bytes.begin(), bytes.end()};
  }
  bool atEnd() const { return at == data.size(); }
  uint64_t position() const { return at; }
  void seek(uint64_t to) {
    if (to > data.size())
      throw Error("damaged calibration state");
    at = to;
  }

private:
  void take(void *to, size_t size) {
    if (size > data.size() - at)
      throw Error("damaged calibration state");
    if (size > 0) // an empty vector has no address
      std::memcpy(to, data.data() + at, size);
    at += size;
  }
  std::span<const uint8_t> data;
  size_t at = 0;
};

/// Calls work(first, last) on all CPUs for ranges of `count` codes that begin
/// with a byte, however many bits a code has.
template <class Work>
void forRanges(size_t count, const Work &work) {
  constexpr size_t kRange = size_t(1) << 18;
  parallelFor(std::thread::hardware_concurrency(),
              int64_t((count + kRange - 1) / kRange), [&](int64_t i) {
                size_t first = size_t(i) * kRange;
                work(first, std::min(count, first + kRange));
              });
}

/// Codes as a stream of `bits` bits each.
std::vector<uint8_t> packBits(const std::vector<uint8_t> &codes, int bits) {
  std::vector<uint8_t> packed((codes.size() * size_t(bits) + 7) / 8);
  forRanges(codes.size(), [&](size_t first, size_t last) {
    size_t at = first * size_t(bits);
    for (size_t i = first; i < last; ++i, at += size_t(bits)) {
      unsigned shifted = unsigned(codes[i]) << (at % 8);
      packed[at / 8] |= uint8_t(shifted);
      if (at % 8 + size_t(bits) > 8)
        packed[at / 8 + 1] |= uint8_t(shifted >> 8);
    }
  });
  return packed;
}

std::vector<uint8_t> unpackBits(const std::vector<uint8_t> &packed,
                                size_t count, int bits) {
  if (packed.size() != (count * size_t(bits) + 7) / 8)
    throw Error("damaged calibration state");
  std::vector<uint8_t> codes(count);
  forRanges(count, [&](size_t first, size_t last) {
    size_t at = first * size_t(bits);
    for (size_t i = first; i < last; ++i, at += size_t(bits)) {
      unsigned value = packed[at / 8];
      if (at % 8 + size_t(bits) > 8)
        value |= unsigned(packed[at / 8 + 1]) << 8;
      codes[i] = uint8_t((value >> (at % 8)) & ((1u << bits) - 1));
    }
  });
  return codes;
}

void write(Bytes &to, const CalibratedWeight &weight) {
  to.putText(weight.format.mangled());
  to.put(weight.rows);
  to.put(weight.columns);
  to.put(weight.statistics);
  to.put(weight.damp);
  to.put(weight.seconds);
  to.putText(weight.note);
  to.putArray(weight.order);
  to.putArray(packBits(weight.codes, weight.format.codeBits()));
  to.putArray(weight.scales);
  to.putArray(weight.zeros);
}

CalibratedWeight read(Cursor &from, bool withCodes) {
  CalibratedWeight weight;
  weight.format = qrt::Format::parse(from.getText());
  weight.rows = from.get<int64_t>();
  weight.columns = from.get<int64_t>();
  weight.statistics = from.get<QuantizeStatistics>();
  weight.damp = from.get<double>();
  weight.seconds = from.get<double>();
  weight.note = from.getText();
  if (!withCodes)
    return weight;
  weight.order = from.getArray<int32_t>();
  auto packed = from.getArray<uint8_t>();
  weight.codes = unpackBits(packed, size_t(weight.rows * weight.columns),
                            weight.format.codeBits());
  weight.scales = from.getArray<float>();
  weight.zeros = from.getArray<uint8_t>();
  return weight;
}

std::span<const uint8_t> bytesOf(const Activations &activations) {
  return {reinterpret_cast<const uint8_t *>(activations.data()),
          activations.bytes()};
}

void writeFile(const std::string &path, uint64_t fingerprint, uint64_t layer,
               std::span<const uint8_t> content) {
  Head head = {};
  std::memcpy(head.magic, kMagic, sizeof(kMagic));
  head.fingerprint = fingerprint;
  head.layer = layer;
  head.size = content.size();
  head.checksum = qrt::checksum(content);
  qrt::AtomicFile file(path);
  file.writeAt(0, {reinterpret_cast<const uint8_t *>(&head), sizeof(head)});
  file.writeAt(sizeof(head), content);
  file.commit();
}

/// The head of a file of ours; all zero if it is none.
Head headOf(std::span<const uint8_t> file) {
  Head head = {};
  if (file.size() < sizeof(head))
    return {};
  std::memcpy(&head, file.data(), sizeof(head));
  if (std::memcmp(head.magic, kMagic, sizeof(kMagic)) != 0 ||
      head.size != file.size() - sizeof(head))
    return {};
  return head;
}

/// A file of the state, or what a killed process left of one.
bool isOurs(const fs::path &path) {
  std::string name = path.filename().string();
  return name.starts_with("layer-") || name.starts_with("activations.bin") ||
         name.starts_with("tokens.bin") || name.starts_with("float.qbin") ||
         name.starts_with("spill-");
}

} // namespace

void makeStateFolder(const std::string &folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw Error("cannot make the folder for the calibration's state: " +
                    error.message(),
                folder);
}

std::optional<CalibrationTokens> loadTokens(const std::string &folder,
                                            uint64_t fingerprint) {
  std::error_code error;
  std::string path = folder + "/tokens.bin";
  if (!fs::exists(path, error))
    return std::nullopt;
  qrt::MappedFile file(path);
  Head head = headOf(file.bytes());
  if (head.fingerprint != fingerprint)
    return std::nullopt;
  std::span<const uint8_t> content = file.bytes().subspan(sizeof(Head));
  if (qrt::checksum(content) != head.checksum)
    return std::nullopt;
  Cursor cursor(content);
  CalibrationTokens tokens;
  tokens.samples = cursor.get<int64_t>();
  tokens.length = cursor.get<int64_t>();
  tokens.ids = cursor.getArray<int32_t>();
  return tokens;
}

void saveTokens(const std::string &folder, uint64_t fingerprint,
                const CalibrationTokens &tokens) {
  Bytes bytes;
  bytes.put(tokens.samples);
  bytes.put(tokens.length);
  bytes.putArray(tokens.ids);
  writeFile(folder + "/tokens.bin", fingerprint, 0, bytes.data);
}

CalibrationState::CalibrationState(std::string path, uint64_t fingerprint,
                                   bool quiet)
    : folder(std::move(path)), fingerprint(fingerprint) {
  std::error_code error;
  makeStateFolder(folder);
  // The activations say how far it came; layers after that are done again.
  Head head = {};
  std::string activations = folder + "/activations.bin";
  if (fs::exists(activations, error)) {
    qrt::MappedFile file(activations);
    head = headOf(file.bytes());
  }
  if (head.fingerprint == fingerprint && head.layer > 0) {
    layers = int64_t(head.layer);
    for (int64_t layer = 0; layer < layers; ++layer)
      if (!readLayer(layer)) {
        layers = 0;
        break;
      }
  }
  if (layers == 0) {
    places.clear();
    if (!quiet && head.layer > 0)
      std::fprintf(stderr,
                   "qcc: note: %s holds the state of another calibration; "
                   "starting anew\n",
                   folder.c_str());
    for (const auto &entry : fs::directory_iterator(folder, error))
      if (isOurs(entry.path()) && entry.path().filename() != "tokens.bin")
        fs::remove(entry.path(), error);
  }
}

std::string CalibrationState::layerPath(int64_t layer) const {
  char name[32];
  std::snprintf(name, sizeof(name), "/layer-%04lld.bin",
                static_cast<long long>(layer));
  return folder + name;
}

bool CalibrationState::readLayer(int64_t layer) {
  std::error_code error;
  if (!fs::exists(layerPath(layer), error))
    return false;
  qrt::MappedFile file(layerPath(layer));
  Head head = headOf(file.bytes());
  if (head.fingerprint != fingerprint || head.layer != uint64_t(layer))
    return false;
  std::span<const uint8_t> content = file.bytes().subspan(sizeof(Head));
  if (qrt::checksum(content) != head.checksum)
    return false;
  Cursor cursor(content);
  while (!cursor.atEnd()) {
    std::string name = cursor.getText();
    auto size = cursor.get<uint64_t>();
    places[name] = {layer, cursor.position(), size};
    cursor.seek(cursor.position() + size);
  }
  return true;
}

void CalibrationState::loadActivations(const Activations &out) const {
  qrt::MappedFile file(folder + "/activations.bin");
  Head head = headOf(file.bytes());
  std::span<const uint8_t> content;
  if (head.layer > 0)
    content = file.bytes().subspan(sizeof(Head));
  if (content.empty() || content.size() != out.bytes() ||
      qrt::checksum(content) != head.checksum)
    throw Error("damaged calibration state", folder, "remove that folder");
  std::memcpy(out.data(), content.data(), content.size());
}

void CalibrationState::add(const std::string &name, CalibratedWeight weight) {
  open[name] = std::make_shared<const CalibratedWeight>(std::move(weight));
}

CalibrationState::~CalibrationState() {
  if (writing.valid())
    writing.wait();
}

void CalibrationState::finishLayer(const Activations *activations) {
  wait();
  written = std::move(open);
  open.clear();
  writing = std::async(std::launch::async,
                       [this, activations] { writeLayer(activations); });
  if (activations) // which the next layer takes
    wait();
}

void CalibrationState::wait() {
  if (!writing.valid())
    return;
  writing.get();
  written.clear();
  ++layers;
}

void CalibrationState::writeLayer(const Activations *activations) {
  Bytes bytes;
  std::map<std::string, Place> added;
  for (auto &[name, weight] : written) {
    bytes.putText(name);
    size_t sizeAt = bytes.data.size();
    bytes.put(uint64_t(0));
    uint64_t begin = bytes.data.size();
    write(bytes, *weight);
    uint64_t size = bytes.data.size() - begin;
    std::memcpy(bytes.data.data() + sizeAt, &size, sizeof(size));
    added[name] = {layers, begin, size};
  }
  try {
    writeFile(layerPath(layers), fingerprint, uint64_t(layers), bytes.data);
    // The layer counts from here on.
    writeFile(folder + "/activations.bin", fingerprint, uint64_t(layers) + 1,
              activations ? bytesOf(*activations) : std::span<const uint8_t>());
  } catch (const Error &error) {
    throw Error(std::string("the calibration's state cannot be kept: ") +
                error.what());
  }
  std::lock_guard<std::mutex> lock(mutex);
  places.insert(added.begin(), added.end());
}

std::shared_ptr<const CalibratedWeight>
CalibrationState::weight(const std::string &name) const {
  for (const auto *weights : {&open, &written})
    if (auto it = weights->find(name); it != weights->end())
      return it->second;
  Place place;
  {
    std::lock_guard<std::mutex> lock(mutex);
    auto it = places.find(name);
    if (it == places.end())
      throw Error("weight '" + name + "' has not been calibrated");
    place = it->second;
  }
  qrt::MappedFile file(layerPath(place.layer));
  Cursor cursor(file.bytes().subspan(sizeof(Head)));
  cursor.seek(place.offset);
  return std::make_shared<const CalibratedWeight>(read(cursor, true));
}

std::map<std::string, CalibratedWeight> CalibrationState::reports() const {
  std::map<std::string, CalibratedWeight> all;
  for (auto &[name, place] : places) {
    qrt::MappedFile file(layerPath(place.layer));
    Cursor cursor(file.bytes().subspan(sizeof(Head)));
    cursor.seek(place.offset);
    all[name] = read(cursor, false);
  }
  return all;
}

void CalibrationState::remove() {
  // Only what is ours: the folder stays if there is anything else in it.
  std::error_code error;
  for (const auto &entry : fs::directory_iterator(folder, error))
    if (isOurs(entry.path()))
      fs::remove(entry.path(), error);
  fs::remove(folder, error);
}

} // namespace qcc
