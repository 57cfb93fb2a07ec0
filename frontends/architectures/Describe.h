//===- Describe.h - What descriptions of architectures share ----*- C++ -*-===//
//
// Each architecture's file says what its model code (transformers'
// modeling_*.py) does, in these terms.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_ARCHITECTURES_DESCRIBE_H
#define QCC_FRONTENDS_ARCHITECTURES_DESCRIBE_H

#include "frontends/architectures/ConfigReader.h"
#include "frontends/architectures/ModelSpec.h"

#include <array>

namespace qcc {

/// Sizes that a configuration class has of its own where a config is silent.
struct SizeDefaults {
  int64_t headDim = 0;   ///< 0: hidden size / heads
  int64_t kvHeads = 0;   ///< 0: as many as heads
  int64_t expansion = 0; ///< MLP size / hidden size; 0: it must be said
};
/// Sizes, under any of transformers' names for them; the scale of attention,
/// 1 / sqrt(head size). Throws qrt::Error for sizes that do not fit.
ModelSpec readSizes(const ConfigReader &config, const std::string &name,
                    const SizeDefaults &defaults = {});

/// The activation that `field` names in transformers' words (its ACT2FN).
/// `field` is the one that the configuration class has. As transformers does,
/// this passes over the other spellings beside it; alone, they are left to be
/// refused.
tfm::Activation readActivation(const ConfigReader &config, const char *field,
                               const std::string &fallback);

/// A norm whose eps stands in `field`, which is read as readActivation's is.
NormSpec readRmsNorm(const ConfigReader &config, double defaultEps = 1e-6);
NormSpec readLayerNorm(const ConfigReader &config, const char *field,
                       bool bias);

/// Names and biases of separate q, k, v and output projections.
void setAttention(ModelSpec &spec, const std::string &prefix,
                  std::array<const char *, 4> modules, bool qkvBias,
                  bool outputBias);

/// How the rows of a fused query-key-value projection lie.
enum class QkvOrder {
  Blocks,  ///< all of q, then k, then v
  PerHead, ///< for each kv head its heads of q, then k, then v
};
/// By head, or in blocks as GGUF's conversion leaves them.
QkvOrder readQkvOrder(const ConfigReader &config);
void setFusedQkv(ModelSpec &spec, const std::string &module, QkvOrder order,
                 bool bias);

/// up -> activation -> down.
void setMlp(ModelSpec &spec, const std::string &up, const std::string &down,
            bool bias);
/// activation(gate) * up -> down.
void setGatedMlp(ModelSpec &spec, const std::string &prefix, bool bias);
/// The same with a module that holds gate, then up.
void setFusedGatedMlp(ModelSpec &spec, const std::string &module,
                      const std::string &down);

/// The embedding and the head: `tie_word_embeddings`, `tiedByDefault` if that
/// is not said.
void setEmbedding(ModelSpec &spec, const ConfigReader &config,
                  const std::string &embedding, const std::string &head,
                  bool tiedByDefault);

/// transformers' `layer_types`, or empty; only "full_attention" and
/// "sliding_attention" are known.
std::vector<bool> readSlidingLayers(const ConfigReader &config, int64_t layers);
/// The window of the layers that slide: all, if `slides` is empty.
void setWindows(ModelSpec &spec, int64_t window,
                const std::vector<bool> &slides = {});

/// ALiBi's slopes as BLOOM and Falcon (Press et al.'s code) have them: for
/// heads beyond a power of two, every other slope of twice as many.
std::vector<float> alibiSlopes(int64_t heads);

/// Refuses `field` if it is true (or a number that is not 0).
void refuseIfSet(const ConfigReader &config, const char *field);

} // namespace qcc

#endif // QCC_FRONTENDS_ARCHITECTURES_DESCRIBE_H
