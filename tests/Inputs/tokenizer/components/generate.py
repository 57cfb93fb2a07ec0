#!/usr/bin/env python3
"""Writes small tokenizers of random components, NN.json, and what Hugging Face's
tokenizers make of hostile texts with them, NN.golden: a list of
{"text", "ids", "special", "literal", "decode", "skip"} (ids without and with
what the post-processor adds and with special tokens as plain text; the text of
`ids`, and of `special` without special tokens) and of {"decode_ids", "decode"}.

    generate.py [SEED [COUNT [FOLDER]]]

Needs: pip install tokenizers sentencepiece
"""

import io
import json
import random
import string
import sys
import tempfile
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers import decoders as D
from tokenizers import models, processors, trainers
from tokenizers import normalizers as N
from tokenizers import pre_tokenizers as P

SPECIAL = ["<s>", "</s>", "<unk>", "<|end|>", "[MASK]", "<pad>"]
REGEXES = [
    r"\p{L}+", r" ?\p{L}+", r"\s+", r"\d", r"\p{N}{1,3}", r"[^\s\p{L}]+",
    r"'s|'t| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", r"\n",
    r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"\w+|[^\w\s]+", r"[A-Z][a-z]*", r"\b", r"(?=[A-Z])", r"\p{Han}",
    r"[[:punct:]]", r"\S+", r"\h+|\H", r"^.", r".$", r"\A.|\z", r"x*",
    r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"[\w&&[^\d]]+", r"(\d{3})(?=\d)", r"(?<=\d)(?=\D)", r"a|b|", r"[\t ]+",
    r"[^(\s|.,!?…。，、।۔،)]+", r"[一-龥]", r"(?:\r?\n)+(?!\r?\n)",
    r"[^\p{Letter}&&[^\d]]", r"\p{Punctuation}",
]  # fmt: skip
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next",
             "contiguous"]  # fmt: skip
