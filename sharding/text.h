// Small helpers for the sentences of refusals and reasons.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace muster::sharding {

// A name from a foreign file in double quotes: control characters escaped, cut after 120 bytes.
std::string inQuotes(std::string_view name);

std::string shapeText(const std::vector<uint64_t>& shape);  // "[4096, 1024]"

// "1 device", "3 devices".
std::string counted(uint64_t count, std::string_view noun);

// "a, b and c"; at most `most` items, then "and 7 more". "none" for an empty list.
std::string listText(const std::vector<std::string>& items, size_t most = 8);

}  // namespace muster::sharding
