// UTF-8 as bytes that may end anywhere. Source: RFC 3629.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace muster::worker {

// Overlong forms, surrogates and code points above U+10FFFF are not valid.
bool isUtf8(std::string_view bytes);

// How many bytes at the end of `bytes` may be the beginning of a character: 0 to 3.
size_t unfinishedUtf8(std::string_view bytes);

// Each byte that belongs to no character becomes U+FFFD.
std::string repairUtf8(std::string_view bytes);

}  // namespace muster::worker
