#include "worker/engine/native/peer_load.h"

#include "base/exception_refusal.h"
#include "base/files.h"
#include "base/kj_time.h"
#include "protocol/codec.h"
#include "worker/weight_transfer.h"

#include <kj/debug.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

namespace muster::worker {
namespace {

// The answer alone, as deadlines want it.
template <class Results>
kj::Promise<capnp::Response<Results>> answerOf(capnp::RemotePromise<Results> sent) {
  return sent.then([](capnp::Response<Results>&& response) { return kj::mv(response); });
}

// All of them, or the first failure at once.
kj::Promise<void> allOf(kj::Array<kj::Promise<void>> promises) {
  auto failed = kj::newPromiseAndFulfiller<void>();
  auto* first = failed.fulfiller.get();
  for (auto& one : promises) {
    one = one.catch_([first](kj::Exception&& why) {
      first->reject(kj::cp(why));
      kj::throwFatalException(kj::mv(why));
    });
  }
  return kj::joinPromises(kj::mv(promises))
      .exclusiveJoin(kj::mv(failed.promise))
      .attach(kj::mv(failed.fulfiller));
}

bool isRefused(schema::Refusal::Reader refusal) { return refusal.getCode() != 0; }

// A node that may do later what it does not now.
bool isBusy(const std::optional<Refusal>& outcome) {
  return outcome && outcome->code == RefusalCode::OVERLOADED;
}
bool gaveWrongBytes(const std::optional<Refusal>& outcome) {
  return outcome && outcome->code == RefusalCode::WEIGHTS_CORRUPT;
}

}  // namespace

PeerLoad::PeerLoad(Transport& transport, kj::Timer& timer, Random& random, PeerLoadTask task,
                   kj::Function<void(const std::string&)> onSource, PeerLoadLimits limits)
    : transport_(transport),
      timer_(timer),
      task_(std::move(task)),
      onSource_(kj::mv(onSource)),
      limits_(limits),
      backoff_(limits.busy, random),
      outcomes_(task_.from.peers.size()) {
  for (auto& slice : task_.slices) {
    Target target;
    target.loaded.slice = std::move(slice);
    targets_.push_back(std::move(target));
  }
  hasTexts_ = task_.textFolder.empty();
  loading_ = run();
}

PeerLoad::~PeerLoad() noexcept(false) = default;

kj::Promise<Result<std::vector<LoadedSlice>>> PeerLoad::loaded() { return kj::mv(loading_); }

// A node that gave wrong bytes is not asked again; the others are, as long as one of them is only
// busy. Who watches the rank ends a load that does not get on.
Co<Result<std::vector<LoadedSlice>>> PeerLoad::run() {
  if (task_.cache) co_await takeKept();
  if (hasAll()) co_return takeAll();
  for (;;) {
    for (size_t i = 0; i < outcomes_.size(); ++i) {
      if (gaveWrongBytes(outcomes_[i])) continue;
      auto outcome = co_await tryPeer(i);
      if (outcome) co_return takeAll();
      outcomes_[i] = outcome.refusal();
    }
    if (std::none_of(outcomes_.begin(), outcomes_.end(), isBusy)) co_return refusal();
    co_await timer_.afterDelay(toKj(backoff_.next()));
  }
}

bool PeerLoad::hasAll() const {
  return hasTexts_ && std::all_of(targets_.begin(), targets_.end(),
                                  [](const Target& target) { return target.isWhole; });
}

std::vector<LoadedSlice> PeerLoad::takeAll() {
  std::vector<LoadedSlice> slices;
  for (auto& target : targets_) slices.push_back(std::move(target.loaded));
  return slices;
}

// Between two slices the loop may answer the agent.
Co<void> PeerLoad::takeKept() {
  onSource_("the cache of this node");
  for (size_t i = 0; i < targets_.size(); ++i) {
    Target& target = targets_[i];
    target.isWhole = task_.cache->find(task_.manifestDigest, target.loaded) &&
                     wrongChecksum(target.loaded).empty();
    if (target.isWhole) {
      target.got = target.loaded.bytes.size();
      loadedBytes_ += target.got;
    }
    co_await kj::evalLater([] {});
  }
}

kj::Promise<Result<Done>> PeerLoad::tryPeer(size_t peer) {
  fault_.reset();
  return loadFrom(task_.from.peers[peer])
      .asPromise()
      .catch_([this](kj::Exception&& why) -> Result<Done> {
        if (fault_) return *fault_;
        Refusal refusal = refusalOf(why);
        if (refusal.code == RefusalCode::INTERNAL) refusal.code = RefusalCode::FETCH_FAILED;
        return refusal;
      });
}

Co<Result<Done>> PeerLoad::loadFrom(WeightPeer peer) {
  auto connection = co_await connectRpc(transport_, timer_, peer.address, Role::WORKER);
  if (connection->peer().name != peer.node.value) {
    co_return Refusal{.code = RefusalCode::NOT_ALLOWED,
                      .text = peer.address + " is node " + connection->peer().name};
  }
  auto request = connection->bootstrap<schema::WeightGate>().openRequest();
  request.setSource(task_.source.c_str());
  request.setManifestDigest(task_.manifestDigest.c_str());
  auto opened =
      co_await withDeadline(timer_, limits_.open, "opening the model", answerOf(request.send()));
  if (isRefused(opened.getRefusal())) co_return decode(opened.getRefusal());
  onSource_("node " + peer.node.value);
  Files files = opened.getFiles();
  co_await readSlices(files);
  if (!hasTexts_) co_await readTexts(files);
  co_return Done{};
}

// A few at a time: that is all that is ever on its way to us.
Co<void> PeerLoad::readSlices(Files files) {
  beginPeer();
  auto pumps = kj::heapArrayBuilder<kj::Promise<void>>(WEIGHT_READS_MAX);
  for (uint32_t i = 0; i < WEIGHT_READS_MAX; ++i) pumps.add(pump(files));
  co_await allOf(pumps.finish());
}

Co<void> PeerLoad::pump(Files files) {
  while (!queue_.empty()) {
    Piece piece = queue_.front();
    queue_.pop_front();
    const auto& slice = targets_[piece.slice].loaded.slice;
    auto response = co_await read(files, slice.file, piece, slice.stride);
    take(piece, response);
  }
}

kj::Promise<PeerLoad::ReadResponse> PeerLoad::read(Files& files, const std::string& file,
                                                   const Piece& piece, uint64_t stride) {
  if (task_.board != nullptr) task_.board->beginFile(RankOperation::LOAD_FILE, file);
  auto request = files.readRequest();
  request.setFile(file.c_str());
  request.setOffsetBytes(piece.offset);
  request.setRows(piece.rows);
  request.setRowBytes(piece.rowBytes);
  request.setStrideBytes(stride);
  return withDeadline(timer_, limits_.read, "reading a piece of " + file, answerOf(request.send()))
      .then([this, file, bytes = piece.rows * piece.rowBytes](ReadResponse&& response) {
        if (isRefused(response.getRefusal())) fault_ = decode(response.getRefusal());
        auto got = response.getBytes();
        bool isRight =
            got.size() == bytes && XXH3_64bits(got.begin(), got.size()) == response.getChecksum();
        if (!fault_ && !isRight) {
          fault_ = Refusal{.code = RefusalCode::WEIGHTS_CORRUPT,
                           .text = "what it sent of " + file + " is not what it read"};
        }
        KJ_REQUIRE(!fault_, fault_->text.c_str());
        return kj::mv(response);
      });
}

// What an earlier node has begun is asked for anew.
void PeerLoad::beginPeer() {
  queue_.clear();
  for (size_t i = 0; i < targets_.size(); ++i) {
    if (targets_[i].isWhole) continue;
    loadedBytes_ -= std::exchange(targets_[i].got, 0);
    cut(i);
  }
}

// Into runs of whole rows, or parts of one row where that is longer than a piece.
void PeerLoad::cut(size_t index) {
  const auto& slice = targets_[index].loaded.slice;
  uint64_t rowsOfPiece = slice.rowBytes == 0 ? slice.rows : limits_.pieceBytes / slice.rowBytes;
  for (uint64_t row = 0; row < slice.rows; row += std::max<uint64_t>(rowsOfPiece, 1)) {
    Piece piece{.slice = index,
                .at = row * slice.rowBytes,
                .offset = slice.offset + row * slice.stride,
                .rows = std::min(rowsOfPiece, slice.rows - row),
                .rowBytes = slice.rowBytes};
    if (rowsOfPiece > 0) {
      queue_.push_back(piece);
      continue;
    }
    for (uint64_t done = 0; done < slice.rowBytes; done += limits_.pieceBytes) {
      queue_.push_back({.slice = index,
                        .at = piece.at + done,
                        .offset = piece.offset + done,
                        .rows = 1,
                        .rowBytes = std::min(limits_.pieceBytes, slice.rowBytes - done)});
    }
  }
}

void PeerLoad::take(const Piece& piece, const schema::ModelFiles::ReadResults::Reader& read) {
  Target& target = targets_[piece.slice];
  auto& bytes = target.loaded.bytes;
  if (bytes.size() == 0) bytes = AlignedBytes(target.loaded.slice.bytes);
  auto got = read.getBytes();
  std::memcpy(bytes.data() + piece.at, got.begin(), got.size());
  target.got += got.size();
  loadedBytes_ += got.size();
  if (target.got == target.loaded.slice.bytes) finish(target);
}

void PeerLoad::finish(Target& target) {
  auto& loaded = target.loaded;
  loaded.checksum = XXH3_64bits(loaded.bytes.data(), loaded.bytes.size());
  std::string wrong = wrongChecksum(loaded);
  if (!wrong.empty()) {
    fault_ = Refusal{.code = RefusalCode::WEIGHTS_CORRUPT, .text = wrong};
    kj::throwFatalException(KJ_EXCEPTION(FAILED, fault_->text.c_str()));
  }
  target.isWhole = true;
  if (task_.cache) task_.cache->keep(task_.manifestDigest, loaded);
}

// How a slice differs from that of a rank that is Ready; empty: not, as far as is known.
std::string PeerLoad::wrongChecksum(const LoadedSlice& loaded) const {
  auto known = task_.from.checksums.find(loaded.slice.tensor);
  std::string found = checksumText(loaded.checksum);
  if (known == task_.from.checksums.end() || known->second == found) return "";
  return "its bytes of " + loaded.slice.tensor + " in " + loaded.slice.file + " have checksum " +
         found + "; a rank that is Ready has " + known->second;
}

// Into a folder of the rank, where they are read as those of a model's own folder are.
Co<void> PeerLoad::readTexts(Files files) {
  std::filesystem::create_directories(task_.textFolder);
  for (const char* name : MODEL_TEXTS) {
    auto request = files.textSizeRequest();
    request.setName(name);
    auto size =
        co_await withDeadline(timer_, limits_.read, "looking for a text", answerOf(request.send()));
    if (!size.getFound()) continue;
    uint64_t bytes = size.getSizeBytes();
    KJ_REQUIRE(bytes <= MODEL_TEXT_MAX.count, "a text beside the weights is too large", name);
    std::string text;
    while (text.size() < bytes) {
      Piece piece;
      piece.offset = text.size();
      piece.rowBytes = std::min(limits_.pieceBytes, bytes - text.size());
      auto response = co_await read(files, name, piece, 0);
      auto got = response.getBytes().asChars();
      text.append(got.begin(), got.size());
    }
    auto written = writeFileAtomically(task_.textFolder + "/" + name, text, 0600);
    KJ_REQUIRE(written.ok(), written.refusal().text.c_str());
  }
  hasTexts_ = true;
}

// "MISSING; other nodes were asked: w2: ..., w3: ..."
Refusal PeerLoad::refusal() const {
  bool corrupt = std::any_of(outcomes_.begin(), outcomes_.end(), gaveWrongBytes);
  Refusal all{.code = corrupt ? RefusalCode::WEIGHTS_CORRUPT : RefusalCode::MODEL_NOT_FOUND,
              .text = task_.from.missing + "; other nodes were asked: "};
  if (outcomes_.empty()) all.text += "there is none";
  for (size_t i = 0; i < outcomes_.size(); ++i) {
    all.text += (i == 0 ? "" : "; ") + task_.from.peers[i].node.value + ": " + outcomes_[i]->text;
  }
  return all;
}

}  // namespace muster::worker
