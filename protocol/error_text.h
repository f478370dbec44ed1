// A refusal as people read it: what failed, where, why, and the next command.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace muster {

enum class Colour : uint8_t { OFF, ON };

struct ErrorTextOptions {
  std::string_view fileName;  // of the input the errors are in; may be empty
  Colour colour = Colour::OFF;
};

// One block for each error of an input, or one for the refusal itself; each line ends with a line
// break:
//   error[E0104]: unknown field "paralell" in deployment chat-70b
//     --> chat-70b.yaml:6:1
//     6 | paralell: {tp: 8}
//       | ^^^^^^^^ did you mean "parallel"?
//     help: muster explain deployment
// Colour only repeats what the words say.
std::string toErrorText(const Refusal& refusal, const ErrorTextOptions& options = {});

}  // namespace muster
