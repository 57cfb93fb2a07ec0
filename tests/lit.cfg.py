"""How lit runs the tests of the tools: dialects, passes, and whole programs.

Substitutions: the tools by name, and %shared, the folder of the shared test
data (tests that use it say `REQUIRES: shared-data`). With QCC_VERIFY_ROUNDTRIP=1
in the environment, every input of qcc-opt is also printed and parsed again.
"""

import os

import lit.formats
from lit.llvm import llvm_config
from lit.llvm.subst import ToolSubst

config.name = "qcc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = config.qcc_obj_root

# FileCheck variables live from one CHECK-LABEL to the next, and a prefix that
# matches no line of the test is a mistake. Words of the user's come last.
config.environment["FILECHECK_OPTS"] = " ".join(
    ["-enable-var-scope", "--allow-unused-prefixes=false"]
    + os.environ.get("FILECHECK_OPTS", "").split()
)
llvm_config.with_system_environment(
    ["ASAN_OPTIONS", "HOME", "LSAN_OPTIONS", "QRT_CPU", "TMPDIR", "UBSAN_OPTIONS"]
)
# No test asks the network.
config.environment["HF_HUB_OFFLINE"] = "1"

shared = os.environ.get("QCC_SHARED_DATA", config.qcc_shared_data)
if os.path.isdir(shared):
    config.available_features.add("shared-data")
    shared = os.path.realpath(shared)
config.substitutions.append(("%shared", shared))

# A tool that was not built is no error here: its tests fail by themselves.
roundtrip = os.environ.get("QCC_VERIFY_ROUNDTRIP", "") not in ("", "0")
opt_args = ["--verify-roundtrip"] if roundtrip else []
llvm_config.use_default_substitutions()
llvm_config.add_tool_substitutions(
    [ToolSubst("qcc-opt", extra_args=opt_args, unresolved="ignore")]
    + [
        ToolSubst(tool, unresolved="ignore")
        for tool in ("qcc-lsp-server", "qcc", "qrt")
    ],
    [config.qcc_tools_dir, config.llvm_tools_dir],
)
