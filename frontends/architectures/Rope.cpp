//===- Rope.cpp - Rotary frequencies of a configuration -------------------===//

#include "frontends/architectures/Rope.h"

#include "runtime/formats/HalfFloat.h"

#include <cmath>

namespace qcc {

/// Llama 3.1's scaling: low frequencies are divided by `factor`, high ones
/// kept, those between interpolated (transformers'
/// _compute_llama3_parameters).
static double scaleLlama3(double frequency, const ConfigReader &scaling) {
  double factor = scaling.number({"factor"});
  double low = scaling.number({"low_freq_factor"});
  double high = scaling.number({"high_freq_factor"});
  double original = scaling.number({"original_max_position_embeddings"});
  if (factor <= 0 || high <= low || original <= 0)
    scaling.refuse("factor", "and its companions are no valid llama3 scaling");
  double wavelength = 2 * M_PI / frequency;
  if (wavelength < original / high)
    return frequency;
  if (wavelength > original / low)
    return frequency / factor;
  double smooth = (original / wavelength - low) / (high - low);
  return (1 - smooth) * frequency / factor + smooth * frequency;
}

/// The frequencies of a checkpoint in bf16 or f16 as transformers has them:
/// moving a model to a 16-bit type rounds its buffers, these included, and so
/// do the reference logits (docs/adr/0002). A GGUF file's `rope_dtype` says that
/// its frequencies are f32, whatever its weights are.
static float roundAsStored(const ConfigReader &config, float frequency) {
  std::string dtype = config.string({"rope_dtype", "dtype", "torch_dtype"});
  if (dtype == "bfloat16")
    return qrt::bfloatToFloat(qrt::floatToBfloat(frequency));
  if (dtype == "float16")
    return qrt::halfToFloat(qrt::floatToHalf(frequency));
  return frequency;
}

RopeSpec readRope(const ConfigReader &config, int64_t rotary) {
  RopeSpec rope;
  rope.rotary = rotary;
  if (rotary % 2 != 0)
    config.refuse("head_dim", "gives " + std::to_string(rotary) +
                                  " rotary dimensions, an odd number");

  std::optional<ConfigReader> scaling =
      config.object({"rope_parameters", "rope_scaling"});
  std::string kind =
      scaling ? scaling->string({"rope_type", "type"}, "default") : "default";
  double theta = config.number({"rope_theta"}, 10000.0);
  if (scaling)
    theta = scaling->number({"rope_theta"}, theta);
  if (theta <= 0)
    config.refuse("rope_theta", "is " + std::to_string(theta));

  for (int64_t i = 0; i < rotary / 2; ++i) {
    double frequency = std::pow(theta, -2.0 * double(i) / double(rotary));
    if (kind == "linear") {
      double factor = scaling->number({"factor"});
      if (factor <= 0)
        scaling->refuse("factor", "is " + std::to_string(factor));
      frequency /= factor;
    } else if (kind == "llama3") {
      frequency = scaleLlama3(frequency, *scaling);
    } else if (kind == "factors") {
      // GGUF's rope_freqs.weight: what Llama 3's scaling comes to.
      const nlohmann::json *factors = scaling->find({"factors"});
      if (!factors || !factors->is_array() ||
          factors->size() != size_t(rotary / 2) || !(*factors)[i].is_number() ||
          (*factors)[i].get<double>() <= 0)
        scaling->refuse("factors", "is no list of " +
                                       std::to_string(rotary / 2) +
                                       " positive numbers");
      frequency /= (*factors)[i].get<double>();
    } else if (kind != "default") {
      scaling->refuse("rope_type",
                      "is '" + kind +
                          "'; only default, linear and llama3 are supported");
    }
    rope.frequencies.push_back(roundAsStored(config, float(frequency)));
  }
  return rope;
}

} // namespace qcc
