// A session whose answers and requests can be lost, late or false, over a real one: what a bad
// network and a bad server do, but when the test says so. The state stays that of the real session.
#pragma once

#include "failover/coordination.h"

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace muster::failover {

class LossySession final : public CoordinationSession {
 public:
  enum class Fate {
    PASS,
    LOSE_ANSWER,   // it happens, the caller is told CONNECTION_LOSS
    LOSE_REQUEST,  // it never happens, the caller is told CONNECTION_LOSS
    DELAY,         // the caller is told CONNECTION_LOSS now, it happens when the test calls
                   // deliverDelayed()
    HANG,          // neither happens nor is answered
    HOLD_ANSWER,   // it happens, the caller is told when the test calls releaseAnswers()
  };

  explicit LossySession(kj::Own<CoordinationSession> real) : real_(kj::mv(real)) {}

  // Asked for each multi; the default passes all.
  std::function<Fate(const std::vector<Op>&)> fate;
  // Every multi that was asked for, whatever became of it.
  std::vector<std::vector<Op>> asked;
  bool readsHang = false;  // watches and gets are not answered
  std::vector<std::string>
      listedGhosts;  // names that lists go on showing; watches of them find them and never fire

  kj::Promise<void> deliverDelayed() {
    kj::Vector<kj::Promise<void>> all;
    for (auto& ops : std::exchange(delayed_, {}))
      all.add(real_->multi(std::move(ops)).ignoreResult());
    return kj::joinPromises(all.releaseAsArray());
  }

  bool holdsAnswers() const { return !held_.empty(); }
  void releaseAnswers() {
    for (auto& answer : std::exchange(held_, {})) answer->fulfill();
  }

  kj::Promise<MultiResult> multi(std::vector<Op> ops) override {
    asked.push_back(ops);
    switch (fate ? fate(ops) : Fate::PASS) {
      case Fate::PASS:
        return real_->multi(std::move(ops));
      case Fate::LOSE_ANSWER:
        return real_->multi(std::move(ops)).then([](MultiResult&&) { return lost(); });
      case Fate::DELAY:
        delayed_.push_back(std::move(ops));
        return lost();
      case Fate::LOSE_REQUEST:
        return lost();
      case Fate::HANG:
        return kj::NEVER_DONE;
      case Fate::HOLD_ANSWER:
        return held(real_->multi(std::move(ops)));
    }
    KJ_UNREACHABLE;
  }
  kj::Promise<GetResult> get(std::string path) override {
    if (readsHang) return kj::NEVER_DONE;
    return real_->get(std::move(path));
  }
  kj::Promise<ListResult> list(std::string path) override {
    return real_->list(std::move(path)).then([this](ListResult&& result) {
      for (const std::string& name : listedGhosts) result.children.push_back(name);
      return kj::mv(result);
    });
  }
  kj::Promise<WatchResult> watch(std::string path) override {
    if (readsHang) return kj::NEVER_DONE;
    for (const std::string& name : listedGhosts) {
      if (path.size() < name.size() || path.substr(path.size() - name.size()) != name) continue;
      WatchResult present;
      present.code = ZkCode::OK;
      present.changed = kj::NEVER_DONE;
      return kj::mv(present);
    }
    return real_->watch(std::move(path));
  }
  int64_t sessionId() const override { return real_->sessionId(); }
  SessionState state() const override { return real_->state(); }
  kj::Promise<void> stateChanged() override { return real_->stateChanged(); }
  SessionHealth health() const override { return real_->health(); }
  void close() override { real_->close(); }

 private:
  static MultiResult lost() {
    MultiResult result;
    result.code = ZkCode::CONNECTION_LOSS;
    return result;
  }

  kj::Promise<MultiResult> held(kj::Promise<MultiResult> real) {
    auto released = kj::newPromiseAndFulfiller<void>();
    held_.push_back(kj::mv(released.fulfiller));
    return real.then([released = kj::mv(released.promise)](MultiResult&& result) mutable {
      return released.then([result = kj::mv(result)]() mutable { return kj::mv(result); });
    });
  }

  kj::Own<CoordinationSession> real_;
  std::vector<std::vector<Op>> delayed_;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> held_;
};

// Fates for the first multis that match, then PASS.
inline std::function<LossySession::Fate(const std::vector<Op>&)> once(
    LossySession::Fate fate, std::function<bool(const std::vector<Op>&)> matches, int times = 1) {
  return [fate, matches = std::move(matches), times](const std::vector<Op>& ops) mutable {
    if (times == 0 || !matches(ops)) return LossySession::Fate::PASS;
    times--;
    return fate;
  };
}

inline bool has(const std::vector<Op>& ops, OpKind kind, const std::string& pathPart) {
  for (const Op& op : ops) {
    if (op.kind == kind && op.path.find(pathPart) != std::string::npos) return true;
  }
  return false;
}
inline bool isAppend(const std::vector<Op>& ops) { return has(ops, OpKind::CREATE, "/log/"); }
inline bool isTakeover(const std::vector<Op>& ops) { return has(ops, OpKind::SET, "/epoch"); }
inline bool isCandidacy(const std::vector<Op>& ops) {
  return has(ops, OpKind::CREATE, "/candidates/");
}
inline bool isBootstrap(const std::vector<Op>& ops) { return has(ops, OpKind::CREATE, "/epoch"); }
inline bool isCheckOnly(const std::vector<Op>& ops) {
  return ops.size() == 1 && ops[0].kind == OpKind::CHECK;
}

}  // namespace muster::failover
