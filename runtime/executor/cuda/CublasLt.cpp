//===- CublasLt.cpp - Products by NVIDIA's library ------------------------===//

#include "runtime/executor/cuda/CublasLt.h"

#include "runtime/schema/qbin_generated.h"
#include "runtime/support/DynamicLibrary.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>

namespace qrt::cuda {

namespace {

constexpr int kF32 = 0, kF16 = 2, kBF16 = 14, kComputeF32 = 68;
constexpr int kNotSupported = 15; ///< a status
constexpr int kTransposeA = 3;    ///< a description's attribute
/// Preferences; those of alignments are for A, B, C and D.
constexpr int kWorkspaceBytes = 1, kAlignmentOfA = 5;

/// Steps of nearly so many tokens share a plan.
constexpr uint32_t kTokenMultiple = 64;

uint32_t alignmentOf(uint64_t address) {
  return uint32_t(std::min<uint64_t>(256, address & (~address + 1)));
}

} // namespace

struct CublasLt::Plan {
  explicit Plan(const CublasLt &library) : library(library) {}
  ~Plan() {
    for (void *layout : {weight, input, addend, output})
      if (layout)
        library.destroyLayout(layout);
    if (description)
      library.destroyDescription(description);
  }
  Plan(const Plan &) = delete;
  Plan &operator=(const Plan &) = delete;

