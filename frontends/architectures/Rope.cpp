//===- Rope.cpp - Rotary frequencies of a configuration -------------------===//
//
// transformers' modeling_rope_utils.py, in double.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Rope.h"

#include "runtime/formats/HalfFloat.h"

#include <algorithm>
#include <cmath>

namespace qcc {

float roundAsStored(const ConfigReader &config, float value) {
  std::string dtype = config.string({"rope_dtype", "dtype", "torch_dtype"});
  if (dtype == "bfloat16")
    return qrt::bfloatToFloat(qrt::floatToBfloat(value));
  if (dtype == "float16")
    return qrt::halfToFloat(qrt::floatToHalf(value));
  return value;
}

namespace {

/// Computes the frequencies of one rotary embedding.
class RopeReader {
public:
  RopeReader(const ConfigReader &config, ModelSpec &spec,
             const RopeDefaults &defaults);
  RopeSpec read();

private:
  double factor() const;
  int64_t originalLength() const;
  std::vector<double> factorList(const char *field) const;
  void scaleLlama3();
  void scaleYarn();
  void scaleLong();
  const ConfigReader &at() const { return scaling ? *scaling : config; }

  const ConfigReader &config;
  ModelSpec &spec;
  const RopeDefaults &defaults;
  std::optional<ConfigReader> scaling;
  double theta;
  int64_t dimensions; ///< that rotate, before an odd number is rounded up
  RopeSpec rope;
  std::vector<double> frequencies, longFrequencies;
};

RopeReader::RopeReader(const ConfigReader &config, ModelSpec &spec,
                       const RopeDefaults &defaults)
    : config(config), spec(spec), defaults(defaults),
      scaling(config.object({"rope_parameters", "rope_scaling"})) {
  if (scaling && defaults.layerType) {
    if (scaling->find({"full_attention", "sliding_attention"}))
      scaling = scaling->object({defaults.layerType});
    else if (defaults.ignoresScaling)
      scaling.reset();
  }
  theta = config.number({defaults.thetaField}, defaults.theta);
  if (scaling)
    theta = scaling->number({"rope_theta"}, theta);
  if (theta <= 0)
    config.refuse("rope_theta", "is " + std::to_string(theta));

  double whole = defaults.partial ? defaults.partial : 1;
  double partial =
      config.number({"partial_rotary_factor", "rotary_pct"}, whole);
  if (scaling)
    partial = scaling->number({"partial_rotary_factor"}, partial);
  // A count that came as a ratio must come back whole.
  dimensions = int64_t(double(spec.headDim) * partial + 1e-9);
  if (dimensions < 1 || dimensions > spec.headDim ||
      (!defaults.partial && partial != 1))
    config.refuse("partial_rotary_factor",
                  "is " + std::to_string(partial) +
                      (defaults.partial ? ""
                                        : ", which this architecture has "
                                          "no use for"));
  rope.rotary = (dimensions + 1) / 2 * 2;
  if (rope.rotary > spec.headDim)
    config.refuse("head_dim", "gives " + std::to_string(dimensions) +
                                  " rotary dimensions, an odd number");
  rope.interleaved = defaults.interleaved;
}

double RopeReader::factor() const {
  double factor = scaling->number({"factor"});
  if (factor < 1)
    scaling->refuse("factor", "is " + std::to_string(factor));
  return factor;
}

int64_t RopeReader::originalLength() const {
  int64_t most = config.integer({"max_position_embeddings"}, 1, 0);
  int64_t inside =
      scaling->integer({"original_max_position_embeddings"}, 1, most);
  int64_t original =
      config.integer({"original_max_position_embeddings"}, 1,
                     defaults.original ? defaults.original : inside);
  if (original < 1)
    scaling->refuse("original_max_position_embeddings", "is missing");
  return original;
}

std::vector<double> RopeReader::factorList(const char *field) const {
  const nlohmann::json *list = scaling->find({field});
  std::vector<double> values;
  if (list && list->is_array())
    for (const nlohmann::json &value : *list)
      if (value.is_number() && value.get<double>() > 0)
        values.push_back(value.get<double>());
  if (!list || values.size() != frequencies.size() ||
      values.size() != list->size())
    scaling->refuse(field, "is no list of " +
                               std::to_string(frequencies.size()) +
                               " positive numbers");
  return values;
}

/// Low frequencies are divided by `factor`, high ones kept, those between
/// interpolated.
void RopeReader::scaleLlama3() {
  double factor = this->factor();
  double low = scaling->number({"low_freq_factor"});
  double high = scaling->number({"high_freq_factor"});
  auto original = double(originalLength());
  if (high <= low)
    scaling->refuse("high_freq_factor", "is not above low_freq_factor");
  for (double &frequency : frequencies) {
    double wavelength = 2 * M_PI / frequency;
    if (wavelength < original / high)
      continue;
    double smooth = wavelength > original / low
                        ? 0
                        : (original / wavelength - low) / (high - low);
    frequency = (1 - smooth) * frequency / factor + smooth * frequency;
  }
}

/// Peng et al. 2023 (arXiv 2309.00071).
void RopeReader::scaleYarn() {
  auto original = double(originalLength());
  double factor =
      scaling->has({"factor"})
          ? this->factor()
          : double(config.integer({"max_position_embeddings"})) / original;
  spec.context = std::max(spec.context, int64_t(original * factor));
  auto mscale = [&](double weight) {
    return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1;
  };
  double upper = scaling->number({"mscale"}, 0),
         lower = scaling->number({"mscale_all_dim"}, 0);
  rope.attentionFactor = float(scaling->number(
      {"attention_factor"},
      upper && lower ? mscale(upper) / mscale(lower) : mscale(1)));

  // GGUF's conversion drops fields at 0, transformers takes 0 for the default.
  double fast = scaling->number({"beta_fast"}, 0),
         slow = scaling->number({"beta_slow"}, 0);
  auto dimension = [&](double rotations) {
    return double(dimensions) * std::log(original / (rotations * 2 * M_PI)) /
           (2 * std::log(theta));
  };
  double first = dimension(fast ? fast : 32), last = dimension(slow ? slow : 1);
  if (scaling->boolean({"truncate"}, true)) {
    first = std::floor(first);
    last = std::ceil(last);
  }
  first = std::max(first, 0.0);
  last = std::min(last, double(dimensions - 1));
  if (first == last)
    last += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    double ramp = std::clamp((double(i) - first) / (last - first), 0.0, 1.0);
    frequencies[i] *= ramp / factor + (1 - ramp);
  }
}

/// Ding et al. 2024 (arXiv 2402.13753), as Phi-3 uses it.
void RopeReader::scaleLong() {
  int64_t original = originalLength();
  double factor = scaling->has({"factor"})
                      ? scaling->number({"factor"})
                      : double(config.integer({"max_position_embeddings"})) /
                            double(original);
  double attention =
      factor <= 1
          ? 1
          : std::sqrt(1 + std::log(factor) / std::log(double(original)));
  rope.attentionFactor =
      float(scaling->number({"attention_factor"}, attention));
  std::vector<double> shorts = factorList("short_factor"),
                      longs = factorList("long_factor");
  rope.original = original;
  longFrequencies = frequencies;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] /= shorts[i];
    longFrequencies[i] /= longs[i];
  }
}

