// Where an agent keeps what it must not forget: the newest order it took, and the highest fencing
// token it has seen.
#pragma once

#include "base/result.h"
#include "protocol/batch.h"
#include "protocol/order.h"

#include <kj/memory.h>

#include <string>

namespace muster::worker {

struct StoredOrders {
  FencingToken token;  // highest seen; at least that of the order
  Order order;         // stamp zero: none was taken yet
  bool operator==(const StoredOrders&) const = default;
};

class OrderStore {
 public:
  virtual ~OrderStore() noexcept(false) = default;

  // What was saved last; empty when nothing ever was. Refuses INTERNAL when it cannot be trusted,
  // with what to do.
  virtual Result<StoredOrders> load() = 0;

  // Durable once it returns. Refuses DISK_FULL; then the old content stands. Throws when the disk
  // fails otherwise. Blocks while the disk works.
  virtual Result<Done> save(const StoredOrders& orders) = 0;
};

// A file of mode 0600 (it holds the secrets of groups), replaced as a whole. Its folder must exist.
kj::Own<OrderStore> makeFileOrderStore(std::string path);

// The content of the file. decode throws FAILED for bytes that are damaged or of another format.
ByteString encodeStoredOrders(const StoredOrders& orders);
StoredOrders decodeStoredOrders(const ByteString& bytes);

}  // namespace muster::worker
