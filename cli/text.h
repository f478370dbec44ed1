// Text that a terminal may be given: nothing a server says can steer it.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace muster::cli {

enum class LineBreaks : uint8_t { KEEP, AS_SPACES };

// The text with "?" for control characters and for what is no UTF-8; tabs become spaces.
std::string printable(std::string_view text, LineBreaks lineBreaks = LineBreaks::AS_SPACES);

// The refusal with all its texts printable.
Refusal printable(const Refusal& refusal);

// Characters of a printable text; each takes one column, which is right for all that Muster writes.
size_t columnsOf(std::string_view text);

// The first characters of a printable text, at most `columns`; ends with "..." where it was cut.
std::string cutTo(std::string_view text, size_t columns);

}  // namespace muster::cli
