// A coordinator as far as failover/ knows it: a session, a part in the election, a reader of the
// log.
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "failover/election.h"
#include "protocol/codec.h"
#include "tests/failover/lossy_session.h"
#include "tests/failover/zk_fixture.h"

#include <memory>

namespace muster::failover {

inline const ClusterName CLUSTER{"test"};

struct TestCoordinator {
  kj::Own<LossySession> session;
  kj::Own<LogReader> reader;
  kj::Own<Contender> contender;
  kj::Own<Leadership> leadership;
  std::string reason;
  std::vector<Batch> committed;

  void drop() {  // as if its process had ended in an orderly way
    leadership = nullptr;
    contender = nullptr;
    reader = nullptr;
    session = nullptr;
  }
};

template <class Fixture>
class Coordinators : public Fixture {
 protected:
  ~Coordinators() noexcept override {}

  Paths paths{CLUSTER};
  SystemClock clock;
  SeededRandom random{7};

  HistoryId bootstrapTree() {
    auto session = this->connect();
    return this->patience.await(bootstrap(*session, paths, CLUSTER, random)).value();
  }

  // A connected coordinator that has read the log to its end and does not stand yet.
  TestCoordinator coordinator(const std::string& id, Duration timeout = 2_s,
                              size_t server = SIZE_MAX) {
    auto options = this->options(timeout);
    if (server != SIZE_MAX) options.servers = {this->servers.address(server)};
    TestCoordinator made;
    made.session = kj::heap<LossySession>(this->connect(options));
    auto view = this->patience.await(readEpoch(*made.session, paths));
    made.reader =
        kj::heap<LogReader>(*made.session, paths, KJ_ASSERT_NONNULL(view).history, LogPosition{});
    readToEnd(made);
    made.contender = kj::heap<Contender>(
        *made.session, this->loop.timer(), clock, random,
        ContenderIdentity{CLUSTER, CoordinatorId{id}, random.guid(), id + ":7401"});
    return made;
  }

  void readToEnd(TestCoordinator& self) {
    for (;;) {
      auto read = this->patience.await(self.reader->next());
      if (read == nullptr) return;
    }
  }

  // After its campaign was won.
  void lead(TestCoordinator& self, const Contender::Elected& elected, AppendOptions options = {}) {
    readToEnd(self);
    EXPECT_TRUE(this->patience.await(self.reader->proveEnd()));
    self.reason = elected.reason;
    auto times = [this] { return BatchTimes{Instant{clock.steadyNow().nanos}, clock.wallNow()}; };
    self.leadership = self.contender->lead(elected, self.reader->position(), times, options);
    auto* committed = &self.committed;
    self.leadership->onCommitted(
        [committed](const Batch& batch, const LogPosition&) { committed->push_back(batch); });
  }

  void standAndLead(TestCoordinator& self, AppendOptions options = {}) {
    lead(self, this->patience.await(self.contender->campaign()), options);
  }

  // Every command of the log, read by a session of its own; proves chain, numbers and epochs on the
  // way.
  std::vector<std::string> wholeLog() {
    auto session = this->connect();
    auto view = this->patience.await(readEpoch(*session, paths));
    LogReader reader(*session, paths, KJ_ASSERT_NONNULL(view).history, LogPosition{});
    std::vector<std::string> commands;
    for (;;) {
      auto read = this->patience.await(reader.next());
      KJ_IF_MAYBE (found, read) {
        commands.insert(commands.end(), found->batch.commands.begin(), found->batch.commands.end());
      } else {
        EXPECT_TRUE(this->patience.await(reader.proveEnd()));
        return commands;
      }
    }
  }

  std::vector<std::string> candidates() {
    auto session = this->connect();
    return this->patience.await(session->list(paths.candidates())).children;
  }
};

inline std::string describeFailure(const std::function<void()>& action) {
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { action(); })) {
    return (exception->getType() == kj::Exception::Type::DISCONNECTED ? "DISCONNECTED "
                                                                      : "FAILED ") +
           std::string(exception->getDescription().cStr());
  }
  return "no failure";
}

}  // namespace muster::failover