TEXTS = [
    "Hello, world! It's 12,345.67 o'clock; I'll be there.", "naïve café Ångström",
    "ﬁne ½ ① Ａｂｃ ｶﾞ", "각각 東京タワー です。", "İstanbul ıI ẞß ǅ ﷺ", "नमस्ते दुनिया",
    "สวัสดี", "مرحبا ٠١٢٣", "👩‍👩‍👧‍👦🏳️‍🌈", "1234567", "\x01\x7f\x80", "a\0b", "x\u2028y\u1680z",
    "!!!???...  --", "snake_case camelCase HTTPServer", "   leading and trailing  ",
    "\n\n\tdef f(x):\n        return x", " ", "the the The THE", "▁x▁ Ġ",
]  # fmt: skip


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.charsmap = make_charsmap()

    def maybe(self, p=0.5):
        return self.random.random() < p

    def text(self):
        r = self.random
        kind = r.randrange(6)
        if kind == 0:
            ranges = [(1, 0x250), (0x300, 0x370), (0x1100, 0x1200), (0x3040, 0x3100),
                      (0x4E00, 0x4F00), (0x1F300, 0x1F600)]  # fmt: skip
            return "".join(
                chr(r.randrange(*r.choice(ranges))) for _ in range(r.randrange(1, 20))
            )
        if kind == 1:
            parts = [" ", "  ", "\n", "\t", "\r\n", "\xa0", "\u3000", "a", "B", "1",
                     "é", "e\u0301", ".", "'s", "don't", "▁", "Ġ"]  # fmt: skip
            return "".join(r.choice(parts) for _ in range(r.randrange(1, 20)))
        if kind == 2:
            return r.choice(SPECIAL).join(r.choice(TEXTS)[:15] for _ in range(3))
        if kind == 3:
            letters = "".join(r.choice(string.printable) for _ in range(12))
            return letters + r.choice(SPECIAL) + r.choice([" ", "  x", ""])
        return r.choice(TEXTS)

    def normalizer(self):
        kind = self.random.randrange(14)
        plain = [N.NFC, N.NFD, N.NFKC, N.NFKD, N.Lowercase, N.StripAccents, N.Nmt,
                 N.ByteLevel]  # fmt: skip
        if kind < len(plain):
            return plain[kind]()
        pick = self.random.choice
        return {
            8: lambda: N.Strip(self.maybe(), self.maybe()),
            9: lambda: N.Prepend(pick(["▁", "x"])),
            10: lambda: N.Replace(pick([" ", "a", "  "]), pick(["▁", "", "b "])),
            11: lambda: N.Replace(Regex(pick(REGEXES)), pick(["▁", "", "X"])),
            12: lambda: N.BertNormalizer(
                self.maybe(), self.maybe(), pick([None, True, False]), self.maybe()
            ),
            13: lambda: N.Precompiled(self.charsmap),
        }[kind]()

    def pre_tokenizer(self):
        pick = self.random.choice
        # Which text is first of all depends on Hugging Face's offsets, which are
        # not followed through normalizers here.
        schemes = ["always", "never"] + ["first"] * (not self.is_normalized)
        scheme = pick(schemes)
        return pick([
            lambda: P.Split(Regex(pick(REGEXES)), pick(BEHAVIORS), self.maybe(0.3)),
            lambda: P.Split(pick([" ", ".", "the"]), pick(BEHAVIORS), self.maybe(0.3)),
            lambda: P.Digits(self.maybe()),
            lambda: P.Metaspace("▁", scheme, self.maybe()),
            lambda: P.Punctuation(pick(BEHAVIORS)),
            P.Whitespace,
            P.WhitespaceSplit,
            P.BertPreTokenizer,
            lambda: P.CharDelimiterSplit(pick(" -,.e")),
            P.UnicodeScripts,
            lambda: P.FixedLength(self.random.randrange(1, 7)),
            lambda: P.ByteLevel(self.maybe(), True, self.maybe()),
        ])()  # fmt: skip

    def decoder(self):
        pick = self.random.choice
        return pick([
            D.ByteLevel,
            D.ByteFallback,
            D.Fuse,
            lambda: D.Metaspace("▁", pick(["always", "first", "never"])),
            lambda: D.Replace(pick(["▁", "a", Regex(r"\s+")]), pick([" ", "", "x"])),
            lambda: D.Strip(pick([" ", "a"]), pick(range(3)), pick(range(3))),
            lambda: D.WordPiece("##", self.maybe()),
            lambda: D.BPEDecoder("</w>"),
        ])()  # fmt: skip

    def post_processor(self):
        return self.random.choice([
            None,
            processors.TemplateProcessing(
                single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
            ),
            processors.RobertaProcessing(("</s>", 2), ("<s>", 1)),
            processors.BertProcessing(("</s>", 2), ("<s>", 1)),
            processors.Sequence([
                processors.ByteLevel(trim_offsets=False),
                processors.TemplateProcessing(
                    single="<s>:0 $A:0", special_tokens=[("<s>", 1)]
                ),
            ]),
        ])  # fmt: skip

    def tokenizer(self):
        r = self.random
        is_bytes = self.maybe(0.4)
        is_unigram = not is_bytes and self.maybe()
        if is_unigram:
            model = models.Unigram()
        else:
            model = models.BPE(
                unk_token=None if is_bytes else r.choice([None, "<unk>"]),
                fuse_unk=self.maybe(),
                byte_fallback=self.maybe(0.4),
                ignore_merges=self.maybe(0.3),
            )
        tokenizer = Tokenizer(model)
        steps = [self.normalizer() for _ in range(r.choice([0, 0, 1, 1, 2]))]
        self.is_normalized = bool(steps)
        if steps:
            tokenizer.normalizer = N.Sequence(steps)
        steps = [self.pre_tokenizer() for _ in range(r.choice([0, 1, 1, 2]))]
        if is_bytes:
            steps.append(P.ByteLevel(self.maybe(), True, self.maybe()))
        if steps:
            tokenizer.pre_tokenizer = P.Sequence(steps)
        steps = [self.decoder() for _ in range(r.choice([0, 1, 1, 2]))]
        if is_bytes and self.maybe(0.8):
            steps.insert(0, D.ByteLevel())
        if steps:
            tokenizer.decoder = D.Sequence(steps)
        special = ["<unk>", "<s>", "</s>"]
        if self.maybe(0.3):
            special += [f"<0x{byte:02X}>" for byte in range(256)]
        options = dict(
            vocab_size=r.randrange(60, 160) + (len(special) if len(special) > 3 else 0),
            special_tokens=special,
            show_progress=False,
        )
        if is_unigram:
            trainer = trainers.UnigramTrainer(unk_token="<unk>", **options)
        else:
            trainer = trainers.BpeTrainer(limit_alphabet=80, **options)
        tokenizer.train_from_iterator(TEXTS, trainer)
        content = json.loads(tokenizer.to_str())
        content["added_tokens"] = content["added_tokens"][:3]
        if is_unigram:
            content["model"]["byte_fallback"] = self.maybe(0.4)
        tokenizer = Tokenizer.from_str(json.dumps(content))
        for text in r.sample(SPECIAL, 2) + ["The", "  "]:
            if not self.maybe(0.4):
                continue
            token = AddedToken(
                text,
                lstrip=self.maybe(0.3),
                rstrip=self.maybe(0.3),
                single_word=self.maybe(0.2),
                normalized=self.maybe(0.3),
            )
            if text in SPECIAL:
                tokenizer.add_special_tokens([token])
            else:
                tokenizer.add_tokens([token])
        processor = self.post_processor()
        if processor:
            tokenizer.post_processor = processor
        return tokenizer

    def golden(self, tokenizer):
        literal = Tokenizer.from_str(tokenizer.to_str())
        literal.encode_special_tokens = True
        cases = []
        for text in {self.text() for _ in range(20)}:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            special = tokenizer.encode(text).ids
            cases.append({
                "text": text,
                "ids": ids,
                "special": special,
                "literal": literal.encode(text, add_special_tokens=False).ids,
                "decode": tokenizer.decode(ids, skip_special_tokens=False),
                "skip": tokenizer.decode(special),
            })  # fmt: skip
        for _ in range(4):
            ids = [self.random.randrange(tokenizer.get_vocab_size()) for _ in range(8)]
            text = tokenizer.decode(ids, skip_special_tokens=False)
            cases.append({"decode_ids": ids, "decode": text})
        return sorted(cases, key=json.dumps)