RopeSpec RopeReader::read() {
  for (int64_t i = 0; i < rope.rotary / 2; ++i)
    frequencies.push_back(
        std::pow(theta, -2.0 * double(i) / double(dimensions)));

  std::string kind =
      scaling ? scaling->string({"rope_type", "type"}, "default") : "default";
  if (scaling) // both spellings may stand there
    scaling->has({"type"});
  if (scaling) // only some kinds read it
    scaling->has({"original_max_position_embeddings"});
  if (kind == "su")
    kind = "longrope"; // its first name
  if (kind != "default" && !defaults.allowsScaling)
    at().refuse("rope_type",
                "is '" + kind + "', which this architecture has no use for");
  if (kind == "linear") {
    for (double &frequency : frequencies)
      frequency /= factor();
    spec.context =
        std::max(spec.context, int64_t(double(spec.context) * factor()));
  } else if (kind == "dynamic") {
    rope.original = config.integer({"max_position_embeddings"});
    rope.factor = float(factor());
    longFrequencies = frequencies;
    spec.context = std::max(
        spec.context, int64_t(double(rope.original) * double(rope.factor)));
  } else if (kind == "yarn") {
    scaleYarn();
  } else if (kind == "longrope") {
    scaleLong();
  } else if (kind == "llama3") {
    scaleLlama3();
  } else if (kind == "factors") {
    // GGUF's rope_freqs.weight: what Llama 3's scaling comes to.
    std::vector<double> factors = factorList("factors");
    for (size_t i = 0; i < frequencies.size(); ++i)
      frequencies[i] /= factors[i];
  } else if (kind != "default") {
    at().refuse("rope_type", "is '" + kind +
                                 "'; default, linear, dynamic, yarn, longrope "
                                 "and llama3 are supported");
  }
  for (double frequency : frequencies)
    rope.frequencies.push_back(roundAsStored(config, float(frequency)));
  // Those for long sequences are computed when needed, and not rounded.
  for (double frequency : longFrequencies)
    rope.frequencies.push_back(float(frequency));
  return rope;
}

} // namespace

RopeSpec readRope(const ConfigReader &config, ModelSpec &spec,
                  const RopeDefaults &defaults) {
  return RopeReader(config, spec, defaults).read();
}

void setLayerTypeRopes(ModelSpec &spec, const ConfigReader &config,
                       const std::vector<bool> &slides, RopeDefaults full,
                       RopeDefaults sliding) {
  full.layerType = "full_attention";
  sliding.layerType = "sliding_attention";
  sliding.ignoresScaling = true;
  int first = int(spec.ropes.size());
  spec.ropes.push_back(readRope(config, spec, full));
  spec.ropes.push_back(readRope(config, spec, sliding));
  for (size_t i = 0; i < spec.layers.size(); ++i)
    spec.layers[i].rope = first + int(slides[i]);
}

void setRope(ModelSpec &spec, const ConfigReader &config,
             const RopeDefaults &defaults) {
  for (LayerSpec &layer : spec.layers)
    layer.rope = int(spec.ropes.size());
  spec.ropes.push_back(readRope(config, spec, defaults));
}

} // namespace qcc