  const CublasLt &library;
  void *description = nullptr;
  void *weight = nullptr, *input = nullptr, *addend = nullptr,
       *output = nullptr;
  /// What the library calls cublasLtMatmulHeuristicResult_t.
  struct {
    uint64_t algorithm[8];
    size_t workspace;
    Status state;
    float waves;
    int reserved[4];
  } chosen = {};
};

CublasLt::CublasLt(const Device &device) : device(device) {}

static void *openLibrary() {
  const char *given = std::getenv("QRT_CUBLASLT");
  if (given && *given)
    return ::dlopen(given, RTLD_NOW | RTLD_LOCAL);
  return openToolkitLibrary({"libcublasLt.so.13", "libcublasLt.so.12"},
                            RTLD_NOW | RTLD_LOCAL);
}

std::string CublasLt::load() {
  if (isSwitchedOff("QRT_CUBLASLT"))
    return "QRT_CUBLASLT is 0";
  // Never closed: a library of the driver's kind does not survive it.
  static void *const library = openLibrary();
  if (!library)
    return "no cuBLASLt (libcublasLt.so.13 or .12) here";
  Symbols symbols(library);
  symbols.resolve(create, "cublasLtCreate");
  symbols.resolve(destroy, "cublasLtDestroy");
  symbols.resolve(versionNumber, "cublasLtGetVersion");
  symbols.resolve(createDescription, "cublasLtMatmulDescCreate");
  symbols.resolve(destroyDescription, "cublasLtMatmulDescDestroy");
  symbols.resolve(setDescription, "cublasLtMatmulDescSetAttribute");
  symbols.resolve(createLayout, "cublasLtMatrixLayoutCreate");
  symbols.resolve(destroyLayout, "cublasLtMatrixLayoutDestroy");
  symbols.resolve(createPreference, "cublasLtMatmulPreferenceCreate");
  symbols.resolve(destroyPreference, "cublasLtMatmulPreferenceDestroy");
  symbols.resolve(setPreference, "cublasLtMatmulPreferenceSetAttribute");
  symbols.resolve(choose, "cublasLtMatmulAlgoGetHeuristic");
  symbols.resolve(matmul, "cublasLtMatmul");
  if (symbols.missing())
    return std::string("cuBLASLt has no function ") + symbols.missing();
  device.use();
  if (Status status = create(&handle)) {
    handle = nullptr;
    return "cuBLASLt does not start: status " + std::to_string(status);
  }
  return "";
}

std::unique_ptr<CublasLt> CublasLt::open(const Device &device,
                                         std::string &why) {
  std::unique_ptr<CublasLt> library(new CublasLt(device));
  why = library->load();
  return why.empty() ? std::move(library) : nullptr;
}

CublasLt::~CublasLt() {
  plans.clear();
  if (!handle)
    return;
  device.tryUse();
  destroy(handle);
}

std::string CublasLt::version() const {
  const size_t number = versionNumber(); // 130200, and 120803 for 12.8.3
  return std::to_string(number / 10000) + "." +
         std::to_string(number / 100 % 100) + "." +
         std::to_string(number % 100);
}

void CublasLt::check(Status status, const char *what) {
  if (status)
    throw Error(std::string("cublasLt: ") + what + ": status " +
                    std::to_string(status),
                "", "QRT_CUBLASLT=0 does without the library");
}

std::unique_ptr<CublasLt::Plan>
CublasLt::makePlan(const fb::Product &product,
                   std::span<const uint64_t> operands, uint32_t tokens) const {
  auto plan = std::make_unique<Plan>(*this);
  // The library's matrices have columns in a row: what are rows here.
  const int type = product.bfloat() ? kBF16 : kF16;
  const uint64_t rows = product.rows(), columns = product.columns();
  check(createDescription(&plan->description, kComputeF32, kF32),
        "no description");
  const int transpose = 1;
  check(setDescription(plan->description, kTransposeA, &transpose,
                       sizeof(transpose)),
        "no description");
  check(
      createLayout(&plan->weight, type, columns, rows, product.weight_stride()),
      "no layout");
  check(
      createLayout(&plan->input, type, columns, tokens, product.input_stride()),
      "no layout");
  check(
      createLayout(&plan->output, kF32, rows, tokens, product.output_stride()),
      "no layout");
  check(createLayout(&plan->addend, kF32, rows, tokens,
                     operands[2] ? product.addend_stride()
                                 : product.output_stride()),
        "no layout");
  struct Preference {
    const CublasLt &library;
    void *held = nullptr;
    ~Preference() { library.destroyPreference(held); }
  } preference{*this};
  check(createPreference(&preference.held), "no preference");
  const uint64_t room = product.room_bytes();
  check(setPreference(preference.held, kWorkspaceBytes, &room, sizeof(room)),
        "no preference");
  for (int i = 0; i < 4; ++i) {
    const uint64_t address =
        i == 2 && !operands[2] ? operands[3] : operands[size_t(i)];
    const uint32_t alignment = alignmentOf(address);
    check(setPreference(preference.held, kAlignmentOfA + i, &alignment,
                        sizeof(alignment)),
          "no preference");
  }
  int count = 0;
  check(choose(handle, plan->description, plan->weight, plan->input,
               plan->addend, plan->output, preference.held, 1, &plan->chosen,
               &count),
        "no algorithm");
  check(count ? plan->chosen.state : kNotSupported, "no algorithm");
  return plan;
}

CublasLt::Plan &CublasLt::planFor(const fb::Product &product,
                                  std::span<const uint64_t> operands,
                                  uint32_t tokens) {
  const uint32_t padded =
      std::min((tokens + kTokenMultiple - 1) / kTokenMultiple * kTokenMultiple,
               std::max(tokens, product.most_tokens()));
  uint64_t aligned = 0;
  for (size_t i = 0; i < 4; ++i)
    aligned = aligned << 16 | alignmentOf(operands[i]);
  std::unique_ptr<Plan> &plan = plans[{
      product.rows(), product.columns(),
      uint64_t(product.bfloat()) * 2 + (operands[2] != 0),
      product.weight_stride(), product.input_stride(), product.addend_stride(),
      product.output_stride(), padded, aligned}];
  if (!plan)
    plan = makePlan(product, operands, padded);
  return *plan;
}

void CublasLt::prepare(const fb::Product &product,
                       std::span<const uint64_t> operands, uint32_t tokens) {
  planFor(product, operands, tokens);
}

void CublasLt::multiply(const fb::Product &product,
                        std::span<const uint64_t> operands, uint32_t tokens) {
  Plan &plan = planFor(product, operands, tokens);
  const float one = 1, beta = operands[2] ? 1 : 0;
  auto at = [&](size_t i) { return reinterpret_cast<void *>(operands[i]); };
  check(matmul(handle, plan.description, &one, at(0), plan.weight, at(1),
               plan.input, &beta, operands[2] ? at(2) : at(3), plan.addend,
               at(3), plan.output, &plan.chosen.algorithm, at(4),
               product.room_bytes(), device.stream()),
        "a product does not start");
}

} // namespace qrt::cuda
