//===- WeightPlanes.cpp - Where the parts of a packed weight lie ----------===//

#include "codegen/cpu/WeightPlanes.h"

#include "codegen/cpu/kernels/Layout.h"

#include <algorithm>

using namespace qcc;

int64_t cpu::groupOf(qnt::PackedType weight) {
  const qrt::Format &format = weight.getFormat().getValue();
  if (!format.isQuantized())
    return weight.getColumns();
  return std::min(format.groupSize(weight.getColumns()), weight.getColumns());
}

int64_t cpu::groupOf(krn::StagedType staged) {
  int64_t group = staged.getGroup(), columns = staged.getColumns();
  return group > 0 ? std::min(group, columns) : columns;
}

cpu::WeightPlanes cpu::weightPlanes(qnt::PackedType weight) {
  const qrt::Format &format = weight.getFormat().getValue();
  WeightPlanes planes;
  if (!format.isQuantized())
    return planes;
  int64_t columns = weight.getColumns(), group = groupOf(weight);
  int64_t tiles =
      krn::roundUp(weight.getRows(), krn::kTileRows) / krn::kTileRows;
  int64_t groups = (columns + group - 1) / group;
  planes.scales =
      krn::roundUp(tiles * krn::tileBytes(columns, group, format.codeBits()),
                   krn::kLineBytes);
  if (format.zero || format.nested)
    planes.zeros =
        krn::roundUp(*planes.scales + tiles * groups * krn::kTileRows *
                                          qrt::scaleTypeBytes(format.scale),
                     krn::kLineBytes);
  return planes;
}
