// RUN: not qcc-opt %s --qnt-select="rules=gate" 2>&1 | FileCheck %s --check-prefix=RULE
// RUN: not qcc-opt %s --qnt-select="rules=(gate=none" 2>&1 | FileCheck %s --check-prefix=REGEX
// RUN: not qcc-opt %s --qnt-select="default=rtn:int5.g32" 2>&1 | FileCheck %s --check-prefix=FORMAT
// RUN: not qcc-opt %s --qnt-select="default=rtn:int4" 2>&1 | FileCheck %s --check-prefix=GROUP
// RUN: not qcc-opt %s --qnt-select="default=awq:int4.g32" 2>&1 | FileCheck %s --check-prefix=METHOD
// RUN: not qcc-opt %s --qnt-select="rules=a=bnb:int4.g32" 2>&1 | FileCheck %s --check-prefix=MIXED
// RUN: not qcc-opt %s --qnt-select="lm-head=rtn:int4.g32:sym" 2>&1 | FileCheck %s --check-prefix=OPTION
// RUN: not qcc-opt %s --qnt-select="default=int4" 2>&1 | FileCheck %s --check-prefix=SPELLING
// RUN: not qcc-opt %s --qnt-select="rules=gate=none,gates?$=rtn:int4.g32,nothing=none" 2>&1 | FileCheck %s --check-prefix=UNMATCHED

// RULE: error: select_c1: rule 'gate' is not spelled REGEX=SCHEME
// REGEX: error: select_c2: '(gate' is no regular expression: parentheses not balanced
// FORMAT: error: scheme 'rtn:int5.g32': format 'int5.g32': unknown code 'int5'
// GROUP: error: scheme 'rtn:int4': format 'int4': format_c2: int4 needs a group
// METHOD: error: scheme 'awq:int4.g32': scheme_c1: unknown method 'awq' (rtn, gptq, bnb, int8)
// MIXED: error: scheme 'bnb:int4.g32': scheme_c2: bnb makes nf4 and fp4, not int4.g32
// OPTION: error: scheme 'rtn:int4.g32:sym': unknown option 'sym' (mse)
// SPELLING: error: scheme 'int4' is neither none nor spelled like rtn:int4.g128
// UNMATCHED: warning: rule 'gates?$' matches no module before another rule does
// UNMATCHED: error: select_c4: rule 'nothing' matches no module

func.func @weights() {
  %0 = tfm.param <"checkpoint"::"gate"> : tensor<64x64xf32>
  tfm.define "gate" = %0 of "gate" : tensor<64x64xf32>
  return
}
func.func @model(%step: !tfm.step, %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = tfm.weight "gate" : tensor<64x64xf32>
  %1 = tfm.linear %x, %0 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
