#include "worker/rank_scope.h"

#include <unistd.h>
#include <utility>

namespace muster::worker {
namespace {

class ScopedRunner final : public ProcessRunner {
 public:
  ScopedRunner(ProcessRunner& inner, RankScopes scopes)
      : inner_(inner), scopes_(std::move(scopes)) {}

  kj::Own<ChildProcess> spawn(const ProcessSpec& spec) override {
    if (access(scopes_.socket.c_str(), W_OK) != 0 || access(scopes_.program.c_str(), X_OK) != 0) {
      return inner_.spawn(spec);
    }
    ProcessSpec scoped = spec;
    scoped.argv.insert(scoped.argv.begin(), {scopes_.program, scopes_.socket});
    return inner_.spawn(scoped);
  }

  kj::Maybe<kj::Own<ChildProcess>> adopt(ProcessId id) override { return inner_.adopt(id); }

 private:
  ProcessRunner& inner_;
  RankScopes scopes_;
};

}  // namespace

kj::Own<ProcessRunner> makeScopedRunner(ProcessRunner& inner, RankScopes scopes) {
  return kj::heap<ScopedRunner>(inner, std::move(scopes));
}

}  // namespace muster::worker
