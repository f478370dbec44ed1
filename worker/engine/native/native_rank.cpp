#include "worker/engine/native/native_rank.h"

#include "base/co.h"
#include "base/kj_time.h"
#include "sharding/model_spec.h"
#include "worker/model_inspector.h"

#include <kj/debug.h>

#include <cstdio>
#include <set>
#include <utility>

namespace muster::worker {
namespace {

// Two readers keep a disk busy while one of them hashes; more only compete for the cores of a
// shared machine.
constexpr uint32_t READING_THREADS = 2;

std::string hex64(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

Reason reasonOf(RefusalCode code) {
  switch (code) {
    case RefusalCode::WEIGHTS_CORRUPT:
    case RefusalCode::MODEL_FILE_CORRUPT:
      return Reason::WEIGHTS_CORRUPT;
    case RefusalCode::JOIN_TIMEOUT:
    case RefusalCode::NOT_ALLOWED:
      return Reason::JOIN_TIMEOUT;
    case RefusalCode::MODEL_NOT_FOUND:
    case RefusalCode::MODEL_OUTSIDE_ROOTS:
      return Reason::FETCH_FAILED;
    default:
      return Reason::RANK_CRASHED;
  }
}

// The rank's own part of the model. The same function planned it, from the same manifest.
Result<sharding::RankShard> ownShard(const NativeRankTask& task) {
  auto spec = sharding::readModelSpec(task.manifest.configJson, task.manifest.tensors);
  if (!spec) return spec.refusal();
  return sharding::cutRank(*spec, task.manifest.tensors, task.assignment.plan,
                           task.assignment.ref.rank.value);
}

// Refuses a file that is not the one that was inspected: another size, or another header.
Result<Done> checkInspected(const OpenedPath& opened, const ModelFile& inspected) {
  if (opened.bytes != inspected.size.count) {
    return Refusal{.code = RefusalCode::WEIGHTS_CORRUPT,
                   .text = opened.path + " has " + std::to_string(opened.bytes) +
                           " bytes; when the model was inspected it had " +
                           std::to_string(inspected.size.count)};
  }
  auto head = readSafetensorsHead(opened);
  if (!head) return head.refusal();
  if (digestOf(*head) != inspected.headerDigest) {
    return Refusal{.code = RefusalCode::WEIGHTS_CORRUPT,
                   .text = opened.path + " has another header than when the model was inspected"};
  }
  return Done{};
}

}  // namespace

NativeRank::NativeRank(kj::Network& network, kj::Timer& timer, Random& random)
    : network_(network),
      timer_(timer),
      random_(random),
      rendezvous_(kj::newPromiseAndFulfiller<std::string>()),
      tasks_([this](kj::Exception&& exception) {
        fail({.code = RefusalCode::INTERNAL, .text = exception.getDescription().cStr()});
      }) {}

Result<Done> NativeRank::start(NativeRankTask task) {
  KJ_IF_MAYBE (running, task_) {
    if (running->assignment.ref == task.assignment.ref) return Done{};
    return Refusal{.code = RefusalCode::STALE_ORDER,
                   .text = "this process already serves another rank"};
  }
  report_.ref = task.assignment.ref;
  if (!task.assignment.rendezvous.empty()) meet(task.assignment.rendezvous);
  task_ = std::move(task);
  tasks_.add(run());
  return Done{};
}

void NativeRank::meet(std::string rendezvous) {
  if (rendezvousKnown_ || rendezvous.empty()) return;
  rendezvousKnown_ = true;
  rendezvous_.fulfiller->fulfill(std::move(rendezvous));
}

RankReport NativeRank::report() const {
  RankReport report = report_;
  if (load_.get() != nullptr) report.loaded = {load_->loadedBytes()};
  if (group_.get() != nullptr) report.joined = group_->present();
  return report;
}

void NativeRank::enter(ReplicaPhase phase, std::string message) {
  report_.phase = phase;
  report_.message = std::move(message);
  logger_.info("rank enters a phase", {{"phase", toText(phase)}, {"message", report_.message}});
}

void NativeRank::fail(const Refusal& refusal) {
  if (report_.phase == ReplicaPhase::FAILED) return;  // the first error is the cause
  report_.reason = reasonOf(refusal.code);
  report_.firstError = toText(refusal.code) + ": " + refusal.text;
  enter(ReplicaPhase::FAILED, refusal.text);
  logger_.error("rank failed", {{"error", report_.firstError}});
}

namespace {

// Runs one step after another until one refuses.
struct Steps {
  kj::Promise<Result<Done>> promise;
  template <class Next>
  Steps then(Next next) && {
    return {promise.then(
        [next = kj::mv(next)](Result<Done> before) mutable -> kj::Promise<Result<Done>> {
          if (!before) return kj::mv(before);
          return next();
        })};
  }
};

}  // namespace

kj::Promise<void> NativeRank::run() {
  return Steps{load()}
      .then([this] { return join(); })
      .promise.then([this](Result<Done> outcome) -> kj::Promise<void> {
        if (!outcome) {
          fail(outcome.refusal());
          return kj::READY_NOW;
        }
        enter(ReplicaPhase::READY, "");
        return watchGroup();
      });
}

Result<std::vector<SliceFile>> NativeRank::openFiles(const ModelManifest& manifest) const {
  const auto& task = KJ_ASSERT_NONNULL(task_);
  ModelRoots roots(task.modelRoots);
  auto folder = roots.openModel(task.assignment.modelSource);
  if (!folder) return folder.refusal();
  std::vector<SliceFile> files;
  for (const auto& inspected : manifest.files) {
    auto opened = roots.openFile(*folder, inspected.name);
    if (!opened) return opened.refusal();
    auto same = checkInspected(*opened, inspected);
    if (!same) return same.refusal();
    files.push_back({inspected.name, std::move(*opened)});
  }
  return files;
}

Result<Done> NativeRank::beginLoad() {
  const auto& task = KJ_ASSERT_NONNULL(task_);
  auto shard = ownShard(task);
  if (!shard) return shard.refusal();
  // Only the files this rank has slices of: a stage of a large model needs few of them.
  ModelManifest needed = task.manifest;
  std::set<std::string> names;
  for (const auto& slice : shard->slices) names.insert(slice.file);
  std::erase_if(needed.files, [&](const ModelFile& file) { return names.count(file.name) == 0; });
  auto files = openFiles(needed);
  if (!files) return files.refusal();
  report_.total = shard->bytes;
  load_ = kj::heap<SliceLoad>(std::move(*files), std::move(shard->slices), READING_THREADS);
  return Done{};
}

kj::Promise<Result<Done>> NativeRank::load() {
  enter(ReplicaPhase::LOADING, "");
  auto begun = beginLoad();
  if (!begun) return begun;
  return load_->loaded().then([this](Result<std::vector<LoadedSlice>> slices) -> Result<Done> {
    if (!slices) return slices.refusal();
    report_.loaded = {load_->loadedBytes()};
    load_ = nullptr;
    weights_ = std::move(*slices);
    keepReports(weights_);
    return Done{};
  });
}

void NativeRank::keepReports(const std::vector<LoadedSlice>& slices) {
  for (const auto& loaded : slices) {
    report_.slices.push_back({.tensor = loaded.slice.tensor,
                              .file = loaded.slice.file,
                              .offset = loaded.slice.offset,
                              .bytes = loaded.slice.bytes,
                              .shape = loaded.slice.shape,
                              .ranges = loaded.slice.ranges,
                              .checksum = hex64(loaded.checksum)});
  }
}

kj::Promise<Result<Done>> NativeRank::join() {
  const auto& task = KJ_ASSERT_NONNULL(task_);
  enter(ReplicaPhase::JOINING, "");
  GroupTask group{.ref = task.assignment.ref,
                  .worldSize = task.assignment.worldSize,
                  .secret = task.assignment.secret,
                  .joinTimeout = task.joinTimeout};
  if (group.ref.rank.value == 0) {
    return hostGroup(network_, timer_, random_, group, task.listenAddress)
        .then([this](kj::Own<GroupHost> host) {
          report_.rendezvous = host->rendezvous();
          group_ = kj::mv(host);
          return group_->joined();
        });
  }
  return rendezvous_.promise.then([this, group](std::string rendezvous) {
    group_ = joinGroup(network_, timer_, random_, group, std::move(rendezvous));
    return group_->joined();
  });
}

// A broken group cannot compute. The leader usually knows the cause first and ends this generation;
// when it does not within the stall time, this rank says so itself.
kj::Promise<void> NativeRank::watchGroup() {
  return group_->broken().then([this](std::string why) {
    enter(ReplicaPhase::JOINING, why + "; waiting for the next generation");
    const auto& stall = KJ_ASSERT_NONNULL(task_).assignment.timeouts.stall;
    return timer_.afterDelay(toKj(stall)).then([this, why = std::move(why)] {
      report_.reason = Reason::RANK_STALLED;
      report_.firstError = why;
      enter(ReplicaPhase::FAILED, why);
    });
  });
}

}  // namespace muster::worker
