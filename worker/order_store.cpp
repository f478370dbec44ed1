#include "worker/order_store.h"

#include "base/files.h"
#include "protocol/codec.h"
#include "protocol/codec_bytes.h"
#include "worker/order_store.capnp.h"

#include <kj/debug.h>
#include <xxhash.h>

namespace muster::worker {
namespace {

constexpr uint32_t FORMAT_VERSION = 1;
constexpr Bytes SIZE_MAX_OF_FILE = 64_MiB;

ByteString encodeContent(const StoredOrders& orders) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::OrderFileContent>();
  encode(orders.token, root.initToken());
  encode(orders.order, root.initOrder());
  return codec::canonicalBytes<schema::OrderFileContent>(root.asReader());
}

StoredOrders decodeContent(const ByteString& bytes) {
  return codec::readCanonical<schema::OrderFileContent>(
      bytes, [](schema::OrderFileContent::Reader in) {
        return StoredOrders{decode(in.getToken()), decode(in.getOrder())};
      });
}

class FileOrderStore final : public OrderStore {
 public:
  explicit FileOrderStore(std::string path) : path_(std::move(path)) {}

  Result<StoredOrders> load() override {
    auto bytes = readFile(path_, SIZE_MAX_OF_FILE);
    if (!bytes && bytes.refusal().code == RefusalCode::NOT_FOUND) return StoredOrders{};
    if (!bytes) return damaged(bytes.refusal().text);
    StoredOrders orders;
    KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { orders = decodeStoredOrders(*bytes); })) {
      return damaged(why->getDescription().cStr());
    }
    return orders;
  }

  Result<Done> save(const StoredOrders& orders) override {
    return writeFileAtomically(path_, encodeStoredOrders(orders), 0600);
  }

 private:
  // Going on without it could obey a leader that was deposed, or run a rank twice.
  Refusal damaged(const std::string& why) const {
    return {.code = RefusalCode::INTERNAL,
            .text = "the stored order " + path_ + " cannot be used: " + why +
                    "; the agent does not start without knowing what it has obeyed",
            .fixes = {"end the muster-rank processes of this node, then: mv " + path_ + " " +
                      path_ + ".damaged (the leader sends a new order)"}};
  }

  std::string path_;
};

}  // namespace

kj::Own<OrderStore> makeFileOrderStore(std::string path) {
  return kj::heap<FileOrderStore>(std::move(path));
}

ByteString encodeStoredOrders(const StoredOrders& orders) {
  ByteString content = encodeContent(orders);
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::OrderFile>();
  root.setFormatVersion(FORMAT_VERSION);
  root.setContent(kj::arrayPtr(reinterpret_cast<const kj::byte*>(content.data()), content.size()));
  root.setChecksum(XXH3_64bits(content.data(), content.size()));
  return codec::canonicalBytes<schema::OrderFile>(root.asReader());
}

StoredOrders decodeStoredOrders(const ByteString& bytes) {
  auto content = codec::readCanonical<schema::OrderFile>(bytes, [](schema::OrderFile::Reader in) {
    KJ_REQUIRE(in.getFormatVersion() == FORMAT_VERSION,
               "the file has another format version than this program", in.getFormatVersion(),
               FORMAT_VERSION);
    auto data = in.getContent();
    KJ_REQUIRE(XXH3_64bits(data.begin(), data.size()) == in.getChecksum(),
               "the checksum does not fit the content");
    return ByteString(reinterpret_cast<const char*>(data.begin()), data.size());
  });
  return decodeContent(content);
}

}  // namespace muster::worker
