//===- CubinInfo.cpp - What a compiled kernel uses ------------------------===//
//
// A cubin is an ELF file. Kernel f is section .text.f; section .nv.info holds
// records of (format u8, attribute u8, size u16, payload), of which two name a
// symbol and a number for it: registers (0x2f) and the frame (0x11). Static
// shared memory is the size of .nv.shared.f.
//
//===----------------------------------------------------------------------===//

#include "codegen/cuda/CubinInfo.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <string_view>

namespace qcc::cuda {
namespace {

class Reader {
public:
  explicit Reader(std::span<const char> bytes) : bytes(bytes) {}

  template <typename T>
  T at(uint64_t offset) const {
    T value;
    if (offset > bytes.size() || sizeof(T) > bytes.size() - offset)
      throw qrt::Error("a compiled kernel is no whole ELF file");
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
  }
  std::string text(uint64_t offset) const {
    std::string result;
    while (char c = at<char>(offset++))
      result += c;
    return result;
  }

private:
  std::span<const char> bytes;
};

} // namespace

std::vector<CubinFunction> readCubin(std::span<const char> cubin) {
  Reader reader(cubin);
  auto header = reader.at<Elf64_Ehdr>(0);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    throw qrt::Error("a compiled kernel is no ELF file");
  auto section = [&](uint32_t i) {
    return reader.at<Elf64_Shdr>(header.e_shoff +
                                 uint64_t(i) * header.e_shentsize);
  };
  uint64_t names = section(header.e_shstrndx).sh_offset;
  std::vector<CubinFunction> functions;
  std::vector<std::string> symbols;
  auto find = [&](std::string_view name) -> CubinFunction * {
    auto it = std::ranges::find(functions, name, &CubinFunction::name);
    return it == functions.end() ? nullptr : &*it;
  };
  constexpr std::string_view code = ".text.", shared = ".nv.shared.";
  for (uint32_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr s = section(i);
    std::string name = reader.text(names + s.sh_name);
    if (name.starts_with(code))
      functions.push_back({name.substr(code.size())});
    if (s.sh_type == SHT_SYMTAB)
      for (uint64_t at = 0; at < s.sh_size; at += sizeof(Elf64_Sym))
        symbols.push_back(
            reader.text(section(s.sh_link).sh_offset +
                        reader.at<Elf64_Sym>(s.sh_offset + at).st_name));
  }
  for (uint32_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr s = section(i);
    std::string name = reader.text(names + s.sh_name);
    if (name.starts_with(shared))
      if (CubinFunction *function = find(name.substr(shared.size())))
        function->staticShared = uint32_t(s.sh_size);
    if (name != ".nv.info")
      continue;
    for (uint64_t at = s.sh_offset; at + 4 <= s.sh_offset + s.sh_size;) {
      auto format = reader.at<uint8_t>(at),
           attribute = reader.at<uint8_t>(at + 1);
      // Format 4 has a payload behind its size; others carry it in its place.
      uint64_t size = format == 4 ? reader.at<uint16_t>(at + 2) : 0;
      if (format == 4 && size >= 8 &&
          (attribute == 0x2f || attribute == 0x11)) {
        auto symbol = reader.at<uint32_t>(at + 4),
             value = reader.at<uint32_t>(at + 8);
        if (symbol < symbols.size())
          if (CubinFunction *function = find(symbols[symbol]))
            (attribute == 0x2f ? function->registers : function->localBytes) =
                value;
      }
      at += 4 + size;
    }
  }
  return functions;
}

} // namespace qcc::cuda
