// From the exception of a failure to the refusal that a user is shown.
#pragma once

#include "base/result.h"

#include <kj/exception.h>

namespace muster {

// Our exceptions name the code of their refusal in the text: "E0707 disk full: ...". The refusal of
// the first code named, with the text behind it; INTERNAL with the whole text when none is.
Refusal refusalOf(const kj::Exception& exception);

}  // namespace muster
