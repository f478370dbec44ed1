// Unicode's composed form. The adapter to utf8proc.
#pragma once

#include <string>
#include <string_view>

namespace muster::worker {

// Normalization Form C of valid UTF-8. Source: Unicode Standard Annex 15.
std::string composed(std::string_view text);

}  // namespace muster::worker
