//===- qcc-lsp-server.cpp - What editors ask about files of IR ------------===//

#include "dialects/KRN/KRN.h"
#include "dialects/QNT/QNT.h"
#include "dialects/TFM/TFM.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<mlir::func::FuncDialect, qcc::tfm::TFMDialect,
                  qcc::qnt::QNTDialect, qcc::krn::KRNDialect>();
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry)) ? 1 : 0;
}
