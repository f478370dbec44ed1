// What the crash tests write, made of a seed alone, so that the parent knows what the state must be
// after any number of batches.
#pragma once

#include "base/random.h"
#include "coordinator/state_store.h"
#include "protocol/record_hash.h"

#include <map>
#include <string>

namespace muster::coordinator {

inline const ClusterName CRASH_CLUSTER{"crash"};
inline const HistoryId CRASH_HISTORY{1, {11, 12}};

inline std::string crashBytes(Random& random, uint64_t lengthMax) {
  std::string bytes(random.below(lengthMax), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.next());
  return bytes;
}

inline LogPosition crashPosition(uint64_t number) {
  return {{number}, {number * 3}, {number, 7}, {1}, {static_cast<int64_t>(number) * 1000}};
}

// The batch of that number: up to eight changed records of two hundred, events, one audit row.
inline StoreBatch crashBatch(uint64_t seed, uint64_t number) {
  SeededRandom random(seed * 1'000'003 + number);
  StoreBatch batch;
  batch.position = crashPosition(number);
  std::map<std::string, std::optional<std::string>> changes;
  for (uint64_t i = random.below(8) + 1; i > 0; --i) {
    std::string key = "node/" + std::to_string(random.below(200));
    changes[key] = std::nullopt;
    if (random.below(5) > 0) changes[key] = crashBytes(random, 400);
  }
  for (auto& [key, value] : changes) batch.records.push_back({key, value});
  for (uint32_t i = 0; i < number % 3; ++i) {
    Event event;
    event.index = {number * 3};
    event.ordinal = i;
    event.type = "Ready";
    event.message = std::string(random.below(60), 'm');
    batch.events.push_back(event);
  }
  batch.audit.push_back({{{seed, number}, {5}}, {number * 3}, "admin/anna", "accepted"});
  return batch;
}

// The records after each number of batches, one step at a time.
class CrashModel {
 public:
  explicit CrashModel(uint64_t seed) : seed_(seed) {}

  // The state's hash after `count` batches. Going back starts anew.
  Guid hashAfter(uint64_t count) {
    if (count < count_) {
      records_.clear();
      hash_ = {};
      count_ = 0;
    }
    while (count_ < count) step(++count_);
    return hash_;
  }
  const std::map<std::string, std::string>& records() const { return records_; }

 private:
  void step(uint64_t number) {
    for (const RecordWrite& write : crashBatch(seed_, number).records) {
      auto known = records_.find(write.key);
      if (known != records_.end()) {
        hash_ = subtractFromHash(hash_, hashOfRecord(write.key, known->second));
        records_.erase(known);
      }
      if (!write.value) continue;
      records_[write.key] = *write.value;
      hash_ = addToHash(hash_, hashOfRecord(write.key, *write.value));
    }
  }

  uint64_t seed_;
  uint64_t count_ = 0;
  std::map<std::string, std::string> records_;
  Guid hash_;
};

}  // namespace muster::coordinator
