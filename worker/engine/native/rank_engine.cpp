#include "worker/engine/native/rank_engine.h"

#include "worker/engine/native/open_backend.h"

#include <kj/debug.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

namespace muster::worker {
namespace {

// As many sequences of this length as the memory has room for; more would only wait for each other.
constexpr uint64_t SEQUENCES_MAX = 8;
constexpr uint64_t SEQUENCES_MAX_GPU = 64;
constexpr uint64_t CONTEXT_MAX = 4096;

RankCollectives collectivesOf(Communicators& all) {
  return {all.world(), all.tensor(), all.pipeline(), all.pipeline()};
}

uint64_t bytesPerToken(const RankWeights& weights) {
  const auto& spec = weights.spec;
  uint64_t heads = std::max<uint64_t>(1, spec.kvHeads / weights.plan.tensor);
  return 2 * weights.layers.size() * heads * spec.headSize * bytesPerElement(spec.dtype);
}

// Blocks for which this rank has memory; at least one.
uint32_t blocksFor(const Backend& backend, const RankWeights& weights, Bytes memory,
                   uint32_t blockTokens) {
  bool isGpu = backend.memory() == MemoryKind::DEVICE;
  uint64_t wanted = (isGpu ? SEQUENCES_MAX_GPU : SEQUENCES_MAX) *
                    std::min<uint64_t>(weights.spec.positions, CONTEXT_MAX);
  uint64_t perToken = std::max<uint64_t>(1, bytesPerToken(weights));
  uint64_t tokens = std::min(wanted, memory.count / perToken);
  return static_cast<uint32_t>(std::max<uint64_t>(1, tokens / blockTokens));
}

// All ranks' values, by rank. Proves on the way that every member is there, in its place.
std::vector<uint32_t> exchange(Collective& collective, uint32_t mine) {
  std::vector<uint32_t> all(collective.size());
  collective.allGather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  return all;
}

void checkOrder(Collective& collective) {
  auto ranks = exchange(collective, collective.rank());
  for (uint32_t i = 0; i < ranks.size(); ++i) {
    KJ_REQUIRE(ranks[i] == i, "the ranks of the group are not in order", i, ranks[i]);
  }
}

KvCacheShape agreeOnCache(Communicators& all, const Backend& backend, const RankWeights& weights,
                          Bytes memory) {
  KvCacheShape shape;
  auto blocks = exchange(all.world(), blocksFor(backend, weights, memory, shape.blockTokens));
  shape.blocks = *std::min_element(blocks.begin(), blocks.end());
  return shape;
}

// What the event loop can read: the one exception that says "the group is gone".
template <class Work>
auto orDisconnected(Work work) {
  try {
    return work();
  } catch (const CollectiveBroken& broken) {
    kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, broken.what()));
  }
}

}  // namespace

GroupMeans::GroupMeans(const GroupShape& shape, Communicators::Parts parts, const Clock& clock)
    : deadline(shape.deadline),
      communicators(shape, std::move(parts), clock),
      links(collectivesOf(communicators)) {}

void GroupMeans::abort(const std::string& why) {
  communicators.abort(why);
  links.abort(why);
}

GroupEngine::GroupEngine(const TransformerParts& parts, std::shared_ptr<GroupMeans> means,
                         KvCacheShape cache)
    : means_(std::move(means)), executor_(parts, cache) {}

RankEngine::RankEngine(OperationBoard& board) : board_(board) {}
RankEngine::~RankEngine() noexcept(false) = default;

kj::Promise<Result<Done>> RankEngine::open(std::string gpu) {
  return thread_.run([this, gpu = std::move(gpu)]() -> Result<Done> {
    EngineAtWork guard(&board_);
    board_.begin(RankOperation::OPEN_DEVICE);
    auto opened = openBackend(gpu);
    if (!opened) return opened.refusal();
    backend_ = kj::mv(*opened);
    return Done{};
  });
}

kj::Promise<Result<Done>> RankEngine::place(RankWeightsTask task, std::vector<LoadedSlice> slices) {
  // std::function wants to be copied; slices cannot be.
  auto shared = std::make_shared<std::vector<LoadedSlice>>(std::move(slices));
  return thread_.run([this, task = std::move(task), shared]() -> Result<Done> {
    EngineAtWork guard(&board_);
    auto placed = placeWeights(*backend_, task, std::move(*shared), &board_);
    if (!placed) return placed.refusal();
    weights_ = std::make_unique<RankWeights>(std::move(*placed));
    return Done{};
  });
}

kj::Promise<std::shared_ptr<GroupEngine>> RankEngine::enter(std::shared_ptr<GroupMeans> means,
                                                            Bytes memory) {
  return thread_.run([this, means = std::move(means), memory] {
    EngineAtWork guard(&board_);
    return orDisconnected([&] {
      auto& communicators = means->communicators;
      board_.begin(RankOperation::MEET);
      checkOrder(communicators.tensor());
      board_.begin(RankOperation::MEET);
      checkOrder(communicators.pipeline());
      board_.begin(RankOperation::MEET);
      KvCacheShape cache = agreeOnCache(communicators, *backend_, *weights_, memory);
      board_.begin(RankOperation::MEET);
      means->links.goDirect(backend_->direct(), means->deadline);
      const TransformerParts parts{*backend_, *weights_, means->links.collectives(), &board_};
      return std::make_shared<GroupEngine>(parts, means, cache);
    });
  });
}

namespace {

// Runs `work` on the executor. Returns why the group broke; empty: it did not.
template <class Work>
std::string brokenBy(GroupEngine& group, Work work) {
  try {
    work(group.executor());
    return "";
  } catch (const CollectiveBroken& broken) {
    return broken.what();
  }
}

}  // namespace

kj::Promise<std::string> RankEngine::follow(std::shared_ptr<GroupEngine> group) {
  return thread_.run([group = std::move(group)] {
    return brokenBy(*group, [](GroupExecutor& executor) { executor.followSteps(); });
  });
}

kj::Promise<std::string> RankEngine::keepAlive(std::shared_ptr<GroupEngine> group) {
  return thread_.run([group = std::move(group)] {
    return brokenBy(*group, [](GroupExecutor& executor) { executor.keepAlive(); });
  });
}

}  // namespace muster::worker
