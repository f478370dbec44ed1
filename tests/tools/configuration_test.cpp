// docs/CONFIGURATION.md says what the daemons read: it is made from their own tables of keys.
#include "base/config.h"
#include "coordinator/config.h"
#include "gateway/config.h"
#include "tests/support/golden.h"
#include "worker/config.h"

#include <gtest/gtest.h>

namespace muster::configuration_test {
namespace {

constexpr const char* INTRO =
    "# Configuration\n\n"
    "The daemons read TOML from `/etc/muster/` or from `--config FILE`. A flag `--KEY VALUE` wins "
    "over a variable `MUSTER_KEY` (dots become `_`, letters capitals), which wins over the file, "
    "which wins over the default. Unknown keys are errors; `--check-config` tests a file. "
    "Durations are text such as `\"30s\"`, sizes text such as `\"4GiB\"`.\n\n"
    "This page is generated: `MUSTER_UPDATE_GOLDEN=1` and the test `tools/configuration_test` "
    "write it anew.\n";

TEST(Configuration, theDocumentationNamesEveryKey) {
  std::string text = INTRO;
  for (const ConfigSchema* schema :
       {&coordinator::coordinatorSchema(), &worker::workerSchema(), &gateway::gatewaySchema()}) {
    text += "\n" + toMarkdown(*schema);
  }
  muster::testing::expectGolden("../docs/CONFIGURATION.md", text);
}

}  // namespace
}  // namespace muster::configuration_test
