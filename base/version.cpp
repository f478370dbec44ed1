#include "base/version.h"

namespace muster {

const char* const VERSION = MUSTER_VERSION;
const char* const COMMIT = MUSTER_COMMIT;

}  // namespace muster
