// Exceptions that do not write down where they came from.
#pragma once

#include <kj/exception.h>

namespace muster {

// Each connection that ends throws a few exceptions through kj's promises, and kj walks the stack
// for each: a sixth of what thousands of workers cost that lose their leader at once. Nobody reads
// those traces, our messages are descriptions. As a local variable it holds for this thread until
// the block ends.
class NoStackTraces final : public kj::ExceptionCallback {
 public:
  StackTraceMode stackTraceMode() override { return StackTraceMode::NONE; }
};

}  // namespace muster
