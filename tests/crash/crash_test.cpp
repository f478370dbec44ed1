// What is on the disk after the process died at any call that changes a file: the store is as after
// a whole number of batches, and all that was acknowledged is there; a backup is the old one or the
// new one; an agent's order is one that was stored.
#include "coordinator/rocks_store.h"
#include "protocol/backup_reader.h"
#include "tests/base/temporary_folder.h"
#include "tests/crash/crash_model.h"
#include "tests/crash/faulty_program.h"
#include "worker/order_store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

namespace muster::coordinator::crash_test {
namespace {

using support::FaultyEnd;
using support::FaultyRun;
using support::runFaulty;

uint64_t seedOfRun() {
  const char* given = std::getenv("MUSTER_CRASH_SEED");
  return given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
}

// How often each kind of call was where it ended.
class Tally {
 public:
  void add(const std::string& struck) { counts_[struck.substr(0, struck.rfind(' '))]++; }
  uint64_t of(const std::string& kind) const {
    auto found = counts_.find(kind);
    return found == counts_.end() ? 0 : found->second;
  }
  std::string text() const {
    std::string text;
    for (const auto& [kind, count] : counts_) text += " " + kind + " " + std::to_string(count);
    return text;
  }

 private:
  std::map<std::string, uint64_t> counts_;
};

struct Found {
  uint64_t batches = 0;
  Guid hash;
  uint64_t auditRows = 0;
  uint64_t events = 0;
};

Found openAgain(const std::string& folder) {
  RocksStore store(folder, StoreAccess::READ_WRITE);
  Found found;
  if (auto meta = store.meta()) found.batches = meta->applied.batch.value;
  store.loadRecords([&](std::string_view key, std::string_view value) {
    found.hash = addToHash(found.hash, hashOfRecord(key, value));
  });
  store.loadAudit([&](const AuditEntry&) { found.auditRows++; });
  found.events = store.events({}, SIZE_MAX).size();
  return found;
}

uint64_t eventsAfter(uint64_t batches) {
  uint64_t events = 0;
  for (uint64_t number = 1; number <= batches; ++number) events += number % 3;
  return events;
}

// A store that dies again and again, and what it must hold.
class DyingStore {
 public:
  explicit DyingStore(uint64_t seed) : seed_(seed), model_(seed) {
    std::filesystem::create_directory(folder());
  }

  FaultyEnd run(const std::string& fault) {
    return runFaulty({{"store", folder(), std::to_string(seed_), "40"}, folder(), fault},
                     scratch_.path());
  }

  // Looks at what is there, which must be the state after a number of batches, `least` or more.
  void check(const FaultyEnd& end, bool mayLoseAcknowledged) {
    Found found = openAgain(folder());
    uint64_t acknowledged = end.acknowledged.empty() ? before_ : end.acknowledged.back();
    EXPECT_GE(found.batches, mayLoseAcknowledged ? 0 : acknowledged);
    EXPECT_LE(found.batches, acknowledged + 1);
    EXPECT_EQ(found.hash, model_.hashAfter(found.batches));
    EXPECT_EQ(found.auditRows, found.batches);
    EXPECT_EQ(found.events, eventsAfter(found.batches));
    before_ = found.batches;
  }

 private:
  std::string folder() const { return scratch_ / "store"; }

