#include "protocol/daemon_main.h"

#include "base/exception_refusal.h"
#include "base/no_stack_traces.h"
#include "protocol/error_text.h"

#include <kj/exception.h>

#include <cstdio>

namespace muster {
namespace {

// What to do next, for failures whose exception cannot say it.
Refusal withNextStep(Refusal refusal, const std::string& program) {
  if (refusal.code == RefusalCode::PORT_IN_USE && refusal.fixes.empty()) {
    refusal.fixes = {"ss -ltnp shows which program listens there; stop it, or give another address",
                     program + " --check-config shows whether the file is right"};
  }
  return refusal;
}

}  // namespace

int complain(const Refusal& refusal, int exitStatus, const std::string& fileName) {
  std::fputs(toErrorText(refusal, {.fileName = fileName}).c_str(), stderr);
  return exitStatus;
}

int runDaemon(const std::string& program, const std::function<int()>& act) {
  NoStackTraces quiet;
  int status = 0;
  KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { status = act(); })) {
    return complain(withNextStep(refusalOf(*why), program), EXIT_FAILED);
  }
  return status;
}

}  // namespace muster
