// Reads rows of logits.

#pragma once

#include <cstdint>
#include <vector>

namespace autocog {

// Logsumexp of a row (V,), within 1e-6 nats; NaN if a value is NaN, or the largest is not finite.
double logsumexp_row(const float* row, std::size_t width);

// Logsumexp of the values of a row where `mask` allows (null: everywhere); -inf if it allows none
// that is finite.
double mask_logsumexp(const float* row, std::size_t width, const std::uint8_t* mask);

// The ids of the `count` largest finite values of a row where `mask` allows (null: everywhere),
// largest first; the lower id first if values are equal.
std::vector<std::int32_t> top_k_ids(const float* row, std::size_t width, std::size_t count,
                                    const std::uint8_t* mask);

}  // namespace autocog
