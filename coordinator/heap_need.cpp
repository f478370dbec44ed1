#include "coordinator/heap_need.h"

#include "base/kj_time.h"

#include <charconv>

namespace muster::coordinator {
namespace {

constexpr Duration SERVER_DEADLINE = 500_ms;
constexpr Bytes BATCH_MAX = 64_KiB;
constexpr Bytes SERVER_ITSELF = 64_MiB;
// The log comes and goes, so that much of the heap is garbage; a snapshot lies still.
constexpr uint64_t HEAP_PER_LOG_BYTE = 3;
constexpr uint64_t SNAPSHOTS = 2;
// A server started with -Xmx has a little less than that to give.
constexpr uint64_t SPARE_PERCENT = 8;

std::string inMiB(Bytes bytes) { return std::to_string((bytes.count + (1 << 20) - 1) >> 20); }

kj::Promise<kj::Maybe<Bytes>> readAnswer(kj::Own<kj::AsyncIoStream> stream) {
  static constexpr kj::StringPtr QUESTION = "envi"_kj;
  auto written = stream->write(QUESTION.begin(), QUESTION.size());
  return written.then([&stream = *stream] { return stream.readAllText(64 << 10); })
      .then([](kj::String answer) -> kj::Maybe<Bytes> {
        auto heap = heapIn(answer.cStr());
        if (!heap) return nullptr;
        return *heap;
      })
      .attach(kj::mv(stream));
}

}  // namespace

HeapNeed heapNeed(const SnapshotOptions& options, Bytes state) {
  HeapNeed need;
  need.log = {options.logBytes.count + options.keptBatches * BATCH_MAX.count};
  need.snapshots = {SNAPSHOTS * state.count};
  need.heap = {SERVER_ITSELF.count + HEAP_PER_LOG_BYTE * need.log.count +
               need.snapshots.count * 3 / 2};
  return need;
}

std::optional<Bytes> heapIn(const std::string& environment) {
  const std::string KEY = "os.memory.max=";
  size_t at = environment.find(KEY);
  if (at == std::string::npos) return std::nullopt;
  const char* from = environment.data() + at + KEY.size();
  uint64_t megabytes = 0;
  auto parsed = std::from_chars(from, environment.data() + environment.size(), megabytes);
  if (parsed.ec != std::errc() || megabytes == 0) return std::nullopt;
  return Bytes{megabytes << 20};
}

kj::Promise<kj::Maybe<Bytes>> askHeap(kj::Network& network, kj::Timer& timer,
                                      const std::string& server) {
  auto asked =
      network.parseAddress(server.c_str())
          .then([](kj::Own<kj::NetworkAddress> address) {
            auto connecting = address->connect();
            return connecting.attach(kj::mv(address));
          })
          .then([](kj::Own<kj::AsyncIoStream> stream) { return readAnswer(kj::mv(stream)); });
  return timer.timeoutAfter(toKj(SERVER_DEADLINE), kj::mv(asked))
      .catch_([](kj::Exception&&) -> kj::Maybe<Bytes> { return nullptr; });
}

std::optional<Refusal> judgeHeap(const std::string& server, Bytes heap, const HeapNeed& need) {
  if (heap >= need.heap) return std::nullopt;
  Bytes wanted{need.heap.count * (100 + SPARE_PERCENT) / 100};
  return Refusal{RefusalCode::STORE_UNREACHABLE,
                 "ZooKeeper server " + server + " has a heap of " + inMiB(heap) + " MiB; " +
                     inMiB(need.heap) + " MiB are needed for a log of up to " + inMiB(need.log) +
                     " MiB and snapshots of " + inMiB(need.snapshots) + " MiB",
                 {},
                 {"start the server with -Xmx" + inMiB(wanted) + "m",
                  "or lower snapshot.log_bytes and snapshot.kept_batches in coordinator.toml"}};
}

}  // namespace muster::coordinator
