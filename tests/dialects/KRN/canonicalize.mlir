// RUN: qcc-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @view_of_all
// CHECK-SAME: (%[[X:.*]]: !krn.buffer<64>)
func.func @view_of_all(%x: !krn.buffer<64>) -> !krn.buffer<64> {
  %0 = krn.view %x[0] : !krn.buffer<64> -> !krn.buffer<64>
  // CHECK-NEXT: return %[[X]]
  return %0 : !krn.buffer<64>
}

// Phases write what they are handed: they stay. Views that nothing reads go.
// CHECK-LABEL: func.func @phases_stay
func.func @phases_stay(%x: !krn.buffer<64>) {
  // CHECK-NEXT: krn.add
  krn.add %x, %x to %x : !krn.buffer<64>, !krn.buffer<64>, !krn.buffer<64>
  %0 = krn.view %x[32] : !krn.buffer<64> -> !krn.buffer<32, stride = 64>
  // CHECK-NEXT: krn.barrier
  krn.barrier
  // CHECK-NEXT: return
  return
}
