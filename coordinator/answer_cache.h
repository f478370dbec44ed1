// Texts of answers that are asked for again and again, kept as long as the state they were made
// from is the newest.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "base/units.h"

#include <functional>
#include <map>
#include <string>

namespace muster::coordinator {

class AnswerCache {
 public:
  // What a text was made from: the state after `index`, as the leader of `epoch` has it, and what
  // it saw of its workers at `time` of the cluster.
  struct Origin {
    HistoryId history;
    Epoch epoch;
    LogIndex index;
    Instant time;
  };
  // What workers say is not logged, and texts tell ages: so long a text may be behind in these.
  static constexpr Duration OBSERVED_FOR = 50_ms;
  static constexpr size_t TEXTS_MAX = 1024;
  static constexpr size_t TEXT_BYTES_MAX = 16 << 10;

  // The text for `question` made from `origin`: a kept one, or what `make` says now. Refusals and
  // long texts are not kept.
  Result<std::string> get(const std::string& question, const Origin& origin,
                          const std::function<Result<std::string>()>& make);

 private:
  struct Entry {
    Origin origin;
    std::string text;
  };
  static bool isCurrent(const Origin& kept, const Origin& now);

  std::map<std::string, Entry> entries_;
};

}  // namespace muster::coordinator
