//===- HeaderTest.cpp - qrt.hpp is C++17 ----------------------------------===//

#include "qrt/qrt.hpp"

#include <type_traits>

static_assert(__cplusplus == 201703L);
static_assert(std::is_nothrow_move_constructible_v<qrt::api::Model> &&
              std::is_nothrow_move_constructible_v<qrt::api::Session> &&
              std::is_nothrow_move_constructible_v<qrt::api::Sampler> &&
              std::is_nothrow_move_constructible_v<qrt::api::Batch>);
