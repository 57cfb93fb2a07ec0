//===- gpu_gptq.cpp - How fast GPTQ is on a GPU ---------------------------===//
//
// Times what calibration spends on the linears of a layer: the Hessian of all
// tokens, its factor, and the quantization of each weight, with random inputs
// and weights of normal distribution. Prints JSON.
//
//   gpu_gptq [--tokens N] [--sweeps N] [--panel N] [--exact]
//            [--products] SHAPE...
//
// --exact: f32 inputs as TF32 and refinement in f32, where bf16 and TF32 do.
// A SHAPE is ROWSxCOLUMNS; weights of as many columns that follow each other
// share a Hessian unless a '+' is in front. falcon-7b's layer:
//
//   gpu_gptq 4672x4544 18176x4544 +4544x4544 4544x18176
//
//===----------------------------------------------------------------------===//

#include "compiler/quantize/cuda/CudaGptq.h"
#include "runtime/support/Error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>

using namespace qcc;
using nlohmann::ordered_json;

namespace {

struct Shape {
  int64_t rows, columns;
  bool hasOwnHessian;
};

struct Arguments {
  int64_t tokens = 262144;
  int64_t sweeps = 1;
  int64_t panel = 0;
  bool products = false, exact = false;
  std::vector<Shape> shapes;
};

double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Bench {
public:
  explicit Bench(const Arguments &arguments)
      : arguments(arguments), device(0), start(now()), gptq(device) {
    if (arguments.panel)
      gptq.panelColumns = arguments.panel;
    if (arguments.exact) {
      gptq.inputs = cuda::Element::F32;
      gptq.refinement = cuda::Arithmetic::F32;
    }
    report["device"] = device.name();
    report["start_seconds"] = now() - start;
    free = device.freeBytes();
  }

  ordered_json run() {
    if (arguments.products)
      timeProducts();
    double whole = 0;
    for (const Shape &shape : arguments.shapes) {
      ordered_json entry{{"rows", shape.rows}, {"columns", shape.columns}};
      if (!hessian || hessian->size() != shape.columns || shape.hasOwnHessian) {
        entry["hessian_seconds"] = timeHessian(shape.columns);
        entry["factor_seconds"] = timeFactor();
      }
      timeQuantization(shape, entry);
      for (const char *part :
           {"hessian_seconds", "factor_seconds", "quantize_seconds"})
        whole += entry.value(part, 0.0);
      report["weights"].push_back(entry);
    }
    report["layer_seconds"] = whole;
    report["peak_bytes"] = peak;
    return report;
  }

private:
  void synchronize() {
    device.driver().check(device.driver().synchronize(device.stream()),
                          "the GPU");
    peak = std::max(peak, free - std::min(free, device.freeBytes()));
  }

  std::vector<float> normal(int64_t count, float deviation) {
    std::mt19937 random(7);
    std::normal_distribution<float> distribution(0, deviation);
    std::vector<float> values(static_cast<size_t>(count));
    // A period of its own, so that no two rows are the same.
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = i < 999983 ? distribution(random) : values[i - 999983];
    return values;
  }

  double timeHessian(int64_t columns) {
    constexpr int64_t kRows = 4096;
    hessian.reset();
    factor = {};
    std::vector<float> values = normal(kRows * columns, 1);
    qrt::cuda::Buffer x(device, values.size() * sizeof(float), "inputs");
    gptq.copies().toDevice(x.address(), values.data(),
                           values.size() * sizeof(float), 8);
    hessian = std::make_unique<CudaHessian>(gptq, columns);
    hessian->add(x.address(), kRows); // the libraries' first call
    synchronize();
    double begin = now();
    for (int64_t done = 0; done < arguments.tokens; done += kRows)
      hessian->add(x.address(), std::min(kRows, arguments.tokens - done));
    synchronize();
    double time = now() - begin;
    hessian->scale(2.0 / 128);
    return time;
  }

  double timeFactor() {
    synchronize();
    double begin = now();
    factor = factorHessian(gptq, *hessian, 128, options());
    synchronize();
    return now() - begin;
  }

  GptqOptions options() const {
    GptqOptions how;
    how.order = ColumnOrder::Activation;
    how.refineSweeps = arguments.sweeps;
    how.threads = std::max(1U, std::thread::hardware_concurrency());
    return how;
  }

  void timeQuantization(const Shape &shape, ordered_json &entry) {
    std::vector<float> w = normal(shape.rows * shape.columns, 0.02F);
    qrt::Format format = qrt::Format::parse("int4.g128");
    std::vector<double> times;
    for (int i = 0; i < 4; ++i) {
      synchronize();
      double begin = now();
      GptqResult result = quantizeGptq(
          gptq, w.data(), shape.rows, shape.columns, format, factor, options());
      times.push_back(now() - begin);
      entry["relative_error"] = result.statistics.relativeError();
    }
    // The first one makes room and warms the libraries.
    std::sort(times.begin() + 1, times.end());
    entry["first_seconds"] = times[0];
    entry["quantize_seconds"] = times[2];
  }

  /// Arithmetic speed of the products that the work consists of.
  void timeProducts() {
    const int64_t n = 18176, k = 4096;
    qrt::cuda::Buffer a(device, uint64_t(n * n) * 4, "a matrix"),
        b(device, uint64_t(n * n) * 4, "a matrix"),
        c(device, uint64_t(n * n) * 4, "a matrix");
    std::vector<float> values = normal(n * n, 1);
    for (const qrt::cuda::Buffer *m : {&a, &b})
      gptq.copies().toDevice(m->address(), values.data(), m->size(), 8);
    gptq.clear(c.address(), n * n * 4);
    for (unsigned threads : {1, 4, 8, 16}) {
      std::string name = std::to_string(threads) + " threads";
      timeCopy("to_device_gb_per_second", name, a, values, threads, true);
      timeCopy("to_host_gb_per_second", name, a, values, threads, false);
    }
    auto time = [&](const std::string &name, cuda::Product product) {
      synchronize();
      double best = 1e9;
      for (int i = 0; i < 4; ++i) {
        double begin = now();
        gptq.algebra().multiply(product);
        synchronize();
        best = std::min(best, now() - begin);
      }
      report["products"][name] = 2e-12 * double(product.m) * double(product.n) *
                                 double(product.k) / best;
    };
    auto at = [](const qrt::cuda::Buffer &m, int64_t ld, bool isTransposed) {
      return cuda::Operand(m.address(), ld, isTransposed);
    };
    for (int64_t rows : {4544, 18176})
      for (int64_t size : {256, 512, 1024}) {
        std::string name =
            " " + std::to_string(rows) + " rows " + std::to_string(size);
        int64_t depth = rows == 4544 ? 9088 : 2272;
        time("spread" + name, {rows, size, depth, at(a, depth, false),
                               at(b, n, false), at(c, size, false)});
        time("gradient" + name, {rows, size, depth, at(a, depth, false),
                                 at(b, n, true), at(c, size, false)});
        time("update" + name, {rows, depth, size, at(a, size, false),
                               at(b, n, false), at(c, depth, false), -1, 1});
      }
    for (int64_t panel : {2048, 4096})
      for (bool isKMajor : {false, true})
        for (auto [element, label] : {std::pair(cuda::Element::F32, "tf32"),
                                      std::pair(cuda::Element::F16, "f16"),
                                      std::pair(cuda::Element::BF16, "bf16")}) {
          int64_t ld = isKMajor ? k : n;
          cuda::Product product{n,
                                panel,
                                k,
                                at(a, ld, !isKMajor),
                                at(a, ld, isKMajor),
                                at(c, n, false)};
          product.beta = 1;
          product.element = element;
          product.arithmetic = element == cuda::Element::F32
                                   ? cuda::Arithmetic::TF32
                                   : cuda::Arithmetic::F32;
          time(std::string("hessian ") + label + " " + std::to_string(panel) +
                   (isKMajor ? " tokens contiguous" : " features contiguous"),
               product);
        }
  }

  void timeCopy(const char *list, const std::string &name,
                const qrt::cuda::Buffer &on, std::vector<float> &values,
                unsigned threads, bool toDevice) {
    synchronize();
    double begin = now();
    if (toDevice)
      gptq.copies().toDevice(on.address(), values.data(), on.size(), threads);
    else
      gptq.copies().toHost(values.data(), on.address(), on.size(), threads);
    synchronize();
    report[list][name] = 1e-9 * double(on.size()) / (now() - begin);
  }

  const Arguments &arguments;
  qrt::cuda::Device device;
  double start;
  CudaGptq gptq;
  std::unique_ptr<CudaHessian> hessian;
  CudaGptqFactor factor;
  ordered_json report;
  uint64_t free = 0, peak = 0;
};

Arguments parse(int argc, char **argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    int64_t *number = word == "--tokens"   ? &arguments.tokens
                      : word == "--sweeps" ? &arguments.sweeps
                      : word == "--panel"  ? &arguments.panel
                                           : nullptr;
    Shape shape{0, 0, word.starts_with("+")};
    const char *text = word.c_str() + (shape.hasOwnHessian ? 1 : 0);
    long long rows = 0, columns = 0;
    if (number && i + 1 < argc)
      *number = std::atoll(argv[++i]);
    else if (word == "--products")
      arguments.products = true;
    else if (word == "--exact")
      arguments.exact = true;
    else if (std::sscanf(text, "%lldx%lld", &rows, &columns) == 2 && rows > 0 &&
             columns > 0)
      arguments.shapes.push_back({rows, columns, shape.hasOwnHessian});
    else
      throw qrt::UsageError("'" + word + "' is no shape and no option");
  }
  return arguments;
}

} // namespace

int main(int argc, char **argv) {
  try {
    Arguments arguments = parse(argc, argv);
    std::printf("%s\n", Bench(arguments).run().dump(2).c_str());
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "gpu_gptq: error: %s\n", error.what());
    return 1;
  }
}
