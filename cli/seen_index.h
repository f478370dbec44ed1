// The highest log index the user has seen of each cluster, kept between commands, so that answers
// never go back in time.
#pragma once

#include "base/ids.h"

#include <optional>
#include <string>

namespace muster::cli {

struct SeenIndex {
  HistoryId history;
  LogIndex index;
  bool operator==(const SeenIndex&) const = default;
};

class SeenIndexFile {
 public:
  // STATE_FOLDER/seen/CLUSTER.json; the folder is made when it is needed.
  SeenIndexFile(const std::string& stateFolder, const ClusterName& cluster);

  // Nothing when there is none, or what is there cannot be read: it is a cache.
  std::optional<SeenIndex> read() const;
  // Keeps a higher one of the same history that another command wrote meanwhile. Gives false when
  // it cannot be written; the next command then may see an older state, as a new user would.
  bool write(const SeenIndex& seen) const;

 private:
  std::string path_;
};

}  // namespace muster::cli
