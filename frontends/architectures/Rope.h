//===- Rope.h - Rotary frequencies of a configuration -----------*- C++ -*-===//

#ifndef QCC_FRONTENDS_ARCHITECTURES_ROPE_H
#define QCC_FRONTENDS_ARCHITECTURES_ROPE_H

#include "frontends/architectures/ConfigReader.h"
#include "frontends/architectures/ModelSpec.h"

namespace qcc {

/// The rotary embedding of `config`, as transformers' modeling_rope_utils
/// defines its kinds: default, linear and llama3; others are refused by name.
/// Understands transformers 4's `rope_theta` + `rope_scaling` and
/// transformers 5's `rope_parameters`. `rotary` is the number of dimensions
/// of a head that rotate.
RopeSpec readRope(const ConfigReader &config, int64_t rotary);

} // namespace qcc

#endif // QCC_FRONTENDS_ARCHITECTURES_ROPE_H
