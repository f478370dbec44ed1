// A Cap'n Proto message as bytes that outlive the process: one flat, canonical segment.
#pragma once

#include "protocol/batch.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/debug.h>

#include <cstring>
#include <string_view>
#include <vector>

namespace muster::codec {

// Equal messages give equal bytes: canonical form has one segment, and no trailing zeros or padding
// of chance.
template <class Root>
ByteString canonicalBytes(typename Root::Reader root) {
  // capnp::canonicalize() does the same, checks what it wrote and copies it once more: 5 % of a
  // busy leader's time went into it.
  auto words = kj::heapArray<capnp::word>(root.totalSize().wordCount + 1);
  std::memset(words.begin(), 0, words.asBytes().size());
  capnp::FlatMessageBuilder message(words);
  message.getRoot<capnp::AnyPointer>().template setCanonicalAs<Root>(root);
  auto bytes = message.getSegmentsForOutput()[0].asBytes();
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

// Hands `use` a reader over canonical bytes. Throws FAILED when they are no message of whole words.
template <class Root, class Use>
auto readCanonical(const ByteString& bytes, Use&& use) {
  KJ_REQUIRE(!bytes.empty() && bytes.size() % sizeof(capnp::word) == 0,
             "a stored message is cut off", bytes.size());
  // The bytes of a std::string need not lie on a word boundary.
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::memcpy(words.begin(), bytes.data(), bytes.size());
  kj::ArrayPtr<const capnp::word> segment = words;
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 16 * words.size() + 1024;
  capnp::SegmentArrayMessageReader message(kj::arrayPtr(&segment, 1), options);
  return use(message.template getRoot<Root>());
}

// Both look at the bytes of the other, which must outlive them.
inline capnp::Data::Reader dataOf(const ByteString& bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}
inline std::string_view bytesOf(capnp::Data::Reader data) {
  auto chars = data.asChars();
  return {chars.begin(), chars.size()};
}

}  // namespace muster::codec
