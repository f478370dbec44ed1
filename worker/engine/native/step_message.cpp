#include "worker/engine/native/step_message.h"

#include <kj/debug.h>

#include <array>

namespace muster::worker {
namespace {

// Sent before the words of a step, so that everybody knows how many come.
struct Head {
  static constexpr uint32_t VERSION = 0x4d535431;  // "MST1"
  uint32_t version = VERSION;
  uint32_t words = 0;  // 0: the end
};

class WordReader {
 public:
  explicit WordReader(std::span<const uint32_t> words) : words_(words) {}
  uint32_t next() {
    KJ_REQUIRE(!words_.empty(), "a step that ends too soon");
    uint32_t word = words_.front();
    words_ = words_.subspan(1);
    return word;
  }
  std::vector<uint32_t> list() {
    uint32_t count = next();
    KJ_REQUIRE(count <= words_.size(), "a step that ends too soon", count, words_.size());
    std::vector<uint32_t> list(words_.begin(), words_.begin() + count);
    words_ = words_.subspan(count);
    return list;
  }
  bool done() const { return words_.empty(); }

 private:
  std::span<const uint32_t> words_;
};

void putList(std::vector<uint32_t>& words, const std::vector<uint32_t>& list) {
  words.push_back(static_cast<uint32_t>(list.size()));
  words.insert(words.end(), list.begin(), list.end());
}

void broadcastWords(Collective& world, std::vector<uint32_t> words) {
  if (world.size() == 1) return;
  Head head{.words = static_cast<uint32_t>(words.size())};
  world.broadcast(std::as_writable_bytes(std::span(&head, 1)), 0);
  if (!words.empty()) world.broadcast(std::as_writable_bytes(std::span(words)), 0);
}

}  // namespace

std::vector<uint32_t> encodeStep(const Step& step) {
  std::vector<uint32_t> words{static_cast<uint32_t>(step.number),
                              static_cast<uint32_t>(step.number >> 32),
                              static_cast<uint32_t>(step.sequences.size())};
  for (const auto& sequence : step.sequences) {
    words.push_back(sequence.firstPosition);
    words.push_back(static_cast<uint32_t>(sequence.wanted));
    putList(words, sequence.tokens);
    putList(words, sequence.blocks);
  }
  return words;
}

Step decodeStep(std::span<const uint32_t> words) {
  WordReader reader(words);
  Step step;
  step.number = reader.next();
  step.number |= uint64_t{reader.next()} << 32;
  uint32_t count = reader.next();
  for (uint32_t i = 0; i < count; ++i) {
    StepSequence sequence;
    sequence.firstPosition = reader.next();
    uint32_t wanted = reader.next();
    KJ_REQUIRE(wanted <= static_cast<uint32_t>(WantedLogits::ALL), "no such wish", wanted);
    sequence.wanted = static_cast<WantedLogits>(wanted);
    sequence.tokens = reader.list();
    sequence.blocks = reader.list();
    step.sequences.push_back(std::move(sequence));
  }
  KJ_REQUIRE(reader.done(), "a step with words too many");
  return step;
}

void broadcastStep(Collective& world, const Step& step) { broadcastWords(world, encodeStep(step)); }

void broadcastEnd(Collective& world) { broadcastWords(world, {}); }

std::optional<Step> receiveStep(Collective& world) {
  Head head;
  world.broadcast(std::as_writable_bytes(std::span(&head, 1)), 0);
  KJ_REQUIRE(head.version == Head::VERSION, "rank 0 speaks another version of steps", head.version);
  if (head.words == 0) return std::nullopt;
  std::vector<uint32_t> words(head.words);
  world.broadcast(std::as_writable_bytes(std::span(words)), 0);
  return decodeStep(words);
}

}  // namespace muster::worker
