// The communicators of one rank: with all ranks of its replica, with those it shares layers with,
// and with those it hands activations to. Each goes over shared memory when all its ranks are on
// one host, else over TCP.
#pragma once

#include "base/clock.h"
#include "worker/collective/collective.h"
#include "worker/collective/membership.h"
#include "worker/collective/shared_memory.h"
#include "worker/collective/tcp_mesh.h"

#include <kj/io.h>
#include <kj/memory.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace muster::worker {

// How others reach a rank. Exchanged when the group meets.
struct RankCard {
  std::string host;         // equal exactly where memory can be shared; empty: nowhere
  std::string dataAddress;  // "10.0.0.3:41002", where it takes connections of its group
  SharedMemoryAddress memory;
  bool operator==(const RankCard&) const = default;
};

// The running kernel, the user and what else decides whether /proc/PID/fd of one process can be
// opened by the other. Empty when that cannot be found out.
std::string hostIdentity();

// Rank r of the replica is (stage r / tensor, index r % tensor), as in ShardPlan.
struct GroupShape {
  uint32_t worldSize = 1;
  uint32_t tensor = 1;
  uint32_t self = 0;
  Duration deadline = 120_s;  // of one operation
};

// What a rank's shared memory begins with: proof that it belongs to this group.
using MemoryMark = std::array<std::byte, 32>;
void writeMark(SharedMemory& memory, const MemoryMark& mark);

// The ranks to which this one needs a connection, ascending.
std::vector<RankNumber> peersByTcp(const GroupShape& shape, const std::vector<RankCard>& cards);

class Communicators {
 public:
  // What the group has exchanged. `cards`: shape [worldSize], by rank; one's own names `memory`.
  struct Parts {
    std::vector<RankCard> cards;
    std::vector<MemoryMark> marks;  // shape [worldSize]: what each rank's memory must begin with
    SharedMemory memory;            // this rank's, with its mark
    std::map<RankNumber, kj::AutoCloseFd> connections;  // to all of peersByTcp()
  };
  // Throws a kj::Exception when another rank's memory cannot be opened or has another mark.
  Communicators(const GroupShape& shape, Parts parts, const Clock& clock);

  Collective& world() { return *world_; }        // all ranks, by number
  Collective& tensor() { return *tensor_; }      // of this rank's stage, by tensor index
  Collective& pipeline() { return *pipeline_; }  // of this rank's tensor index, by stage

  // Ends all operations of all three, here and, where memory is shared, at the others. From any
  // thread.
  void abort(const std::string& why);

 private:
  SharedMemory memory_;  // others open it through this process
  TcpMesh mesh_;
  kj::Own<Collective> world_;
  kj::Own<Collective> tensor_;
  kj::Own<Collective> pipeline_;
};

}  // namespace muster::worker
