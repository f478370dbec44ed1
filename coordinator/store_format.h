// Keys and values of the store as bytes; store.capnp describes the values.
#pragma once

#include "coordinator/state_store.h"

#include <string>
#include <string_view>

namespace muster::coordinator {

// Big-endian, so that keys sort as numbers.
std::string auditKey(LogIndex index);
std::string batchKey(BatchNumber number);
std::string eventKey(LogIndex index, uint32_t ordinal);

std::string encodeMeta(const StoreMeta& meta);
std::string encodeEvent(const Event& event);
std::string encodeAudit(const AuditEntry& entry);

// Throw FAILED for bytes that are no such value.
StoreMeta decodeMeta(std::string_view bytes);
Event decodeEvent(std::string_view bytes);
AuditEntry decodeAudit(std::string_view bytes);

// One row of `--print-store`, without a line end:
// {"request_id": "<32 hex digits>", "index": 7, "principal": "admin/anna", "outcome": "accepted"}
std::string auditJson(const AuditEntry& entry);

}  // namespace muster::coordinator
