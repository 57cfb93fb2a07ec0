//===- qcc-opt.cpp - Runs passes on files of IR ---------------------------===//

#include "dialects/KRN/KRN.h"
#include "dialects/QNT/QNT.h"
#include "dialects/TFM/TFM.h"
#include "passes/RegisterPasses.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<mlir::func::FuncDialect, qcc::tfm::TFMDialect,
                  qcc::qnt::QNTDialect, qcc::krn::KRNDialect>();
  mlir::registerTransformsPasses();
  qcc::registerAllPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "qcc's optimizer driver\n", registry));
}
