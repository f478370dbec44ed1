#include "worker/engine/native/native_rank.h"

#include "base/kj_time.h"
#include "protocol/endpoint_note.h"
#include "sharding/model_spec.h"
#include "worker/engine/native/group_proof.h"
#include "worker/engine/native/peer_load.h"
#include "worker/model_inspector.h"

#include <kj/debug.h>

#include <set>
#include <utility>

namespace muster::worker {
namespace {

// Two readers keep a disk busy while one of them hashes; more only compete for the cores of a
// shared machine.
constexpr uint32_t READING_THREADS = 2;

// Of the texts beside the weights that came from another node; in the rank's own folder, where it
// was started.
constexpr const char* TEXT_FOLDER = "model";

Reason reasonOf(RefusalCode code) {
  switch (code) {
    case RefusalCode::WEIGHTS_CORRUPT:
    case RefusalCode::MODEL_FILE_CORRUPT:
      return Reason::WEIGHTS_CORRUPT;
    case RefusalCode::JOIN_TIMEOUT:
    case RefusalCode::NOT_ALLOWED:
      return Reason::JOIN_TIMEOUT;
    case RefusalCode::GPU_UNUSABLE:
      return Reason::GPU_UNHEALTHY;
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

bool isSameWork(const Assignment& a, Assignment b) {
  b.ref.generation = a.ref.generation;
  b.secret = a.secret;
  b.rendezvous = a.rendezvous;
  return a == b;
}

// What computes for this generation ends, wherever it waits.
NativeRank::Meeting::~Meeting() noexcept(false) {
  if (means != nullptr) means->abort("its generation is over");
}

NativeRank::NativeRank(kj::Network& network, kj::Timer& timer, Random& random,
                       OperationBoard& board)
    : network_(network), timer_(timer), random_(random), board_(board), engine_(board) {}

Result<Done> NativeRank::start(NativeRankTask task) {
  KJ_IF_MAYBE (running, task_) {
    if (running->assignment.ref == task.assignment.ref) return Done{};
    return Refusal{.code = RefusalCode::STALE_ORDER,
                   .text = "this process already serves another rank"};
  }
  task_ = std::move(task);
  enter(ReplicaPhase::LOADING, "");
  loaded_ = load().fork();
  beginGeneration();
  return Done{};
}

Result<Done> NativeRank::advance(Assignment assignment) {
  KJ_IF_MAYBE (running, task_) {
    if (running->assignment.ref == assignment.ref) return Done{};
    bool follows = running->assignment.ref.generation < assignment.ref.generation &&
                   isSameWork(running->assignment, assignment);
    if (!follows || report_.phase == ReplicaPhase::FAILED) {
      return Refusal{.code = RefusalCode::STALE_ORDER,
                     .text = "this process cannot go on as that rank"};
    }
    running->assignment = std::move(assignment);
    beginGeneration();
    return Done{};
  }
  return Refusal{.code = RefusalCode::STALE_ORDER, .text = "this process has no task yet"};
}

void NativeRank::beginGeneration() {
  const Assignment& assignment = KJ_ASSERT_NONNULL(task_).assignment;
  generation_ = nullptr;
  meeting_ = kj::heap<Meeting>();  // the old one leaves its group
  report_.ref = assignment.ref;
  report_.rendezvous.clear();
  if (report_.phase != ReplicaPhase::LOADING) enter(ReplicaPhase::JOINING, "");
  meet(assignment.rendezvous);
  generation_ = runGeneration().eagerlyEvaluate([this](kj::Exception&& exception) {
    fail({.code = RefusalCode::INTERNAL, .text = exception.getDescription().cStr()});
  });
}

void NativeRank::meet(std::string rendezvous) {
  if (meeting_.get() == nullptr || meeting_->rendezvousKnown || rendezvous.empty()) return;
  meeting_->rendezvousKnown = true;
  meeting_->rendezvous.fulfiller->fulfill(std::move(rendezvous));
}

RankReport NativeRank::report() const {
  RankReport report = report_;
  if (load_.get() != nullptr) report.loaded = {load_->loadedBytes()};
  if (meeting_.get() != nullptr && meeting_->group.get() != nullptr) {
    report.joined = meeting_->group->present();
  }
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

kj::Promise<void> NativeRank::runGeneration() {
  return Steps{KJ_ASSERT_NONNULL(loaded_).addBranch()}
      .then([this] { return join(); })
      .then([this] { return connect(); })
      .then([this] { return warmUp(); })
      .promise
      .then([this](Result<Done> outcome) -> kj::Promise<void> {
        if (outcome) return serve();
        fail(outcome.refusal());
        return kj::READY_NOW;
      })
      .catch_([this](kj::Exception&& exception) -> kj::Promise<void> {
        // A member that left while we met: its loss is the leader's to repair.
        if (exception.getType() == kj::Exception::Type::DISCONNECTED) {
          return waitForNextGeneration(exception.getDescription().cStr());
        }
        return kj::mv(exception);
      });
}

Result<std::vector<SliceFile>> NativeRank::openFiles(const ModelManifest& manifest) const {
  const auto& task = KJ_ASSERT_NONNULL(task_);
  ModelRoots roots(task.modelRoots);
  auto folder = roots.openModel(task.assignment.modelSource);
  if (!folder) return folder.refusal();
  std::vector<SliceFile> files;
  for (const auto& inspected : manifest.files) {
    board_.beginFile(RankOperation::OPEN_FILE, inspected.name);
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
  report_.total = shard->bytes;
  // Only the files this rank has slices of: a stage of a large model needs few of them.
  ModelManifest needed = task.manifest;
  std::set<std::string> names;
  for (const auto& slice : shard->slices) names.insert(slice.file);
  board_.nameFiles({names.begin(), names.end()});
  board_.begin(RankOperation::LOAD_FILE, OperationBoard::FILES_MAX);  // none of them yet
  if (!task.weights.peers.empty()) return beginPeerLoad(std::move(*shard));
  std::erase_if(needed.files, [&](const ModelFile& file) { return names.count(file.name) == 0; });
  auto files = openFiles(needed);
  if (!files) return files.refusal();
  load_ =
      kj::heap<SliceLoad>(std::move(*files), std::move(shard->slices), READING_THREADS, &board_);
  return Done{};
}

Result<Done> NativeRank::beginPeerLoad(sharding::RankShard shard) {
  const auto& task = KJ_ASSERT_NONNULL(task_);
  if (task.tls.certificate.empty()) {
    return Refusal{.code = RefusalCode::MODEL_NOT_FOUND,
                   .text = task.weights.missing +
                           "; other nodes cannot be asked, for this rank has no certificate"};
  }
  PeerLoadTask peers{.source = task.assignment.modelSource,
                     .manifestDigest = task.manifest.digest,
                     .from = task.weights,
                     .slices = std::move(shard.slices),
                     .textFolder = answers() ? TEXT_FOLDER : "",
                     .board = &board_};
  if (!task.cacheFolder.empty()) peers.cache = SliceCache(task.cacheFolder, task.cacheMax);
  transport_ = makeTlsTransport(network_, timer_, task.cluster, task.tls);
  auto onSource = [this](const std::string& whence) {
    enter(ReplicaPhase::LOADING,
          "from " + whence + ", since " + KJ_ASSERT_NONNULL(task_).weights.missing);
  };
  load_ = kj::heap<PeerLoad>(*transport_, timer_, random_, std::move(peers), kj::mv(onSource));
  return Done{};
}

// The device first: without one there is nothing to load for.
kj::Promise<Result<Done>> NativeRank::load() {
  return Steps{engine_.open(KJ_ASSERT_NONNULL(task_).gpu)}
      .then([this] { return loadSlices(); })
      .promise;
}

kj::Promise<Result<Done>> NativeRank::loadSlices() {
  auto begun = beginLoad();
  if (!begun) return begun;
  return load_->loaded().then(
      [this](Result<std::vector<LoadedSlice>> slices) -> kj::Promise<Result<Done>> {
        if (!slices) return Result<Done>(slices.refusal());
        report_.loaded = {load_->loadedBytes()};
        load_ = nullptr;
        keepReports(*slices);
        return Steps{place(std::move(*slices))}.then([this] { return readText(); }).promise;
      });
}

bool NativeRank::answers() const {
  const auto& task = KJ_ASSERT_NONNULL(task_);
  return task.assignment.ref.rank.value == 0 && !task.tls.certificate.empty();
}

// What rank 0 needs to speak: tokenizer, chat template, end tokens.
kj::Promise<Result<Done>> NativeRank::readText() {
  if (!answers()) return Result<Done>(Done{});
  board_.begin(RankOperation::READ_TEXT);
  const auto& task = KJ_ASSERT_NONNULL(task_);
  bool isHere = task.weights.peers.empty();
  auto roots = isHere ? task.modelRoots : std::vector<std::string>{TEXT_FOLDER};
  std::string from = isHere ? task.assignment.modelSource : "file:" + std::string(TEXT_FOLDER);
  auto read = [roots = std::move(roots), source = std::move(from)] {
    ModelRoots modelRoots(roots);
    auto folder = modelRoots.openModel(source);
    if (!folder) return Result<std::shared_ptr<const ModelText>>(folder.refusal());
    return readModelText(modelRoots, *folder);
  };
  return reader_.run(read).then(
      [this](Result<std::shared_ptr<const ModelText>> text) -> Result<Done> {
        if (!text) return text.refusal();
        text_ = std::move(*text);
        return Done{};
      });
}

kj::Promise<Result<Done>> NativeRank::place(std::vector<LoadedSlice> slices) {
  const auto& task = KJ_ASSERT_NONNULL(task_);
  auto spec = sharding::readModelSpec(task.manifest.configJson, task.manifest.tensors);
  if (!spec) return Result<Done>(spec.refusal());
  RankWeightsTask weights{
      .spec = std::move(*spec), .plan = task.assignment.plan, .rank = task.assignment.ref.rank};
  return engine_.place(std::move(weights), std::move(slices));
}

void NativeRank::keepReports(const std::vector<LoadedSlice>& slices) {
  for (const auto& loaded : slices) {
    report_.slices.push_back({.tensor = loaded.slice.tensor,
                              .file = loaded.slice.file,
                              .offset = loaded.slice.offset,
                              .bytes = loaded.slice.bytes,
                              .shape = loaded.slice.shape,
                              .ranges = loaded.slice.ranges,
                              .checksum = checksumText(loaded.checksum)});
  }
}

GroupTask NativeRank::groupTask() const {
  const auto& task = KJ_ASSERT_NONNULL(task_);
  return {.ref = task.assignment.ref,
          .worldSize = task.assignment.worldSize,
          .secret = task.assignment.secret,
          .joinTimeout = task.joinTimeout};
}

GroupShape NativeRank::groupShape() const {
  const Assignment& assignment = KJ_ASSERT_NONNULL(task_).assignment;
  return {.worldSize = assignment.worldSize,
          .tensor = assignment.plan.tensor,
          .self = assignment.ref.rank.value,
          .deadline = assignment.timeouts.stall};
}

kj::Promise<Result<Done>> NativeRank::join() {
  enter(ReplicaPhase::JOINING, "");
  board_.begin(RankOperation::JOIN);
  return Steps{openPort()}.then([this] { return meetGroup(); }).promise;
}

// What the others need to reach this rank.
kj::Promise<Result<Done>> NativeRank::openPort() {
  GroupTask task = groupTask();
  memory_ = SharedMemory::make();
  writeMark(KJ_ASSERT_NONNULL(memory_), makeMark(task.secret, task.ref));
  return openDataPort(network_, timer_, random_, task, KJ_ASSERT_NONNULL(task_).listenAddress)
      .then([this](kj::Own<DataPort> port) -> Result<Done> {
        meeting_->port = kj::mv(port);
        return Done{};
      });
}

kj::Promise<Result<Done>> NativeRank::meetGroup() {
  GroupTask task = groupTask();
  task.card = {.host = hostIdentity(),
               .dataAddress = meeting_->port->address(),
               .memory = KJ_ASSERT_NONNULL(memory_).address()};
  if (task.ref.rank.value == 0) {
    return hostGroup(network_, timer_, random_, task, KJ_ASSERT_NONNULL(task_).listenAddress)
        .then([this](kj::Own<GroupHost> host) {
          report_.rendezvous = host->rendezvous();
          meeting_->group = kj::mv(host);
          return meeting_->group->joined();
        });
  }
  return meeting_->rendezvous.promise.then([this, task](std::string rendezvous) {
    meeting_->group = joinGroup(network_, timer_, random_, task, std::move(rendezvous));
    return meeting_->group->joined();
  });
}

// Throws DISCONNECTED with the group's word when a rank leaves before the promise is done.
template <class T>
kj::Promise<T> NativeRank::unlessBroken(kj::Promise<T> promise) {
  auto left = KJ_ASSERT_NONNULL(meeting_->broken).addBranch().then([](std::string why) -> T {
    kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, why));
  });
  return promise.exclusiveJoin(kj::mv(left));
}

kj::Promise<Result<Done>> NativeRank::connect() {
  meeting_->broken = meeting_->group->broken().fork();
  std::vector<RankCard> cards = meeting_->group->cards();
  auto peers = peersByTcp(groupShape(), cards);
  return unlessBroken(meeting_->port->connect(peers, cards))
      .then([this, cards](Result<DataPort::Connections> connections) -> Result<Done> {
        if (!connections) return connections.refusal();
        GroupTask task = groupTask();
        std::vector<MemoryMark> marks;
        for (uint32_t rank = 0; rank < task.worldSize; ++rank) {
          RankRef ref = task.ref;
          ref.rank = {rank};
          marks.push_back(makeMark(task.secret, ref));
        }
        meeting_->means = std::make_shared<GroupMeans>(
            groupShape(),
            Communicators::Parts{cards, std::move(marks), kj::mv(KJ_ASSERT_NONNULL(memory_)),
                                 std::move(*connections)},
            clock_);
        memory_ = nullptr;
        return Done{};
      });
}

// Half of what the weights leave of this rank's share: activations and buffers take the rest.
Bytes NativeRank::cacheMemory() const {
  Bytes share = KJ_ASSERT_NONNULL(task_).assignment.memory;
  return share > report_.loaded ? Bytes{(share - report_.loaded).count / 2} : Bytes{};
}

kj::Promise<Result<Done>> NativeRank::warmUp() {
  enter(ReplicaPhase::WARMING, "");
  return unlessBroken(engine_.enter(meeting_->means, cacheMemory()))
      .then([this](std::shared_ptr<GroupEngine> engine) -> Result<Done> {
        meeting_->engine = std::move(engine);
        return Done{};
      });
}

// Until the group is broken: by a rank that leaves, or by what the engine meets.
kj::Promise<void> NativeRank::serve() {
  board_.begin(RankOperation::SERVE);
  auto begun = beginComputing();
  if (!begun) {
    fail(begun.refusal());
    return kj::READY_NOW;
  }
  return KJ_ASSERT_NONNULL(meeting_->broken)
      .addBranch()
      .exclusiveJoin(kj::mv(*begun))
      .then([this](std::string why) {
        if (why.empty()) why = "rank 0 has ended the group";
        return waitForNextGeneration(why + board_.duringText());
      });
}

// Resolves with why no more can be computed.
Result<kj::Promise<std::string>> NativeRank::beginComputing() {
  bool first = KJ_ASSERT_NONNULL(task_).assignment.ref.rank.value == 0;
  if (answers()) return answerRequests();
  enter(ReplicaPhase::READY, "");
  return first ? keepAlive() : engine_.follow(meeting_->engine);
}

Result<kj::Promise<std::string>> NativeRank::answerRequests() {
  const auto& task = KJ_ASSERT_NONNULL(task_);
  const auto& assignment = task.assignment;
  bool isIpv6 = task.listenAddress.find(':') != std::string::npos;
  ServingOptions options{
      .address = (isIpv6 ? "[" + task.listenAddress + "]" : task.listenAddress) + ":0",
      .tls = task.tls,
      .model = assignment.deployment.value,
      .aliases = {assignment.tenant.value + "/" + assignment.deployment.value},
      .tenant = assignment.tenant.value,
      .deployment = assignment.deployment.value,
      .replica = assignment.ref.replica.value,
      .stall = assignment.timeouts.stall};
  auto serving = Serving::start(std::move(options), text_, meeting_->engine->executor(), timer_,
                                clock_, random_, logger_);
  if (!serving) return serving.refusal();
  meeting_->serving = kj::mv(*serving);
  enter(ReplicaPhase::READY, endpointNote("https://" + meeting_->serving->address()));
  return meeting_->serving->broken();
}

kj::Promise<std::string> NativeRank::keepAlive() {
  return engine_.keepAlive(meeting_->engine).then([this](std::string why) {
    if (!why.empty()) return kj::Promise<std::string>(std::move(why));
    return timer_.afterDelay(toKj(KEEP_ALIVE)).then([this] { return keepAlive(); });
  });
}

// A broken group cannot compute. The leader usually knows the cause first and makes the next
// generation; when it does not within the stall time, this rank says so itself.
kj::Promise<void> NativeRank::waitForNextGeneration(std::string why) {
  if (meeting_->means != nullptr) meeting_->means->abort(why);
  board_.begin(RankOperation::JOIN);
  enter(ReplicaPhase::JOINING, why + "; waiting for the next generation");
  const auto& stall = KJ_ASSERT_NONNULL(task_).assignment.timeouts.stall;
  return timer_.afterDelay(toKj(stall)).then([this, why = std::move(why)] {
    report_.reason = Reason::RANK_STALLED;
    report_.firstError = why;
    enter(ReplicaPhase::FAILED, why);
  });
}

}  // namespace muster::worker
