// What was built. Told by version.cpp alone, so that another version compiles one file.
#pragma once

namespace muster {

extern const char* const VERSION;  // "0.1.0"
extern const char* const COMMIT;   // the first 12 digits of the source's commit, or "unknown"

}  // namespace muster
