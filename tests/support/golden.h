// Golden files: what people and other versions read, compared byte by byte and reviewed like code.
#pragma once

#include <string>
#include <string_view>

namespace muster::testing {

// Fails the current test unless tests/<path> holds exactly `actual`, and says how to rewrite it.
// With MUSTER_UPDATE_GOLDEN=1 in the environment it writes the file instead.
void expectGolden(std::string_view path, std::string_view actual);

}  // namespace muster::testing
