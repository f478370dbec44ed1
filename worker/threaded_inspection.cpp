#include "worker/threaded_inspection.h"

#include "base/kj_time.h"
#include "worker/model_inspector.h"

#include <kj/debug.h>
#include <kj/thread.h>

namespace muster::worker {
namespace {

using Outcome = Result<ModelManifest>;

Outcome lookSafely(const ThreadedInspection::Look& look, const std::string& source) {
  Outcome outcome = Refusal{RefusalCode::INTERNAL, "nothing was read"};
  KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { outcome = look(source); })) {
    return Refusal{RefusalCode::INTERNAL,
                   "cannot inspect model " + source + ": " + why->getDescription().cStr()};
  }
  return outcome;
}

// The outcome of a look on a new thread, which nobody joins: it may hang in the kernel.
kj::Promise<Outcome> onThread(ThreadedInspection::Look look, std::string source) {
  auto made = kj::newPromiseAndCrossThreadFulfiller<Outcome>();
  kj::Thread thread(
      [look = std::move(look), source = std::move(source),
       answer = kj::mv(made.fulfiller)]() mutable { answer->fulfill(lookSafely(look, source)); });
  thread.detach();
  return kj::mv(made.promise);
}

}  // namespace

ThreadedInspection::ThreadedInspection(kj::Timer& timer, Look look, InspectionLimits limits)
    : timer_(timer), look_(std::move(look)), limits_(limits), tasks_("model inspection") {}

kj::Promise<Outcome> ThreadedInspection::inspect(std::string source) {
  std::erase_if(queue_, [](Request& one) { return !one.answer->isWaiting(); });
  if (queue_.size() >= limits_.queueMax) {
    return Outcome(Refusal{RefusalCode::OVERLOADED,
                           std::to_string(queue_.size()) + " other models wait for inspection"});
  }
  auto made = kj::newPromiseAndFulfiller<Outcome>();
  queue_.push_back({source, kj::mv(made.fulfiller)});
  startNext();
  auto late = timer_.afterDelay(toKj(limits_.deadline))
                  .then([source, deadline = limits_.deadline]() -> Outcome {
                    return Refusal{RefusalCode::TIMED_OUT,
                                   "model " + source + " was not read within " + toText(deadline)};
                  });
  return made.promise.exclusiveJoin(kj::mv(late));
}

void ThreadedInspection::startNext() {
  while (!busy_ && !queue_.empty()) {
    Request request = kj::mv(queue_.front());
    queue_.pop_front();
    if (!request.answer->isWaiting()) continue;  // whoever asked is gone
    busy_ = true;
    auto outcome = onThread(look_, request.source);
    tasks_.add(outcome.then([this, request = kj::mv(request)](Outcome found) mutable {
      finished(kj::mv(request), kj::mv(found));
    }));
  }
}

void ThreadedInspection::finished(Request request, Outcome outcome) {
  busy_ = false;
  request.answer->fulfill(kj::mv(outcome));
  startNext();
}

ThreadedInspection::Look lookBelow(ModelRoots roots, NodeName node) {
  return [roots = std::move(roots), node = std::move(node)](const std::string& source) {
    return inspectModel(roots, source, node);
  };
}

}  // namespace muster::worker
