//===- WriteFakeModel.cpp - Writes a fake model for a script --------------===//

#include "tests/runtime/artifact/FakeModel.h"

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  qrt::test::writeFakeModel(argv[1]);
}
