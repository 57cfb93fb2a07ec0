//===- List.cpp - qcc list ------------------------------------------------===//

#include "compiler/qcc/Commands.h"

#include "compiler/driver/Scheme.h"
#include "frontends/architectures/Architectures.h"
#include "frontends/checkpoint/TensorType.h"

#include <cstdio>
#include <string>

namespace qcc {

static void listCheckpoints() {
  std::puts("\nrotary embeddings: default, dynamic, llama3, longrope, linear "
            "[untested],\n"
            "yarn [untested]; of a part of a head; in halves or interleaved; "
            "two in one\n"
            "model; layers without [untested]. ALiBi. Learned positions. "
            "Windows by layer.\n"
            "Soft caps [untested]. Falcon-RW and OPT-350m [untested].");
  std::puts(
      "\ncheckpoints:\n"
      "  safetensors: one file or sharded; f32, f16, bf16, f64\n"
      "  PyTorch .bin, .pt: the zip format and the one before it, one "
      "file or sharded\n"
      "  GGUF v2, v3, little-endian, one file or split [untested]; tensor "
      "types");
  std::string line = " ";
  for (int i = 0; i < kNumTensorTypes; ++i) {
    const TypeTraits &type = traits(TensorType(i));
    if (!type.isFloat)
      continue;
    if (line.size() + type.name.size() > 72) {
      std::printf("   %s\n", line.c_str());
      line = " ";
    }
    line += " " + std::string(type.name);
  }
  std::printf("   %s\n", line.c_str());
  std::puts("\ntokenizers: tokenizer.json (BPE; Unigram [untested]), "
            "tokenizer.model (SentencePiece\n"
            "BPE; Unigram [untested]), vocab.json with merges.txt, *.tiktoken "
            "[untested], GGUF's\n"
            "gpt2 and llama\n"
            "\n[untested]: no checkpoint or vector from outside of this "
            "project covers it");
}

void listEverything() {
  std::puts("architectures:");
  for (const Architecture &architecture : architectures())
    std::printf("  %-11s %s%s\n", architecture.modelType,
                architecture.description,
                architecture.isTested ? "" : " [untested]");
  listCheckpoints();
  std::puts("\nquantization schemes (--quantize):");
  for (const SchemeInfo &scheme : schemes())
    std::printf("  %-10s %s\n", scheme.name.c_str(),
                scheme.description.c_str());
  std::puts("\n  rtn: --group-size 128 (-1: a whole row), --asym (or --sym), "
            "--no-mse (or --mse)\n"
            "  gptq: --group-size 128, --asym, --mse, --group-aware-order (or "
            "--act-order,\n"
            "        --static-groups, --no-group-aware-order), "
            "--true-sequential, --damp 0.01,\n"
            "        --refine 1, --calibration wikitext2 (self where it is not "
            "found; c4, "
            "c4-new, ptb,\n"
            "        ptb-new, FILE), --samples 128, --sequence-length 2048, "
            "--seed 0\n"
            "  bnb.nf4, bnb.fp4: --block-size 64\n"
            "  bnb.int8: --outlier-threshold 6.0 (0: none)\n"
            "  all: --modules 'REGEX=SCHEME', --lm-head SCHEME");
  std::puts("\ntargets (--target; default: cpu, and this machine's GPU where "
            "NVRTC is found\n"
            "and the program has CUDA kernels):\n"
            "  cpu        x86-64-v3, x86-64-v4 with VNNI and AMX, chosen when "
            "the artifact runs\n"
            "             (--cpu-variants x86-64-v3,x86-64-v4,amx: these "
            "only; native:\n"
            "             this machine's);\n"
            "             activations i16 for int codes, else f32 "
            "(--activations f32: always;\n"
            "             bnb.int8: int8, outlier columns f32);\n"
            "             KV cache f32 (--kv-dtype f16, bf16)\n"
            "  sm_80 sm_86 sm_89 sm_90 sm_100 sm_120\n"
            "             CUDA, by NVRTC; activations i16 for quantized "
            "weights, else two\n"
            "             halves of the weight's type; KV cache f16\n"
            "  compute_80 compute_90\n"
            "             PTX, for newer GPUs");
}

} // namespace qcc
