#include "worker/gpu/gpu_watch.h"

#include "base/kj_time.h"

#include <kj/debug.h>
#include <kj/thread.h>

#include <utility>

namespace muster::worker {
namespace {

// A look on a new thread, which nobody joins: it may hang in the kernel.
kj::Promise<GpuWatch::Troubles> lookOnThread(std::shared_ptr<GpuDriver> driver) {
  auto made = kj::newPromiseAndCrossThreadFulfiller<GpuWatch::Troubles>();
  kj::Thread thread([driver = std::move(driver), answer = kj::mv(made.fulfiller)]() mutable {
    KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { answer->fulfill(driver->troubles()); })) {
      answer->reject(kj::mv(*why));
    }
  });
  thread.detach();
  return kj::mv(made.promise);
}

}  // namespace

GpuWatch::GpuWatch(kj::Timer& timer, std::shared_ptr<GpuDriver> driver,
                   std::vector<DeviceIndex> gpus, Troubles known,
                   kj::Function<void(const Troubles&)> tell, GpuWatchPolicy policy)
    : timer_(timer),
      driver_(std::move(driver)),
      gpus_(std::move(gpus)),
      known_(std::move(known)),
      tell_(kj::mv(tell)),
      policy_(policy),
      tasks_("the GPUs' health") {
  tasks_.add(run());
}

Co<void> GpuWatch::run() {
  for (;;) {
    {
      auto late = tellWhenLate();
      Troubles found = co_await lookOnThread(driver_);
      take(std::move(found));
    }
    co_await timer_.afterDelay(toKj(policy_.interval));
  }
}

kj::Promise<void> GpuWatch::tellWhenLate() {
  return timer_.afterDelay(toKj(policy_.silence))
      .then([this] {
        Troubles all;
        for (DeviceIndex gpu : gpus_) {
          all[gpu] = "the driver has not answered for " + toText(policy_.silence);
        }
        take(std::move(all));
      })
      .eagerlyEvaluate(nullptr);
}

void GpuWatch::take(Troubles troubles) {
  if (troubles == known_) return;
  known_ = std::move(troubles);
  tell_(known_);
}

}  // namespace muster::worker
