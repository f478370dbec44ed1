// The thread on which a rank computes: what blocks for a step or a collective does so here, never
// on the event loop.
#pragma once

#include <kj/async.h>
#include <kj/thread.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <type_traits>

namespace muster::worker {

// Runs what it is given, one after the other.
class EngineThread {
 public:
  EngineThread();
  // Waits for what is running; what waits is dropped. Whoever runs something long must be able to
  // end it.
  ~EngineThread() noexcept(false);
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  // Resolves with what `work` returns, or throws what it throws. Dropping the promise does not stop
  // it.
  template <class Work, class Outcome = std::invoke_result_t<Work>>
  kj::Promise<Outcome> run(Work work) {
    auto paf = kj::newPromiseAndCrossThreadFulfiller<Outcome>();
    // std::function wants to be copied.
    auto fulfiller =
        std::make_shared<kj::Own<kj::CrossThreadPromiseFulfiller<Outcome>>>(kj::mv(paf.fulfiller));
    add([fulfiller, work = std::move(work)]() mutable {
      KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { (*fulfiller)->fulfill(work()); })) {
        (*fulfiller)->reject(kj::mv(*exception));
      }
    });
    return kj::mv(paf.promise);
  }

 private:
  void add(std::function<void()> work);
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> work_;
  bool ending_ = false;
  kj::Own<kj::Thread> thread_;  // last: it uses all of the others
};

}  // namespace muster::worker
