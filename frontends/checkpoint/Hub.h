//===- Hub.h - Where a model named by a user lies ---------------*- C++ -*-===//

#ifndef QCC_FRONTENDS_CHECKPOINT_HUB_H
#define QCC_FRONTENDS_CHECKPOINT_HUB_H

#include <string>

namespace qcc {

/// The folder or file of MODEL: an existing folder, a .gguf file, a hub id
/// ("tiiuae/falcon-7b") or a short name ("falcon-7b"), the last two in the
/// Hugging Face cache as huggingface_hub lays it out
/// (models--org--name/{refs/main, snapshots/<commit>/}). The cache is
/// HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub or
/// ~/.cache/huggingface/hub. Throws qrt::Error with the folders that were
/// searched, or with the candidates if a short name is ambiguous.
std::string resolveModel(const std::string &model);

/// The Hugging Face cache's folder of models.
std::string hubCache();

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_HUB_H
