#include "worker/engine/native/slice_load.h"

#include <kj/debug.h>
#include <kj/thread.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <errno.h>
#include <mutex>
#include <optional>
#include <unistd.h>
#include <utility>

namespace muster::worker {
namespace {

constexpr uint64_t READ_BYTES = 4 << 20;  // one positional read; larger ones were not faster

}  // namespace

// What the reading threads share. Each slice is taken by one thread, which alone writes its element
// of `loaded`.
struct SliceLoad::Shared {
  OperationBoard* board = nullptr;
  std::vector<SliceFile> files;
  std::vector<LoadedSlice> loaded;
  std::atomic<size_t> nextSlice{0};
  std::atomic<uint32_t> running{0};
  std::atomic<uint64_t> loadedBytes{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;  // of `failure` alone
  std::optional<Refusal> failure;
  kj::Own<kj::CrossThreadPromiseFulfiller<void>> finished;

  void fail(Refusal refusal) {
    std::lock_guard lock(mutex);
    if (!failure) failure = std::move(refusal);
    stop = true;
  }
  const OpenedPath& fileOf(const sharding::Slice& slice) const {
    for (const auto& file : files) {
      if (file.name == slice.file) return file.opened;
    }
    KJ_FAIL_REQUIRE("a slice names a file that was not opened", slice.file.c_str());
  }

  // False when the load has failed or shall stop.
  bool readPiece(const OpenedPath& file, uint64_t offset, std::byte* to, uint64_t bytes);
  bool readSlice(LoadedSlice& target);
  void run();
};

bool SliceLoad::Shared::readPiece(const OpenedPath& file, uint64_t offset, std::byte* to,
                                  uint64_t bytes) {
  while (bytes > 0) {
    if (stop) return false;
    ssize_t got = ::pread(file.fd.get(), to, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      fail({.code = RefusalCode::WEIGHTS_CORRUPT,
            .text = file.path + " cannot be read at byte " + std::to_string(offset) + ": " +
                    (got == 0 ? "the file ends there" : std::strerror(errno))});
      return false;
    }
    auto count = static_cast<uint64_t>(got);
    offset += count;
    to += count;
    bytes -= count;
  }
  return true;
}

// Each piece is hashed while it is still in the processor's cache.
bool SliceLoad::Shared::readSlice(LoadedSlice& target) {
  const auto& slice = target.slice;
  const auto& file = fileOf(slice);
  if (board != nullptr) board->beginFile(RankOperation::LOAD_FILE, slice.file);
  target.bytes = AlignedBytes(slice.bytes);
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> hash(XXH3_createState(),
                                                                &XXH3_freeState);
  XXH3_64bits_reset(hash.get());
  std::byte* to = target.bytes.data();
  for (uint64_t row = 0; row < slice.rows; ++row) {
    uint64_t offset = slice.offset + row * slice.stride;
    for (uint64_t done = 0; done < slice.rowBytes; done += READ_BYTES) {
      uint64_t count = std::min(READ_BYTES, slice.rowBytes - done);
      if (!readPiece(file, offset + done, to, count)) return false;
      XXH3_64bits_update(hash.get(), to, count);
      to += count;
      loadedBytes += count;
    }
  }
  target.checksum = XXH3_64bits_digest(hash.get());
  return true;
}

void SliceLoad::Shared::run() {
  auto failed = kj::runCatchingExceptions([&] {
    while (!stop) {
      size_t mine = nextSlice++;
      if (mine >= loaded.size() || !readSlice(loaded[mine])) break;
    }
  });
  KJ_IF_MAYBE (exception, failed) {
    fail({.code = RefusalCode::INTERNAL, .text = exception->getDescription().cStr()});
  }
  if (--running == 0) finished->fulfill();
}

SliceLoad::SliceLoad(std::vector<SliceFile> files, std::vector<sharding::Slice> slices,
                     uint32_t threads, OperationBoard* board)
    : shared_(std::make_shared<Shared>()), finished_(nullptr) {
  shared_->board = board;
  shared_->files = std::move(files);
  for (auto& slice : slices) shared_->loaded.push_back({std::move(slice), AlignedBytes(), 0});
  auto paf = kj::newPromiseAndCrossThreadFulfiller<void>();
  shared_->finished = kj::mv(paf.fulfiller);
  finished_ = kj::mv(paf.promise);
  shared_->running = threads;
  for (uint32_t i = 0; i < threads; ++i) {
    threads_.push_back(kj::heap<kj::Thread>([shared = shared_] { shared->run(); }));
  }
}

SliceLoad::~SliceLoad() noexcept(false) { shared_->stop = true; }  // kj::Thread joins

uint64_t SliceLoad::loadedBytes() const { return shared_->loadedBytes; }

kj::Promise<Result<std::vector<LoadedSlice>>> SliceLoad::loaded() {
  return finished_.then([shared = shared_]() -> Result<std::vector<LoadedSlice>> {
    std::lock_guard lock(shared->mutex);
    if (shared->failure) return *shared->failure;
    return std::move(shared->loaded);
  });
}

}  // namespace muster::worker
