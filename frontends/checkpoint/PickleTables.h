//===- PickleTables.h - What a pickle of weights may hold -------*- C++ -*-===//
//
// Internal to Pickle.cpp: the opcodes it knows and the globals it allows.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_CHECKPOINT_PICKLETABLES_H
#define QCC_FRONTENDS_CHECKPOINT_PICKLETABLES_H

#include "frontends/checkpoint/TensorInfo.h"

#include <cstdint>
#include <string_view>

namespace qcc::pickle {

/// Opcodes by their names in pickletools.py.
enum Opcode : uint8_t {
  OpMark = '(',
  OpStop = '.',
  OpPop = '0',
  OpPopMark = '1',
  OpDup = '2',
  OpBinFloat = 'G',
  OpBinInt = 'J',
  OpBinInt1 = 'K',
  OpBinInt2 = 'M',
  OpNone = 'N',
  OpBinPersId = 'Q',
  OpReduce = 'R',
  OpBinString = 'T',
  OpShortBinString = 'U',
  OpBinUnicode = 'X',
  OpAppend = 'a',
  OpBuild = 'b',
  OpGlobal = 'c',
  OpDict = 'd',
  OpAppends = 'e',
  OpBinGet = 'h',
  OpLongBinGet = 'j',
  OpList = 'l',
  OpBinPut = 'q',
  OpLongBinPut = 'r',
  OpSetItem = 's',
  OpTuple = 't',
  OpSetItems = 'u',
  OpEmptyTuple = ')',
  OpEmptyList = ']',
  OpEmptyDict = '}',
  OpProto = 0x80,
  OpTuple1 = 0x85,
  OpTuple2 = 0x86,
  OpTuple3 = 0x87,
  OpNewTrue = 0x88,
  OpNewFalse = 0x89,
  OpLong1 = 0x8a,
  OpShortBinUnicode = 0x8c,
  OpBinUnicode8 = 0x8d,
  OpStackGlobal = 0x93,
  OpMemoize = 0x94,
  OpFrame = 0x95,
};

/// What a function or class that state dictionaries name stands for.
enum class Known : uint8_t {
  OrderedDict,
  RebuildTensor,    ///< torch 0.x: (storage, offset, shape, strides)
  RebuildTensorV2,  ///< the same, (..., requires_grad, hooks[, metadata])
  RebuildTensorV3,  ///< the same, with a type
  RebuildParameter, ///< (tensor, requires_grad, hooks[, state])
  Size,             ///< a tuple
  Device,           ///< (name)
  Storage,          ///< of a type
  Type,             ///< torch.float16 and the like
};

/// A function or class that a pickle may name; every other is refused.
struct Global {
  std::string_view name; ///< "module name"
  Known known;
  TensorType type = TensorType::F32;
};

inline constexpr Global kGlobals[] = {
    {"collections OrderedDict", Known::OrderedDict},
    {"torch._utils _rebuild_tensor", Known::RebuildTensor},
    {"torch._utils _rebuild_tensor_v2", Known::RebuildTensorV2},
    {"torch._utils _rebuild_tensor_v3", Known::RebuildTensorV3},
    {"torch._utils _rebuild_parameter", Known::RebuildParameter},
    {"torch._utils _rebuild_parameter_with_state", Known::RebuildParameter},
    {"torch Size", Known::Size},
    {"torch device", Known::Device},
    {"torch DoubleStorage", Known::Storage, TensorType::F64},
    {"torch FloatStorage", Known::Storage, TensorType::F32},
    {"torch HalfStorage", Known::Storage, TensorType::F16},
    {"torch BFloat16Storage", Known::Storage, TensorType::BF16},
    {"torch LongStorage", Known::Storage, TensorType::I64},
    {"torch IntStorage", Known::Storage, TensorType::I32},
    {"torch ShortStorage", Known::Storage, TensorType::I16},
    {"torch CharStorage", Known::Storage, TensorType::I8},
    {"torch ByteStorage", Known::Storage, TensorType::U8},
    {"torch BoolStorage", Known::Storage, TensorType::Bool},
    {"torch UntypedStorage", Known::Storage, TensorType::U8},
    {"torch.storage UntypedStorage", Known::Storage, TensorType::U8},
    {"torch float64", Known::Type, TensorType::F64},
    {"torch float32", Known::Type, TensorType::F32},
    {"torch float16", Known::Type, TensorType::F16},
    {"torch bfloat16", Known::Type, TensorType::BF16},
    {"torch int64", Known::Type, TensorType::I64},
    {"torch int32", Known::Type, TensorType::I32},
    {"torch int16", Known::Type, TensorType::I16},
    {"torch int8", Known::Type, TensorType::I8},
    {"torch uint64", Known::Type, TensorType::U64},
    {"torch uint32", Known::Type, TensorType::U32},
    {"torch uint16", Known::Type, TensorType::U16},
    {"torch uint8", Known::Type, TensorType::U8},
    {"torch bool", Known::Type, TensorType::Bool},
};

} // namespace qcc::pickle

#endif // QCC_FRONTENDS_CHECKPOINT_PICKLETABLES_H
