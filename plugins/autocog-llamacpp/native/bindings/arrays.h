// Conversion of NumPy arrays.

#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace autocog {

template <typename Value>
using Array = nanobind::ndarray<const Value, nanobind::ndim<1>, nanobind::c_contig,
                                nanobind::device::cpu>;
using Int32Array = Array<std::int32_t>;
using BoolArray = Array<bool>;

// A NumPy array of this shape that owns the values.
template <typename Value>
nanobind::object array(std::vector<Value>&& values, const std::vector<std::size_t>& shape) {
  auto* owned = new std::vector<Value>(std::move(values));
  const nanobind::capsule owner(
      owned, [](void* pointer) noexcept { delete static_cast<std::vector<Value>*>(pointer); });
  return nanobind::cast(nanobind::ndarray<nanobind::numpy, Value>(owned->data(), shape.size(),
                                                                  shape.data(), owner));
}

template <typename Value>
nanobind::object array(std::vector<Value>&& values) {
  const std::size_t size = values.size();
  return array(std::move(values), std::vector<std::size_t>{size});
}

template <typename Value>
nanobind::object array(std::vector<Value>&& values, std::size_t rows, std::size_t columns) {
  return array(std::move(values), std::vector<std::size_t>{rows, columns});
}

}  // namespace autocog
