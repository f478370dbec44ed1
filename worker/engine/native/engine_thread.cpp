#include "worker/engine/native/engine_thread.h"

#include <utility>

namespace muster::worker {

EngineThread::EngineThread() : thread_(kj::heap<kj::Thread>([this] { loop(); })) {}

EngineThread::~EngineThread() noexcept(false) {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  thread_ = nullptr;  // joins
}

void EngineThread::add(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  wake_.notify_all();
}

void EngineThread::loop() {
  for (;;) {
    std::function<void()> next;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return ending_ || !work_.empty(); });
      if (ending_) return;
      next = std::move(work_.front());
      work_.pop_front();
    }
    next();
  }
}

}  // namespace muster::worker
