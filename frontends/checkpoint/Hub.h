//===- Hub.h - Where a model named by a user lies ---------------*- C++ -*-===//

#ifndef QCC_FRONTENDS_CHECKPOINT_HUB_H
#define QCC_FRONTENDS_CHECKPOINT_HUB_H

#include <string>

namespace qcc {

/// The folder or file of MODEL: an existing folder or file, a hub id
/// ("tiiuae/falcon-7b") or a short name ("falcon-7b", of any organization), the
/// last two, in any case of letters, in the Hugging Face cache as
/// huggingface_hub lays it out (models--org--name/{refs/main,
/// snapshots/<commit>/}). Nothing is fetched. Throws qrt::Error with the
/// folders that were searched if there is no such model, or with the candidates
/// if a short name is ambiguous.
std::string resolveModel(const std::string &model);

/// The Hugging Face cache's folder of models: HF_HUB_CACHE, else HF_HOME/hub,
/// else XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub. "~" at
/// the start of a variable is the user's home.
std::string hubCache();

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_HUB_H
