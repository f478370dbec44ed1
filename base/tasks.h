// Background work with an owner: what fails is told to a handler, what is left is cancelled with
// the owner.
#pragma once

#include <kj/async.h>
#include <kj/debug.h>
#include <kj/function.h>

#include <utility>

namespace muster {

// A kj::TaskSet whose handler is a function. Declare it last in its class, so that it goes first.
class Tasks {
 public:
  // `name`, a literal, says in the log what failed; DISCONNECTED is told as information, everything
  // else as an error.
  explicit Tasks(const char* name)
      : Tasks([name](kj::Exception&& exception) { logFailure(name, exception); }) {}
  explicit Tasks(kj::Function<void(kj::Exception&&)> onFailure)
      : handler_(kj::mv(onFailure)), tasks_(kj::heap<kj::TaskSet>(handler_)) {}

  void add(kj::Promise<void>&& task) { tasks_->add(kj::mv(task)); }
  bool isEmpty() { return tasks_->isEmpty(); }
  kj::Promise<void> onEmpty() { return tasks_->onEmpty(); }
  // Cancels all. Never call it from inside one of the tasks.
  void clear() { tasks_ = kj::heap<kj::TaskSet>(handler_); }

 private:
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored \
    "-Wnon-virtual-dtor"  // kj's own base class; nobody deletes through it
  class Handler final : public kj::TaskSet::ErrorHandler {
   public:
    explicit Handler(kj::Function<void(kj::Exception&&)> function) : function_(kj::mv(function)) {}
    void taskFailed(kj::Exception&& exception) override { function_(kj::mv(exception)); }

   private:
    kj::Function<void(kj::Exception&&)> function_;
  };
#pragma GCC diagnostic pop

  static void logFailure(const char* name, const kj::Exception& exception) {
    if (exception.getType() == kj::Exception::Type::DISCONNECTED) {
      KJ_LOG(INFO, name, exception.getDescription());
    } else {
      KJ_LOG(ERROR, name, exception);
    }
  }

  Handler handler_;
  kj::Own<kj::TaskSet> tasks_;
};

}  // namespace muster