def make_charsmap():
    """A small map as SentencePiece compiles it: precompiled_charsmap, field 2 of
    normalizer_spec, field 3 of the model."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("41\t61\n42\t62 62\n65 301\tE9\nFB01\t66 69\nA0\t20\n2460\t31\n")
        rules.flush()
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS),
            model_writer=model,
            vocab_size=200,
            normalization_rule_tsv=rules.name,
            hard_vocab_limit=False,
            minloglevel=2,
        )

    def fields(data):
        at = 0

        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value

        while at < len(data):
            tag = varint()
            if tag & 7 == 0:
                varint()
                continue
            size = {1: 8, 5: 4}.get(tag & 7) or varint()
            yield tag >> 3, data[at : at + size]
            at += size

    spec = dict(fields(model.getvalue()))[3]
    return dict(fields(spec))[2]


def main():
    seed, count = (int(a) for a in (sys.argv[1:3] + ["6", "40"][len(sys.argv) - 1 :]))
    folder = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(__file__).parent
    maker = Maker(seed)
    made = 0
    while made < count:
        try:
            tokenizer = maker.tokenizer()
            golden = maker.golden(tokenizer)
        except KeyboardInterrupt:
            raise
        except BaseException:
            continue  # the trainer or a component panics on some combinations
        name = folder / f"{made:02}"
        name.with_suffix(".json").write_text(
            json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False) + "\n"
        )
        lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in golden)
        name.with_suffix(".golden").write_text(f"[{lines}]\n")
        made += 1


if __name__ == "__main__":
    main()