  TemporaryFolder scratch_;
  uint64_t seed_;
  CrashModel model_;
  uint64_t before_ = 0;  // batches there when the run began
};

constexpr int STORES = 22;
constexpr int DEATHS_EACH = 10;

TEST(Crash, theStoreIsAsAfterAWholeNumberOfBatches) {
  uint64_t seed = seedOfRun();
  SeededRandom random(seed);
  uint64_t calls = 0;
  {
    DyingStore whole(seed);
    auto end = whole.run("");
    ASSERT_EQ(end.code, 0) << end.error;
    whole.check(end, false);
    calls = end.calls;
  }
  ASSERT_GT(calls, 100u);
  const char* const KINDS[] = {"kill", "kill", "torn", "power"};
  Tally tally;
  int deaths = 0;
  int losses = 0;
  for (int i = 0; i < STORES; ++i) {
    DyingStore store(seed * 1000 + static_cast<uint64_t>(i));
    for (int death = 0; death < DEATHS_EACH; ++death) {
      std::string kind = KINDS[random.below(4)];
      std::string fault = kind + " " + std::to_string(random.below(calls) + 1);
      SCOPED_TRACE("seed " + std::to_string(seed) + ", store " + std::to_string(i) + ", death " +
                   std::to_string(death) + ": " + fault);
      auto end = store.run(fault);
      ASSERT_NE(end.code, 3) << end.error;
      if (end.code == -1) {
        deaths++;
        tally.add(end.struck);
      }
      losses += kind == "power";
      store.check(end, kind == "power");
      if (HasFailure()) return;
    }
  }
  std::printf("store: %d deaths (%d of them losses of power) among %llu calls:%s\n", deaths, losses,
              static_cast<unsigned long long>(calls), tally.text().c_str());
  EXPECT_GE(deaths, 200);
  EXPECT_GT(tally.of("write"), 0u);
  EXPECT_GT(tally.of("flush"), 0u);
  EXPECT_GT(tally.of("rename"), 0u);
  EXPECT_GT(tally.of("half a write"), 0u);
}

TEST(Crash, theStoreSaysWhenTheDiskFailsAndKeepsWhatItAcknowledged) {
  uint64_t seed = seedOfRun();
  SeededRandom random(seed + 1);
  const char* const KINDS[] = {"write_eio", "sync_eio", "full", "short"};
  std::map<std::string, int> struck;
  std::map<std::string, int> told;
  for (int i = 0; i < 32; ++i) {
    std::string kind = KINDS[i % 4];
    // Few calls are flushes; the other kinds are counted in writes.
    uint64_t most = kind == "sync_eio" ? 20 : 90;
    std::string fault = kind + " " + std::to_string(random.below(most) + 1);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + fault);
    DyingStore store(seed * 7000 + static_cast<uint64_t>(i));
    auto end = store.run(fault);
    struck[kind] += end.struck.empty() ? 0 : 1;
    told[kind] += end.code == 3 ? 1 : 0;
    EXPECT_TRUE(kind != "short" || end.code == 0) << end.error;
    EXPECT_TRUE(kind != "full" || end.code == 0 || end.error.find("E0707") != std::string::npos)
        << end.error;
    store.check(end, false);
    if (HasFailure()) return;
  }
  for (const char* kind : KINDS) {
    std::printf("%s: struck %d times of 8, told %d times\n", kind, struck[kind], told[kind]);
    EXPECT_GT(struck[kind], 0) << kind;
  }
  EXPECT_GT(told["full"], 0);
  EXPECT_GT(told["write_eio"], 0);
}

// The hash of the state that the backup holds, or nothing when there is no file.
std::optional<Guid> hashInBackup(const std::string& path) {
  BackupReader reader;
  auto end = readBackupFile(path, reader);
  if (!end && end.refusal().code == RefusalCode::NOT_FOUND) return std::nullopt;
  EXPECT_TRUE(end.ok()) << end.refusal().text;
  return end ? end->stateHash : Guid{};
}

TEST(Crash, aBackupIsTheOldOneOrTheNewOne) {
  uint64_t seed = seedOfRun();
  SeededRandom random(seed + 2);
  TemporaryFolder scratch;
  std::string folder = scratch / "backups";
  std::string path = folder + "/cluster.backup";
  std::filesystem::create_directory(folder);
  CrashModel model(seed);
  auto run = [&](uint64_t batches, const std::string& fault) {
    return runFaulty(
        {{"backup", path, std::to_string(seed), std::to_string(batches)}, folder, fault},
        scratch.path());
  };
  uint64_t calls = run(200, "").calls;
  ASSERT_GT(calls, 10u);
  std::optional<Guid> old = model.hashAfter(200);
  const char* const KINDS[] = {"kill", "torn", "power"};
  Tally tally;
  int deaths = 0;
  int replaced = 0;
  for (uint64_t i = 1; i <= 60; ++i) {
    std::string fault =
        std::string(KINDS[random.below(3)]) + " " + std::to_string(random.below(calls * 5 / 4) + 1);
    SCOPED_TRACE("seed " + std::to_string(seed) + ", run " + std::to_string(i) + ": " + fault);
    auto end = run(200 + i, fault);
    if (end.code == -1) {
      deaths++;
      tally.add(end.struck);
    }
    auto found = hashInBackup(path);
    bool isNew = found == model.hashAfter(200 + i);
    EXPECT_TRUE(isNew || found == old);
    EXPECT_TRUE(isNew || end.code != 0);
    if (isNew) replaced++;
    if (HasFailure()) return;
    old = found;
  }
  std::printf("backup: %d deaths of 60 runs, %d whole backups:%s\n", deaths, replaced,
              tally.text().c_str());
  EXPECT_GT(deaths, 30);
  EXPECT_GT(replaced, 5);
}

TEST(Crash, anAgentsOrderIsOneThatWasStored) {
  SeededRandom random(seedOfRun() + 3);
  TemporaryFolder scratch;
  std::string folder = scratch / "agent";
  std::filesystem::create_directory(folder);
  std::string path = folder + "/orders";
  const char* const KINDS[] = {"kill", "torn", "power"};
  uint64_t before = 0;
  int deaths = 0;
  for (int i = 0; i < 40; ++i) {
    std::string fault =
        std::string(KINDS[random.below(3)]) + " " + std::to_string(random.below(44) + 1);
    SCOPED_TRACE(fault);
    auto end = runFaulty({{"orders", path, "0", "10"}, folder, fault}, scratch.path());
    if (end.code == -1) deaths++;
    auto loaded = worker::makeFileOrderStore(path)->load();
    ASSERT_TRUE(loaded.ok()) << loaded.refusal().text;
    uint64_t acknowledged = end.acknowledged.empty() ? before : end.acknowledged.back();
    uint64_t found = loaded->token.epoch.value;
    EXPECT_GE(found, acknowledged);
    EXPECT_LE(found, acknowledged + 1);
    before = found;
    if (HasFailure()) return;
  }
  std::printf("orders: %d deaths of 40 runs\n", deaths);
  EXPECT_GT(deaths, 20);
}

}  // namespace
}  // namespace muster::coordinator::crash_test
