// An OrderStore in memory with a disk's memory of crashes: what was saved survives the object that
// saved it.
#pragma once

#include "worker/order_store.h"

#include <kj/exception.h>

namespace muster::worker {

// What outlives the agent: hand it to the MemoryOrderStore of its next life.
struct MemoryOrderDisk {
  ByteString bytes;   // as the file would hold them
  bool full = false;  // the next save is refused
  size_t saves = 0;
};

class MemoryOrderStore final : public OrderStore {
 public:
  explicit MemoryOrderStore(MemoryOrderDisk& disk) : disk_(disk) {}

  Result<StoredOrders> load() override {
    StoredOrders orders;
    if (disk_.bytes.empty()) return orders;
    KJ_IF_MAYBE (why,
                 kj::runCatchingExceptions([&] { orders = decodeStoredOrders(disk_.bytes); })) {
      return Refusal{RefusalCode::INTERNAL, why->getDescription().cStr()};
    }
    return orders;
  }
  Result<Done> save(const StoredOrders& orders) override {
    if (disk_.full) return Refusal{RefusalCode::DISK_FULL, "the disk is full"};
    disk_.bytes = encodeStoredOrders(orders);
    disk_.saves++;
    return Done{};
  }

 private:
  MemoryOrderDisk& disk_;
};

}  // namespace muster::worker
