// What is read from a row of logits: its logsumexp, and its likeliest tokens.

#pragma once

#include <cstdint>
#include <vector>

namespace autocog {

// Logsumexp of a row (V,), within 1e-6 nats; NaN if any of it is NaN, or nothing is finite.
double total(const float* row, std::size_t width);

// The `count` likeliest ids of a row where `mask` allows (null: everywhere) and that are possible,
// likeliest first; of equal ones the lower id.
std::vector<std::int32_t> likeliest(const float* row, std::size_t width, std::size_t count,
                                    const std::uint8_t* mask);

}  // namespace autocog
