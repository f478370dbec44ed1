// A worker's surroundings without processes: ranks that live in the world and survive their agent,
// orders on a disk that remembers, and a model that is always there.
#pragma once

#include "tests/sim/world.h"
#include "tests/support/memory_order_store.h"
#include "worker/ranks.h"
#include "worker/signal.h"

#include <map>
#include <string>
#include <vector>

namespace muster::sim {

class RankSite;

// Where the ranks of all nodes meet: a gang is Ready when all of its members have come.
class RankMeeting {
 public:
  explicit RankMeeting(World& world) : world_(world) {}
  void add(RankSite& site) { sites_.push_back(&site); }
  // A member has loaded, or has heard where its group meets.
  void look(const RankRef& member, uint32_t worldSize);

 private:
  World& world_;
  std::vector<RankSite*> sites_;
};

// The rank processes of one machine.
class RankSite {
 public:
  struct Rank {
    Assignment assignment;
    RankReport report;
    bool stopping = false;
    uint64_t life = 0;  // events of an earlier process do not reach a later one
  };

  RankSite(World& world, RankMeeting& meeting, Host& host, NodeInfo node);

  const std::map<RankRef, Rank>& ranks() const { return ranks_; }
  const NodeInfo& node() const { return node_; }
  Host& host() { return host_; }

  // As the agent wishes it.
  void obey(std::vector<Assignment> assignments);
  // What an earlier agent ran: nothing is started again, what is gone has failed.
  void restore(std::vector<Assignment> assignments);
  std::vector<RankReport> reports() const;
  // The running agent's; nothing while there is none.
  void attach(worker::Signal* changes) { changes_ = changes; }

  // Faults.
  bool crashOne(uint64_t choice);
  void losePower();

  // Called by the meeting.
  bool waitsFor(const RankRef& member) const;
  void becomeReady(const RankRef& member);

 private:
  void start(const Assignment& assignment);
  void stop(Rank& rank);
  void fail(Rank& rank, std::string error);
  void loaded(const RankRef& ref, uint64_t life);
  void ended(const RankRef& ref, uint64_t life);
  void changed();
  Duration draw(Duration min, Duration max);

  World& world_;
  RankMeeting& meeting_;
  Host& host_;
  NodeInfo node_;
  SeededRandom random_;
  std::map<RankRef, Rank> ranks_;
  worker::Signal* changes_ = nullptr;
  uint64_t nextLife_ = 1;
  uint32_t nextPid_ = 100;
};

// The agent's view of its machine's ranks; dies with the agent, the ranks do not.
class SimRanks final : public worker::Ranks {
 public:
  explicit SimRanks(RankSite& site) : site_(site) { site_.attach(&changes_); }
  ~SimRanks() noexcept(false) { site_.attach(nullptr); }
  void obey(std::vector<Assignment> assignments) override { site_.obey(std::move(assignments)); }
  void restore(std::vector<Assignment> assignments) override {
    site_.restore(std::move(assignments));
  }
  std::vector<RankReport> reports() const override { return site_.reports(); }
  kj::Promise<void> changed() override { return changes_.next(); }
  kj::Promise<worker::RankLog> readLog(RankRef, uint32_t) override { return worker::RankLog{}; }

 private:
  RankSite& site_;
  worker::Signal changes_;
};

// Every worker finds the same model, whatever the name.
class SimInspection final : public worker::ModelInspection {
 public:
  explicit SimInspection(const ModelManifest& manifest) : manifest_(manifest) {}
  kj::Promise<Result<ModelManifest>> inspect(std::string source) override {
    ModelManifest found = manifest_;
    found.source = std::move(source);
    return Result<ModelManifest>(std::move(found));
  }

 private:
  const ModelManifest& manifest_;
};

// The agent's memory. A token or an order that goes back is a violation.
class SimOrderStore final : public worker::OrderStore {
 public:
  SimOrderStore(World& world, std::string node, worker::MemoryOrderDisk& disk)
      : world_(world), node_(std::move(node)), inner_(disk) {}
  Result<worker::StoredOrders> load() override { return inner_.load(); }
  Result<Done> save(const worker::StoredOrders& orders) override;

 private:
  World& world_;
  std::string node_;
  worker::MemoryOrderStore inner_;
};

}  // namespace muster::sim
