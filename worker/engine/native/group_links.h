// The collectives of one generation as its executor uses them: through the host's memory, or
// directly between the devices when every rank of the group has one of its own.
#pragma once

#include "worker/engine/native/direct_device.h"
#include "worker/engine/native/exchange.h"

#include <kj/memory.h>

#include <mutex>
#include <string>
#include <vector>

namespace muster::worker {

// Whether ranks on these devices may meet directly; by rank, an empty text is a rank without such a
// device. Two ranks on one device may not: NCCL refuses it.
bool mayGoDirect(const std::vector<std::string>& devices);

class GroupLinks {
 public:
  // `host` must outlive this.
  explicit GroupLinks(RankCollectives host) : host_(host) {}

  // On the engine's thread; all ranks of the group together. `device`: of this rank, null when it
  // has none; must outlive this. Does nothing unless all ranks can. Throws CollectiveBroken.
  void goDirect(DirectDevice* device, Duration deadline);

  bool isDirect() const { return direct_; }
  RankCollectives collectives();

  // Ends what goes directly; who has made `host` ends that. From any thread. A meeting under way
  // ends by its deadline only.
  void abort(const std::string& why);

 private:
  void join(DirectDevice& device, Collective& host, Duration deadline, kj::Own<Collective>& made);

  RankCollectives host_;
  bool direct_ = false;
  std::mutex mutex_;  // of what follows
  std::string aborted_;
  kj::Own<Collective> tensor_;
  kj::Own<Collective> pipeline_;
};

}  // namespace muster::worker
