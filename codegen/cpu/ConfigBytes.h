//===- ConfigBytes.h - Kernel configs as bytes ------------------*- C++ -*-===//
//
// The bytes of each *_config struct of kernels.h as they lie in memory, with
// zeros between and behind the fields: equal configs have equal bytes, so that
// the same program compiles to the same object.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_CONFIGBYTES_H
#define QCC_CODEGEN_CPU_CONFIGBYTES_H

#include "codegen/cpu/kernels/kernels.h"

#include <string>

namespace qcc::cpu {

std::string configBytes(const krn::StageConfig &config);
std::string configBytes(const krn::GemmConfig &config);
std::string configBytes(const krn::EmbedConfig &config);
std::string configBytes(const krn::RopeTableConfig &config);
std::string configBytes(const krn::RopeAppendConfig &config);
std::string configBytes(const krn::AttentionConfig &config);
std::string configBytes(const krn::ElementwiseConfig &config);

} // namespace qcc::cpu

#endif // QCC_CODEGEN_CPU_CONFIGBYTES_H
