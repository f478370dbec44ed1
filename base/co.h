// Co<T>: coroutines over kj::Promise. Debian's KJ (0.9.2) has none of its own.
//
// A coroutine starts at once and runs to its first co_await, which takes kj::Promise<U>, Co<U> or
// an RPC's RemotePromise, always as a temporary or kj::mv(). Dropping a Co, or the promise made of
// it, cancels: first the awaited promise goes, then the locals of the frame, newest first.
//
// What g++ 12 asks of code that uses it (docs/adr has the story):
// - parameters by value (references dangle once the caller's line is over);
// - no brace-initialised aggregate as a temporary inside a co_await expression: it is copied
// bitwise into the frame.
//   Name a local first, or give the type a constructor;
// - no co_await in a catch block: set a flag, await after it;
// - no coroutine destroys itself: dropping a Co from inside its own body is undefined.
#pragma once

#include <kj/async.h>

#include <coroutine>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace muster {

template <class T>
class Co;

namespace co_detail {

// A slot whose destructor does not throw. g++ 12 stops with an internal error when a member of a
// coroutine's promise type has a throwing destructor, and kj::Promise has one; in a union it is out
// of sight.
template <class P>
class NoThrowSlot {
 public:
  NoThrowSlot() noexcept { std::construct_at(&content_, nullptr); }
  explicit NoThrowSlot(P&& content) noexcept { std::construct_at(&content_, kj::mv(content)); }
  NoThrowSlot(NoThrowSlot&& other) noexcept {
    std::construct_at(&content_, kj::mv(other.content_));
  }
  NoThrowSlot& operator=(NoThrowSlot&& other) noexcept {
    content_ = kj::mv(other.content_);
    return *this;
  }
  ~NoThrowSlot() noexcept { std::destroy_at(&content_); }
  P& get() noexcept { return content_; }

 private:
  union {
    P content_;
  };
};

// What all coroutines share. The callback of `current` resumes the coroutine, which may reach the
// next co_await while that callback still runs; a kj promise must not be freed by its own callback,
// so it lives on in `previous`.
class StateBase {
 public:
  std::suspend_never initial_suspend() noexcept { return {}; }
  std::suspend_always final_suspend() noexcept { return {}; }

  void wait(kj::Promise<void>&& next) noexcept {
    previous_.get() = kj::mv(current_.get());
    current_.get() = kj::mv(next);
  }
  void dropAwaited() noexcept {
    current_.get() = nullptr;
    previous_.get() = nullptr;
  }

 private:
  NoThrowSlot<kj::Promise<void>> current_;
  NoThrowSlot<kj::Promise<void>> previous_;
};

// One co_await: turns the outcome of a kj promise into a value or an exception inside the
// coroutine.
template <class U>
class Awaiter {
 public:
  explicit Awaiter(kj::Promise<U>&& promise) noexcept : promise_(kj::mv(promise)) {}

  bool await_ready() const noexcept { return false; }

  template <class State>
  void await_suspend(std::coroutine_handle<State> handle) {
    auto failed = [this, handle](kj::Exception&& exception) mutable {
      exception_.emplace(kj::mv(exception));
      handle.resume();
    };
    if constexpr (std::is_void_v<U>) {
      auto done = [handle]() mutable { handle.resume(); };
      handle.promise().wait(
          promise_.get().then(kj::mv(done), kj::mv(failed)).eagerlyEvaluate(nullptr));
    } else {
      auto done = [this, handle](U&& value) mutable {
        value_.emplace(kj::mv(value));
        handle.resume();
      };
      handle.promise().wait(
          promise_.get().then(kj::mv(done), kj::mv(failed)).eagerlyEvaluate(nullptr));
    }
  }

  U await_resume() {
    if (exception_) kj::throwFatalException(kj::mv(*exception_));
    if constexpr (!std::is_void_v<U>) return kj::mv(*value_);
  }

 private:
  struct Nothing {};
  NoThrowSlot<kj::Promise<U>> promise_;
  std::optional<std::conditional_t<std::is_void_v<U>, Nothing, U>> value_;
  std::optional<kj::Exception> exception_;
};

template <class T>
class State;

// Owns the frame: lives inside the promise that the caller holds.
template <class T>
class FrameOwner {
 public:
  FrameOwner(kj::PromiseFulfiller<T>& fulfiller, std::coroutine_handle<State<T>> handle)
      : handle_(handle) {
    handle_.promise().fulfiller = &fulfiller;
  }
  // The awaited promise may hold references into the frame (a stream that is a local, say), so it
  // goes first.
  ~FrameOwner() noexcept {
    handle_.promise().dropAwaited();
    handle_.destroy();
  }
  FrameOwner(const FrameOwner&) = delete;
  FrameOwner& operator=(const FrameOwner&) = delete;

 private:
  std::coroutine_handle<State<T>> handle_;
};

template <class T>
class StateOf : public StateBase {
 public:
  Co<T> get_return_object();

  template <class U>
  Awaiter<U> await_transform(kj::Promise<U>&& promise) noexcept {
    return Awaiter<U>(kj::mv(promise));
  }
  template <class U>
  Awaiter<U> await_transform(Co<U>&& co) noexcept;

  void unhandled_exception() noexcept {
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([] { throw; })) {
      fulfiller->reject(kj::mv(*exception));
    }
  }

  kj::PromiseFulfiller<T>* fulfiller = nullptr;
};

template <class T>
class State final : public StateOf<T> {
 public:
  void return_value(T value) { this->fulfiller->fulfill(kj::mv(value)); }
};

template <>
class State<void> final : public StateOf<void> {
 public:
  void return_void() { fulfiller->fulfill(); }
};

}  // namespace co_detail

// The return type of a coroutine. It converts to kj::Promise<T>, so an RPC method reads
// `kj::Promise<void> scale(ScaleContext context) override { return scaleCo(context); }`.
template <class T>
class [[nodiscard]] Co {
 public:
  using promise_type = co_detail::State<T>;

  // NOLINTNEXTLINE(google-explicit-constructor): a function may return a promise where a Co is asked.
  Co(kj::Promise<T>&& promise) noexcept : promise_(kj::mv(promise)) {}
  Co(Co&&) noexcept = default;
  Co& operator=(Co&&) noexcept = default;
  ~Co() noexcept {}  // g++ 12 fails on coroutines whose return type has a throwing destructor

  // NOLINTNEXTLINE(google-explicit-constructor)
  operator kj::Promise<T>() && { return kj::mv(promise_.get()); }

  // For what is written on promises: timeoutAfter, exclusiveJoin, fork, then, attach.
  kj::Promise<T> asPromise() && { return kj::mv(promise_.get()); }
  T wait(kj::WaitScope& scope) && { return promise_.get().wait(scope); }

 private:
  co_detail::NoThrowSlot<kj::Promise<T>> promise_;
};

namespace co_detail {

template <class T>
Co<T> StateOf<T>::get_return_object() {
  auto handle = std::coroutine_handle<State<T>>::from_promise(static_cast<State<T>&>(*this));
  return Co<T>(kj::newAdaptedPromise<T, FrameOwner<T>>(handle));
}

template <class T>
template <class U>
Awaiter<U> StateOf<T>::await_transform(Co<U>&& co) noexcept {
  return Awaiter<U>(kj::mv(co).asPromise());
}

}  // namespace co_detail

}  // namespace muster
