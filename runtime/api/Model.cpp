//===- Model.cpp - A model ready to run, and its sessions -----------------===//

#include "runtime/api/Model.h"

#include "runtime/executor/CpuExecutor.h"
#include "runtime/executor/cuda/CudaExecutor.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <new>

namespace qrt {

static std::unique_ptr<Executor> makeExecutor(const Artifact &artifact,
                                              const ModelOptions &options) {
  const std::string &device = options.device;
  if (device == "auto") {
    // A GPU that cannot run it is no reason not to run, unless nothing else
    // can.
    std::string why = CudaExecutor::unfit(artifact);
    if (why.empty())
      return std::make_unique<CudaExecutor>(artifact, 0);
    if (!artifact.kernels("cpu"))
      throw Error(why + ", and there is no code for the CPU", artifact.path(),
                  "compile it with --target cpu");
  } else if (std::optional<int> number = cuda::gpuNumber(device)) {
    if (!CudaExecutor::hasCode(artifact))
      throw Error("the artifact has no code for device '" + device + "'",
                  artifact.path(), "use --device cpu");
    return std::make_unique<CudaExecutor>(artifact, *number);
  } else if (device != "cpu") {
    throw UsageError("unknown device '" + device + "'", "use cpu or cuda[:N]");
  }
  return std::make_unique<CpuExecutor>(artifact, options.threads);
}

/// What `make` returns, and how long it took.
template <typename Make>
static auto timed(double &seconds, Make make) {
  TimedPart part(seconds);
  return make();
}

Model::Model(const std::string &path, const ModelOptions &options)
    : Model(path, [&](const Artifact &artifact) {
        return makeExecutor(artifact, options);
      }) {}

Model::Model(
    const std::string &path,
    const std::function<std::unique_ptr<Executor>(const Artifact &)> &make)
    : file(timed(times.file, [&] { return Artifact(path); })),
      device(timed(times.device, [&] { return make(file); })) {
  // What the executor measured, and for `device` what is left.
  LoadTimes parts = device->loadTimes();
  parts.file = times.file;
  parts.device = times.device + times.file - parts.total();
  times = parts;
  TimedPart part(times.text);
  const auto *bytes = file.manifest().tokenizer();
  if (bytes && bytes->size()) {
    try {
      text.emplace(deserialize({bytes->data(), bytes->size()}));
    } catch (const Error &error) {
      throw Error(std::string("damaged artifact: tokenizer: ") + error.what(),
                  path);
    }
  }
  chat::ChatSource chat = file.chat();
  if (chat.templates.empty()) {
    chatError = "the artifact carries no chat template";
  } else {
    try {
      chatTemplates.emplace(chat);
    } catch (const Error &error) {
      chatError = error.what();
    }
  }
  file.prefetch();
}

const chat::ChatTemplates &Model::requireChatTemplates() const {
  if (!chatTemplates)
    throw Error(chatError, file.path());
  return *chatTemplates;
}

const Tokenizer &Model::requireTokenizer() const {
  if (!text)
    throw Error("the artifact carries no tokenizer", file.path(),
                "give ids instead of text");
  return *text;
}

bool Model::isEos(int32_t token) const {
  const auto *ids = file.model().eos_ids();
  return ids && std::find(ids->begin(), ids->end(), token) != ids->end();
}

uint32_t Model::defaultContext() const {
  constexpr uint32_t most = 4096;
  return contextLimit() ? std::min(contextLimit(), most) : most;
}

std::vector<int32_t> Model::encodePrompt(std::string_view prompt) const {
  std::vector<int32_t> ids = requireTokenizer().encode(prompt);
  if (!ids.empty())
    return ids;
  if (bosId() >= 0)
    return {bosId()};
  throw UsageError("the prompt is empty, and the model has no token that "
                   "begins a text");
}

static uint32_t checkedContext(const Model &model, uint32_t context) {
  uint32_t positions = model.positions();
  if (positions && context > positions)
    throw UsageError("a context of " + std::to_string(context) +
                     " tokens is more than the model's " +
                     std::to_string(positions) + " positions");
  return context ? context : model.defaultContext();
}

Session::Session(Model &model, uint32_t context)
    : owner(model),
      kv(model.executor().createCache(checkedContext(model, context))) {}

void Session::reserveLogits(size_t count) {
  try {
    if (logitRoom >= count)
      return;
    LogitMemory larger = owner.executor().allocateLogits(count);
    std::copy_n(rowsOfLogits.get(), logitCount, larger.get());
    rowsOfLogits = std::move(larger);
    logitRoom = count;
  } catch (const std::bad_alloc &) {
    throw Error("not enough memory: the logits need " +
                std::to_string((count * sizeof(float) >> 20) + 1) + " MiB");
  }
}

void Session::feed(std::span<const int32_t> tokens, LogitRows rows) {
  Session *self = this;
  StepSequence sequence = {nullptr, tokens, rows};
  stepSessions(owner, {&self, 1}, {&sequence, 1});
}

void stepSessions(Model &model, std::span<Session *const> sessions,
                  std::span<const StepSequence> sequences) {
  std::vector<StepSequence> step(sequences.begin(), sequences.end());
  for (size_t i = 0; i < step.size(); ++i) {
    Session &session = *sessions[i];
    if (&session.owner != &model)
      throw UsageError("a session of the step belongs to another model");
    step[i].cache = session.kv.get();
    step[i].cancelled = &session.cancelled;
    // Checked here already, so that a hopeless step reserves no logits.
    if (step[i].tokens.size() <= session.capacity())
      session.reserveLogits(step[i].rowCount() * model.vocabulary());
    step[i].logits = session.rowsOfLogits.get();
  }
  try {
    model.executor().step(step, {});
  } catch (...) {
    for (Session *session : sessions)
      session->takeCancel();
    throw;
  }
  for (size_t i = 0; i < step.size(); ++i)
    sessions[i]->logitCount = step[i].rowCount() * model.vocabulary();
}

} // namespace qrt
