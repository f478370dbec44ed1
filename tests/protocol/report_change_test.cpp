// What a heartbeat tells against the report before: nothing when nothing changed, and always enough
// to make the whole report again.
#include "protocol/report_change.h"

#include "base/random.h"
#include "protocol/codec.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace muster::report_change_test {
namespace {

RankReport rank(uint32_t number, ReplicaPhase phase = ReplicaPhase::READY) {
  RankReport report;
  report.ref = {{1}, {0}, {1}, {number}};
  report.phase = phase;
  report.slices = {{.tensor = "lm_head", .file = "model.safetensors", .bytes = 5}};
  return report;
}

OrderStamp stamp(uint64_t index) { return {{{1, {2, 3}}, {4}}, {index}}; }

// As it arrives at the coordinator.
ReportChange sent(const ReportChange& change) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::NodeReport>();
  encode(change, out);
  EXPECT_EQ(saysNothingNew(out.asReader()),
            change == (ReportChange{.sequence = change.sequence, .base = change.base}));
  return decodeChange(out.asReader());
}

NodeReport after(NodeReport report, ReportChange change) {
  report.sequence = change.sequence;
  if (change.obeyed) report.obeyed = *change.obeyed;
  if (change.unhealthy) report.unhealthy = *change.unhealthy;
  takeRanks(report.ranks, std::move(change));
  return report;
}

TEST(ReportChange, tellsWhatHasChangedAndNoMore) {
  const NodeReport base{7, {rank(0), rank(1)}, stamp(5), {{{3}, "XID 79"}}};
  struct Case {
    const char* name;
    NodeReport now;
    ReportChange change;
  };
  const Case cases[] = {
      {"nothing", {8, base.ranks, base.obeyed, base.unhealthy}, {.sequence = 8, .base = 7}},
      {"a rank fails",
       {8, {rank(0), rank(1, ReplicaPhase::FAILED)}, base.obeyed, base.unhealthy},
       {.sequence = 8, .base = 7, .ranks = {rank(1, ReplicaPhase::FAILED)}}},
      {"a rank comes and another goes",
       {8, {rank(1), rank(2)}, base.obeyed, base.unhealthy},
       {.sequence = 8, .base = 7, .ranks = {rank(2)}, .gone = {rank(0).ref}}},
      {"all ranks go",
       {8, {}, base.obeyed, base.unhealthy},
       {.sequence = 8, .base = 7, .gone = {rank(0).ref, rank(1).ref}}},
      {"an order is obeyed",
       {8, base.ranks, stamp(6), base.unhealthy},
       {.sequence = 8, .base = 7, .obeyed = stamp(6)}},
      {"a device may be used again",
       {8, base.ranks, base.obeyed, {}},
       {.sequence = 8, .base = 7, .unhealthy = std::map<DeviceIndex, std::string>{}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    ReportChange change = changeBetween(base, c.now);
    EXPECT_EQ(change, c.change);
    EXPECT_EQ(sent(change), change);
    EXPECT_EQ(after(base, change), c.now);
  }
}

TEST(ReportChange, aWholeReportIsNeverTakenForOneWithoutNews) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::NodeReport>();
  out.setSequence(1);
  EXPECT_FALSE(saysNothingNew(out.asReader())) << "an agent of any build with nothing to say";
  encode(NodeReport{.sequence = 2}, out);
  EXPECT_FALSE(saysNothingNew(out.asReader()));
  EXPECT_EQ(out.getBase(), 0u);
}

// Some of eight ranks, each in one of three phases.
NodeReport drawReport(SeededRandom& random, uint64_t sequence) {
  NodeReport report{.sequence = sequence};
  for (uint32_t number = 0; number < 8; ++number) {
    auto phase = static_cast<ReplicaPhase>(random.next() % 3);
    if (random.next() % 3 != 0) report.ranks.push_back(rank(number, phase));
  }
  report.obeyed = stamp(random.next() % 3);
  if (random.next() % 2 == 0) report.unhealthy[{0}] = "XID 79";
  return report;
}

TEST(ReportChange, aChainOfChangesMakesTheLastReport) {
  constexpr uint64_t SEED = 11;
  SeededRandom random(SEED);
  NodeReport said = drawReport(random, 1);
  NodeReport kept = said;
  for (uint64_t sequence = 2; sequence < 500; ++sequence) {
    NodeReport now = drawReport(random, sequence);
    kept = after(kept, sent(changeBetween(said, now)));
    ASSERT_EQ(kept, now) << "seed " << SEED << ", report " << sequence;
    said = now;
  }
}

}  // namespace
}  // namespace muster::report_change_test
