//===- Rope.h - Rotary frequencies of a configuration -----------*- C++ -*-===//

#ifndef QCC_FRONTENDS_ARCHITECTURES_ROPE_H
#define QCC_FRONTENDS_ARCHITECTURES_ROPE_H

#include "frontends/architectures/ConfigReader.h"
#include "frontends/architectures/ModelSpec.h"

namespace qcc {

/// What an architecture fixes about its rotary embedding.
struct RopeDefaults {
  double theta = 10000;
  /// The share of a head that rotates where the config does not say; 0: all of
  /// it, and the model code does not know another share.
  double partial = 0;
  bool interleaved = false;
  /// The entry of rope_parameters for layers of this type ("full_attention"),
  /// if there are several.
  const char *layerType = nullptr;
  /// Where theta stands in older configs.
  const char *thetaField = "rope_theta";
  /// original_max_position_embeddings where the config does not say it outside
  /// of the scaling; 0: as the scaling says, or max_position_embeddings.
  int64_t original = 0;
  bool allowsScaling = true;   ///< false: other kinds than default are refused
  bool ignoresScaling = false; ///< true: older configs' scaling is not for it
};

/// The rotary embedding of `config`, as transformers' modeling_rope_utils
/// defines its kinds: default, linear, dynamic, yarn, longrope and llama3;
/// others are refused by name. Understands transformers 4's `rope_theta` +
/// `rope_scaling` and transformers 5's `rope_parameters`. Raises spec.context
/// to what scaling that says so extends it to.
RopeSpec readRope(const ConfigReader &config, ModelSpec &spec,
                  const RopeDefaults &defaults = {});

/// Adds readRope's result to `spec`, for all layers.
void setRope(ModelSpec &spec, const ConfigReader &config,
             const RopeDefaults &defaults = {});

/// Two rotary embeddings: `full` for the layers without a window, `sliding` for
/// those that `slides` says. transformers 5 has an entry of rope_parameters for
/// each; in older configs the sliding layers' theta is rope_local_base_freq and
/// scaling is the full layers'.
void setLayerTypeRopes(ModelSpec &spec, const ConfigReader &config,
                       const std::vector<bool> &slides, RopeDefaults full,
                       RopeDefaults sliding);

/// A value that transformers keeps in a buffer of the model, which is rounded
/// to the checkpoint's type (docs/adr/0002).
float roundAsStored(const ConfigReader &config, float value);

} // namespace qcc

#endif // QCC_FRONTENDS_ARCHITECTURES_ROPE_H
