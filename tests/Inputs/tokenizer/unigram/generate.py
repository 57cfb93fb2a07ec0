#!/usr/bin/env python3
"""Writes tokenizer.model, a small Unigram model with a map of characters, user
defined pieces and byte fallback, and ../unigram-spm.json, SentencePiece's ids for
the texts of ../strings.json (in the manner of ../stories260K-spm.json).

Needs: pip install sentencepiece
"""

import json
import tempfile
from pathlib import Path

import sentencepiece


def main():
    folder = Path(__file__).parent
    strings = json.loads((folder.parent / "strings.json").read_text())
    texts = [text.replace("\n", " ")[:1000] for text in strings if "\0" not in text]
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("41\t61\n65 301\tE9\nFB01\t66 69\nA0\t20\n9\t20\n2460\t31\n")
        rules.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_prefix=str(folder / "tokenizer"),
            vocab_size=700,
            normalization_rule_tsv=rules.name,
            user_defined_symbols=["<sep>", "the"],
            byte_fallback=True,
            character_coverage=0.98,
            minloglevel=2,
        )
    (folder / "tokenizer.vocab").unlink()
    model = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model"))
    cases = []
    for i, text in enumerate(strings):
        if "\0" in text:
            continue  # SentencePiece's texts end there
        ids = model.encode(text)
        case = {"i": i, "ids": ids}
        if model.decode(ids) != text:
            case["decode"] = model.decode(ids)
        cases.append(case)
    golden = {"api": "sentencepiece", "vocab_size": model.vocab_size(), "cases": cases}
    (folder.parent / "unigram-spm.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
