/*===- HeaderTest.c - qrt.h is C
 * ---------------------------------------------===*/

#include "qrt/qrt.h"

/* Called by ApiTest.cpp: enums and structs are the same in both languages. */
size_t qrtTestSizeInC(int which) {
  switch (which) {
  case 0:
    return sizeof(qrt_model_options);
  case 1:
    return sizeof(qrt_model_info);
  case 2:
    return sizeof(qrt_generate_options);
  case 3:
    return sizeof(qrt_generate_result);
  case 4:
    return sizeof(qrt_step_item);
  default:
    return sizeof(qrt_status);
  }
}
