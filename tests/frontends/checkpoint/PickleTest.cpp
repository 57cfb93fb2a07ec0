//===- PickleTest.cpp - Tests of the machine that executes nothing --------===//

#include "frontends/checkpoint/Pickle.h"

#include "tests/frontends/checkpoint/PickleWriter.h"

using namespace qcc;
using namespace qcc::test;
using namespace std::string_literals;
namespace p = qcc::test::pickle;

namespace {

/// Texts of the result refer to `bytes`.
struct Read {
  std::vector<uint8_t> bytes;
  Pickled pickled;

  explicit Read(const std::string &text) : bytes(toBytes(text)) {
    pickled = readPickle(bytes, 0, "f");
  }
};

std::string errorIn(const std::string &text) {
  return errorOf([&] { Read read(text); });
}

TEST(Pickle, ReadsTensors) {
  Read read(p::dict(p::text("a") + p::tensor(6, 1, {2, 2}, {3, 1}) +
                    p::text("n") + "N" + p::text("b") +
                    p::tensor(6, 0, {}, {})));
  ASSERT_EQ(read.pickled.tensors.size(), 2u);
  const PickledTensor &a = read.pickled.tensors[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.storage.key, "0");
  EXPECT_EQ(a.storage.elements, 6);
  EXPECT_EQ(a.type, TensorType::F32);
  EXPECT_EQ(a.offset, 1);
  EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(a.strides, (std::vector<int64_t>{3, 1}));
  EXPECT_TRUE(read.pickled.tensors[1].shape.empty());
  EXPECT_EQ(read.pickled.bytes, read.bytes.size());
}

/// As Python does, of equal keys the last counts.
TEST(Pickle, LastOfEqualKeysCounts) {
  Read read(p::dict(p::text("a") + p::tensor(1, 0, {1}, {1}) + p::text("a") +
                    p::tensor(2, 0, {2}, {1})));
  ASSERT_EQ(read.pickled.tensors.size(), 1u);
  EXPECT_EQ(read.pickled.tensors[0].shape[0], 2);
}

/// The other opcodes of protocols 2 to 5: memo, lists, POP, DUP, LONG1,
/// STACK_GLOBAL, FRAME, MEMOIZE.
TEST(Pickle, RunsPlainOpcodes) {
  EXPECT_EQ(Read("\x80\x04\x95\0\0\0\0\0\0\0\0"
                 "(\x8c\1a\x94h\0U\1bT\1\0\0\0cl(\x8c\1d0e."s)
                .pickled.strings,
            (std::vector<std::string_view>{"a", "a", "b", "c"}));
  EXPECT_EQ(Read("\x80\2](\x8a\0\x8a\1\xff\x8a\x09\1\1\1\1\1\1\1\1\1"
                 "G\0\0\0\0\0\0\0\0K\1M\1\1N\x88\x89(10K\1"
                 "2e\x8c\1xa."s)
                .pickled.strings,
            (std::vector<std::string_view>{"x"}));
  Read read("\x80\4(\x8c\1w\x8c\x0c"
            "torch._utils\x8c\x12_rebuild_tensor_v2\x93("s +
            p::storage(1, "k", "HalfStorage") +
            "K\0))\x89\x8c\x0b"
            "collections\x8c\x0bOrderedDict\x93)RtRd."s);
  ASSERT_EQ(read.pickled.tensors.size(), 1u);
  EXPECT_EQ(read.pickled.tensors[0].type, TensorType::F16);
}

TEST(Pickle, RefusesCode) {
  for (auto [module, name] :
       {std::pair<const char *, const char *>{"os", "system"},
        {"posix", "system"},
        {"builtins", "eval"},
        {"subprocess", "Popen"},
        {"torch.storage", "_load_from_bytes"},
        {"torch", "load"},
        {"torch._utils", "_rebuild_tensor_v2 "},
        {"torch._utils _rebuild_tensor_v2", ""},
        {"", ""}}) {
    std::string name1 = std::string(module) + "." + name;
    std::string want = "the pickle names the function or class '" + name1 +
                       "', which weights do not need at byte ";
    std::string in = " in f; nothing was executed";
    EXPECT_EQ(errorIn("\x80\2" + p::global(module, name) + "(" +
                      p::text("touch /tmp/x") + "tR."),
              want + "2" + in);
    EXPECT_EQ(errorIn("\x80\4" + p::text(module) + p::text(name) + "\x93)R."),
              want +
                  std::to_string(12 + std::strlen(module) + std::strlen(name)) +
                  in);
  }
  // INST, OBJ, NEWOBJ, EXT1, NEXT_BUFFER and the text opcodes of protocol 0.
  for (const std::string op : {"ios\nsystem\n", "o", "\x81", "\x82\1", "\x97",
                               "I1\n", "S'a'\n", "P0\n", "\x92"})
    EXPECT_EQ(errorIn("\x80\2" + op),
              "the pickle has the opcode " + std::to_string(uint8_t(op[0])) +
                  ", which weights do not need at byte 2 in f");
  EXPECT_EQ(errorIn("\x80\2" + p::global("torch", "FloatStorage") + ")R."),
            "the pickle calls 'torch FloatStorage' at byte 23 in f");
  EXPECT_EQ(errorIn("\x80\2})R."),
            "what the pickle calls is a dict, not a class name at byte 4 in f");
}

TEST(Pickle, RefusesNonsense) {
  EXPECT_EQ(errorIn("\x80\1"),
            "pickle protocol 1 is not supported; 2 to 5 are at byte 0 in f");
  EXPECT_EQ(errorIn("\x80\2."),
            "the pickle takes a value that is not there at byte 2 in f");
  EXPECT_EQ(errorIn("\x80\2N(\x85."),
            "the pickle takes a value that is not there at byte 4 in f");
  EXPECT_EQ(errorIn("\x80\2Nt"), "the pickle has no mark at byte 3 in f");
  EXPECT_EQ(errorIn("\x80\2j\xff\xff\xff\xff"),
            "the pickle's memo has no entry 4294967295 at byte 2 in f");
  EXPECT_EQ(
      errorIn("\x80\2}(Nu"),
      "the pickle has a dict with a key that has no value at byte 5 in f");
  EXPECT_EQ(errorIn("\x80\2](Ns"),
            "the pickle takes a value that is not there at byte 5 in f");
  EXPECT_EQ(errorIn("\x80\2NNa"),
            "the pickle has None instead of a list at byte 4 in f");
  EXPECT_EQ(errorIn("\x80\2NNb"),
            "the pickle sets attributes of None at byte 4 in f");
  EXPECT_EQ(errorIn("\x80\2NQ"),
            "a persistent id is None, not a tuple at byte 3 in f");
  EXPECT_EQ(errorIn("\x80\2" + p::storage(-1)),
            "a storage's size is -1 at byte 55 in f");
  EXPECT_EQ(errorIn(p::dict(p::text("a") + p::tensor(1, -1, {1}, {1}))),
            "a tensor's offset is -1 at byte 120 in f");
  EXPECT_EQ(errorIn(p::dict(p::text("a") + p::tensor(1, 0, {1, 1}, {1}))),
            "a tensor has 2 dimensions but 1 strides at byte 125 in f");
}

/// Python 2 calls OrderedDict with a list of pairs.
TEST(Pickle, ReadsListsOfPairs) {
  auto ordered = [](const std::string &pairs) {
    return p::join({"\x80\2", p::global("collections", "OrderedDict"), "](",
                    pairs, "e\x85R."});
  };
  std::string pair =
      p::join({"(", p::text("a"), p::tensor(1, 0, {1}, {1}), "l"});
  Read read(ordered(pair));
  ASSERT_EQ(read.pickled.tensors.size(), 1u);
  EXPECT_EQ(read.pickled.tensors[0].name, "a");
  // An item that would shift all that follow, or is no list.
  for (const std::string &wrong :
       {p::join({"(", p::text("a"), "l"}), p::join({pair, "(NNNl"}),
        std::string("N"), std::string("]")})
    EXPECT_TRUE(errorIn(ordered(wrong))
                    .starts_with("the pickle has a dict whose content is no "
                                 "list of pairs, or is too long"))
        << errorIn(ordered(wrong));
}

/// Lengths that the file does not have are refused before anything is
/// allocated.
TEST(Pickle, RefusesHugeLengths) {
  const std::string want = "the file ends inside a pickle at byte 2 in f; the "
                           "file may be truncated";
  EXPECT_EQ(errorIn("\x80\2X\xff\xff\xff\xff"), want);
  EXPECT_EQ(errorIn("\x80\2T\xff\xff\xff\x7f"), want);
  EXPECT_EQ(errorIn("\x80\2\x8d\xff\xff\xff\xff\xff\xff\xff\xff"), want);
  EXPECT_EQ(errorIn("\x80\2\x8a\xff"), want);
  EXPECT_EQ(errorIn("\x80\2"
                    "cos"),
            want);
}

/// Deep and cyclic values take no stack, and values are bounded.
TEST(Pickle, BoundsDepthAndNumber) {
  std::string deep = "\x80\2";
  for (int i = 0; i < 1'000'000; ++i)
    deep += i % 2 ? "\x85" : ")";
  EXPECT_EQ(errorIn(deep + "."), "no error");
  // A list that holds itself.
  EXPECT_EQ(errorIn("\x80\2]q\0h\0a."s), "no error");
  EXPECT_EQ(errorIn("\x80\2" + std::string(5'000'000, '}')),
            "the pickle has more than 4194304 values at byte 4194306 in f");
  EXPECT_EQ(errorIn("\x80\2" + std::string(1'000'000, '(') + "}."), "no error");
  // A memo with far-apart entries.
  EXPECT_EQ(errorIn("\x80\2Nr\xff\xff\xff\xff."), "no error");
  // Growing twice at every step is not possible: tuples hold references.
  std::string bomb = "\x80\2N";
  for (int i = 0; i < 100'000; ++i)
    bomb += "2\x86";
  EXPECT_EQ(errorIn(bomb + "."), "no error");
}

} // namespace
