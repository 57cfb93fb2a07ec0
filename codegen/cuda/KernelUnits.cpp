//===- KernelUnits.cpp - From KRN to units of CUDA and launches -----------===//

#include "codegen/cuda/KernelUnits.h"

#include "codegen/cuda/EntryGenerator.h"
#include "codegen/cuda/PersistentUnit.h"

#include <algorithm>

using namespace mlir;
using namespace qcc;
using namespace qcc::cuda;

static void addPersistent(krn::EntryOp entry, CudaProgram &program) {
  try {
    PersistentUnit made =
        generatePersistent(entry, entry.getSymName().str() + "_" +
                                      std::to_string(program.units.size()));
    made.launch.image = uint32_t(program.units.size());
    program.units.push_back(std::move(made.unit));
    CudaProgram::Entry &added = program.entries.emplace_back();
    added.name = entry.getSymName().str();
    added.maxTokens = uint32_t(entry.getMaxTokens());
    added.arenaBytes = made.arenaBytes;
    added.launches.push_back(std::move(made.launch));
  } catch (const qrt::Error &error) {
    program.notes.push_back("no entry " + entry.getSymName().str() + ": " +
                            error.what());
  }
}

/// Adds the kernel that chooses a token, where there are logits.
static void addSampling(krn::EntryOp entry, CudaProgram &program) {
  entry.walk([&](krn::LogitsBufferOp logits) {
    const int64_t vocabulary = logits.getType().getColumns();
    const auto image = uint32_t(program.units.size());
    program.sampling = samplingLaunch(image, vocabulary);
    program.units.push_back(
        samplingUnit("sample_" + std::to_string(image), vocabulary));
    return WalkResult::interrupt();
  });
}

CudaProgram cuda::generateKernels(krn::ProgramOp program,
                                  StringRef architecture) {
  if (program.getTarget().getName() != "cuda")
    throw qrt::Error("the program is for target '" +
                     program.getTarget().getName().str() + "', not cuda");
  auto range = program.getOps<krn::EntryOp>();
  std::vector<krn::EntryOp> entries(range.begin(), range.end());
  std::ranges::stable_sort(entries, [](krn::EntryOp a, krn::EntryOp b) {
    return std::make_pair(a.getMaxTokens(), !a.getPersistent()) <
           std::make_pair(b.getMaxTokens(), !b.getPersistent());
  });
  CudaProgram result;
  llvm::StringMap<uint32_t> known;
  for (krn::EntryOp entry : entries) {
    if (entry.getPersistent()) {
      if (hasPersistentKernels(architecture))
        addPersistent(entry, result);
      continue;
    }
    if (&entry != &entries.back() &&
        EntryGenerator::isLeftOut(entry, architecture))
      continue;
    EntryGenerator generator(entry, result, known, architecture);
    std::vector<qrt::fb::LaunchT> launches = generator.run();
    CudaProgram::Entry &added = result.entries.emplace_back();
    added.name = entry.getSymName().str();
    added.maxTokens = uint32_t(entry.getMaxTokens());
    added.arenaBytes = generator.arenaBytes();
    added.libraryBytes = generator.libraryBytes();
    added.launches = std::move(launches);
  }
  if (!entries.empty())
    addSampling(entries.back(), result);
  if (result.entries.empty())
    throw qrt::Error("the program has no entry");
  return result;
}
