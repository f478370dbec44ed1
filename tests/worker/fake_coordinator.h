// A coordinator as workers see it, without anything behind: answers as the test says, over the real
// transport.
#pragma once

#include "base/rpc.h"
#include "base/transport.h"
#include "protocol/codec.h"
#include "protocol/coordinator.capnp.h"
#include "protocol/report_change.h"
#include "tests/worker/orders.h"

#include <kj/timer.h>

#include <optional>
#include <string>
#include <vector>

namespace muster::worker {

class FakeCoordinator {
 public:
  // What it answers; the test may change it at any time.
  struct Answers {
    FencingToken token = tokenOf(1);
    bool leading = true;
    Duration lease = 6_s;
    Duration heartbeat = 50_ms;
    std::optional<Refusal> refusal;  // of the next hello
    bool silent = false;             // heartbeats are never answered
    bool keeps = false;              // takes changes; a coordinator of an earlier build does not
    Duration next = 0_s;             // 0: as told when attaching
    // Of weights; nothing: this coordinator does not lead.
    std::optional<WeightSources> sources;
    bool knowsWeights = true;  // false: it is older than the question
  };

  FakeCoordinator(kj::Timer& timer, kj::Own<Transport> transport)
      : timer_(timer), transport_(kj::mv(transport)) {}

  // Where it listened before, once it has.
  kj::Promise<void> start() {
    server_ = kj::heap<RpcServer>(timer_, [this](const RpcPeer& peer) -> capnp::Capability::Client {
      peers.push_back(peer);
      return kj::heap<FrontGate>(*this);
    });
    return transport_->listen(address_, server_->acceptor()).then([this](kj::Own<Listener> made) {
      address_ = made->address();
      listener_ = kj::mv(made);
    });
  }
  // As a crash looks from outside: every connection breaks, and nobody answers.
  void stop() {
    listener_ = nullptr;
    server_ = nullptr;
    agents.clear();
  }
  const std::string& address() const { return address_; }
  // Tells all who wait for news how things are now.
  void tellNews() {
    for (auto& waiting : std::exchange(following_, {})) waiting->fulfill();
  }

  // An order through the newest attachment.
  kj::Promise<ObeyAnswer> order(const Order& order) {
    auto request = agents.back().obeyRequest();
    encode(order, request.initOrder());
    return request.send().then([](capnp::Response<schema::Agent::ObeyResults>&& response) {
      auto answer = response.getAnswer();
      Result<OrderStamp> outcome = OrderStamp{};
      if (answer.isRefusal()) {
        outcome = decode(answer.getRefusal());
      } else {
        outcome = decode(answer.getObeyed());
      }
      return ObeyAnswer{outcome, decode(answer.getHighest())};
    });
  }

  Answers answers;
  std::vector<RpcPeer> peers;
  std::vector<WorkerHello> hellos;
  std::vector<NodeReport> reports;    // whole ones
  std::vector<ReportChange> changes;  // the others
  std::vector<RankRef> asked;         // where they may load from
  std::vector<schema::Agent::Client> agents;

 private:
  class Session final : public schema::WorkerSession::Server {
   public:
    explicit Session(FakeCoordinator& owner) : owner_(owner) {}
    kj::Promise<void> heartbeat(HeartbeatContext context) override {
      auto report = context.getParams().getReport();
      if (report.getBase() == 0) {
        owner_.reports.push_back(decode(report));
      } else {
        owner_.changes.push_back(decodeChange(report));
      }
      context.allowCancellation();
      if (owner_.answers.silent) return kj::NEVER_DONE;
      auto answer = context.getResults().initAnswer();
      encode(owner_.answers.token, answer.initToken());
      answer.setLeading(owner_.answers.leading);
      answer.setLeaseRemainingMs(static_cast<uint32_t>(owner_.answers.lease.millis()));
      if (owner_.answers.keeps) answer.setKept(report.getSequence());
      answer.setNextMs(static_cast<uint32_t>(owner_.answers.next.millis()));
      return kj::READY_NOW;
    }

    kj::Promise<void> weightSources(WeightSourcesContext context) override {
      owner_.asked.push_back(decode(context.getParams().getRank()));
      if (!owner_.answers.knowsWeights) return KJ_EXCEPTION(UNIMPLEMENTED, "no such method");
      auto results = context.getResults();
      if (owner_.answers.sources) {
        encode(*owner_.answers.sources, results.initSources());
      } else {
        Refusal refusal{RefusalCode::NOT_LEADER, "not here"};
        encode(refusal, results.initRefusal());
      }
      return kj::READY_NOW;
    }

   private:
    FakeCoordinator& owner_;
  };

  class Gate final : public schema::WorkerGate::Server {
   public:
    explicit Gate(FakeCoordinator& owner) : owner_(owner) {}
    kj::Promise<void> attach(AttachContext context) override {
      auto params = context.getParams();
      owner_.hellos.push_back(decode(params.getHello()));
      owner_.agents.push_back(params.getAgent());
      auto results = context.getResults();
      if (owner_.answers.refusal) {
        encode(*owner_.answers.refusal, results.initAnswer().initRefusal());
        return kj::READY_NOW;
      }
      auto accepted = results.initAnswer().initAccepted();
      encode(owner_.answers.token, accepted.initToken());
      accepted.setCoordinator("co1");
      accepted.setLeading(owner_.answers.leading);
      accepted.setHeartbeatMs(static_cast<uint32_t>(owner_.answers.heartbeat.millis()));
      results.setSession(kj::heap<Session>(owner_));
      return kj::READY_NOW;
    }

   private:
    FakeCoordinator& owner_;
  };

  class FrontGate final : public schema::Gate::Server {
   public:
    explicit FrontGate(FakeCoordinator& owner) : owner_(owner) {}
    kj::Promise<void> worker(WorkerContext context) override {
      context.getResults().setGate(kj::heap<Gate>(owner_));
      return kj::READY_NOW;
    }
    kj::Promise<void> follow(FollowContext context) override {
      auto heard = context.getParams();
      bool known = heard.getServing() == owner_.answers.leading;
      kj::Promise<void> news = kj::READY_NOW;
      if (known) {
        auto paf = kj::newPromiseAndFulfiller<void>();
        owner_.following_.push_back(kj::mv(paf.fulfiller));
        news = kj::mv(paf.promise);
      }
      context.allowCancellation();
      return news.then([this, context]() mutable {
        auto info = context.getResults().initInfo();
        info.setEpoch(owner_.answers.token.epoch.value);
        info.setStage(owner_.answers.leading ? 3 : 0);
      });
    }

   private:
    FakeCoordinator& owner_;
  };

  kj::Timer& timer_;
  kj::Own<Transport> transport_;
  std::string address_ = "127.0.0.1:0";
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> following_;
  kj::Own<RpcServer> server_;
  kj::Own<Listener> listener_;
};

}  // namespace muster::worker
