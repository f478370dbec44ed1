#include "worker/weight_server.h"

#include "protocol/codec.h"
#include "protocol/weights.capnp.h"
#include "worker/weight_transfer.h"

#include <kj/debug.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <errno.h>
#include <map>
#include <memory>
#include <unistd.h>
#include <utility>

namespace muster::worker {
namespace {

struct Piece {
  std::string file;
  uint64_t offset = 0;
  uint64_t rows = 0;
  uint64_t rowBytes = 0;
  uint64_t stride = 0;
  uint64_t bytes() const { return rows * rowBytes; }
};

struct ReadPiece {
  kj::Array<kj::byte> bytes;
  uint64_t checksum = 0;
};

// All of it by division and subtraction: the numbers are a stranger's.
Result<Done> checkPiece(const Piece& piece, uint64_t fileBytes) {
  bool isEmpty = piece.rows == 0 || piece.rowBytes == 0;
  bool isLarge = !isEmpty && piece.rows > WEIGHT_PIECE_MAX / piece.rowBytes;
  bool fits = !isEmpty && !isLarge && piece.rowBytes <= fileBytes &&
              piece.offset <= fileBytes - piece.rowBytes;
  if (fits && piece.rows > 1) {
    uint64_t room = fileBytes - piece.rowBytes - piece.offset;
    fits = piece.stride <= room / (piece.rows - 1);
  }
  if (fits) return Done{};
  return Refusal{.code = RefusalCode::INVALID_VALUE,
                 .text = std::to_string(piece.rows) + " runs of " + std::to_string(piece.rowBytes) +
                         " bytes at " + std::to_string(piece.offset) + " are no piece of " +
                         piece.file + ", which has " + std::to_string(fileBytes) +
                         " bytes; a piece has at most " + std::to_string(WEIGHT_PIECE_MAX)};
}

Result<Done> readRun(const OpenedPath& file, uint64_t offset, kj::ArrayPtr<kj::byte> to) {
  while (to.size() > 0) {
    ssize_t got = ::pread(file.fd.get(), to.begin(), to.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      return Refusal{.code = RefusalCode::WEIGHTS_CORRUPT,
                     .text = file.path + " cannot be read at byte " + std::to_string(offset) +
                             ": " + (got == 0 ? "the file ends there" : std::strerror(errno))};
    }
    offset += static_cast<uint64_t>(got);
    to = to.slice(static_cast<size_t>(got), to.size());
  }
  return Done{};
}

bool isText(const std::string& name) {
  return std::any_of(std::begin(MODEL_TEXTS), std::end(MODEL_TEXTS),
                     [&](const char* text) { return name == text; });
}

}  // namespace

// A model that somebody reads. Its files are opened and used on the reading thread alone.
struct WeightServer::OpenModel {
  ModelRoots roots;
  ModelManifest manifest;
  std::map<std::string, OpenedPath> files = {};

  bool mayRead(const std::string& name) const {
    return isText(name) || std::any_of(manifest.files.begin(), manifest.files.end(),
                                       [&](const ModelFile& file) { return file.name == name; });
  }
  Result<const OpenedPath*> open(const std::string& name) {
    auto found = files.find(name);
    if (found != files.end()) return &found->second;
    if (!mayRead(name)) {
      return Refusal{.code = RefusalCode::NOT_FOUND,
                     .text = "model " + manifest.source + " has no file " + name};
    }
    auto folder = roots.openModel(manifest.source);
    if (!folder) return folder.refusal();
    auto file = roots.openFile(*folder, name);
    if (!file) return file.refusal();
    return &files.emplace(name, std::move(*file)).first->second;
  }
  Result<ReadPiece> read(const Piece& piece) {
    auto file = open(piece.file);
    if (!file) return file.refusal();
    auto checked = checkPiece(piece, (*file)->bytes);
    if (!checked) return checked.refusal();
    ReadPiece read{kj::heapArray<kj::byte>(piece.bytes())};
    for (uint64_t row = 0; row < piece.rows; ++row) {
      uint64_t begin = row * piece.rowBytes;
      auto done = readRun(**file, piece.offset + row * piece.stride,
                          read.bytes.slice(begin, begin + piece.rowBytes));
      if (!done) return done.refusal();
    }
    read.checksum = XXH3_64bits(read.bytes.begin(), read.bytes.size());
    return read;
  }
};

// One reader's model. The thread may be inside `model_` when this goes, and a call that was under
// way may keep this longer than there is a server.
class WeightServer::Files final : public schema::ModelFiles::Server {
 public:
  Files(WeightServer& owner, std::shared_ptr<OpenModel> model)
      : owner_(owner), readers_(owner.readers_), model_(std::move(model)) {
    ++*readers_;
  }
  virtual ~Files() noexcept(false) { --*readers_; }
  KJ_DISALLOW_COPY(Files);

  kj::Promise<void> read(ReadContext context) override {
    KJ_REQUIRE(reads_ < WEIGHT_READS_MAX, "E0703 a reader may have so many reads on their way",
               WEIGHT_READS_MAX);
    auto in = context.getParams();
    Piece piece{.file = in.getFile(),
                .offset = in.getOffsetBytes(),
                .rows = in.getRows(),
                .rowBytes = in.getRowBytes(),
                .stride = in.getStrideBytes()};
    context.allowCancellation();
    reads_++;
    return owner_.reading_
        .run([model = model_, piece = std::move(piece)] {
          return std::make_shared<Result<ReadPiece>>(model->read(piece));
        })
        .then([context](const std::shared_ptr<Result<ReadPiece>>& read) mutable {
          auto results = context.getResults(capnp::MessageSize{WEIGHT_PIECE_MAX / 8 + 64, 0});
          if (!*read) return encode(read->refusal(), results.initRefusal());
          results.setBytes((*read)->bytes);
          results.setChecksum((*read)->checksum);
        })
        .attach(kj::defer([this] { reads_--; }));
  }

  kj::Promise<void> textSize(TextSizeContext context) override {
    std::string name = context.getParams().getName();
    context.allowCancellation();
    return owner_.reading_
        .run([model = model_, name = std::move(name)]() -> int64_t {
          if (!isText(name)) return -1;
          auto file = model->open(name);
          return file ? static_cast<int64_t>((*file)->bytes) : -1;
        })
        .then([context](int64_t bytes) mutable {
          context.getResults().setFound(bytes >= 0);
          context.getResults().setSizeBytes(static_cast<uint64_t>(std::max<int64_t>(bytes, 0)));
        });
  }

 private:
  WeightServer& owner_;  // for calls, which come as long as there is one
  std::shared_ptr<uint32_t> readers_;
  std::shared_ptr<OpenModel> model_;
  uint32_t reads_ = 0;
};

class WeightServer::Gate final : public schema::WeightGate::Server {
 public:
  Gate(WeightServer& owner, const RpcPeer& peer) : owner_(owner), peer_(peer.identity) {}
  virtual ~Gate() noexcept(false) = default;

  kj::Promise<void> open(OpenContext context) override {
    KJ_REQUIRE(peer_.role == Role::WORKER, "E0202 not allowed: only a worker may read weights",
               commonName(peer_).c_str());
    auto params = context.getParams();
    std::string source = params.getSource();
    std::string digest = params.getManifestDigest();
    context.allowCancellation();
    return owner_.parts_.inspection.inspect(source).then(
        [this, context, digest = std::move(digest)](Result<ModelManifest> manifest) mutable {
          auto results = context.getResults();
          auto refusal = refusalFor(manifest, digest);
          if (refusal) return encode(*refusal, results.initRefusal());
          owner_.parts_.logger.info("another node reads weights",
                                    {{"node", peer_.name}, {"model", manifest->source}});
          auto model = std::make_shared<OpenModel>(
              OpenModel{ModelRoots(owner_.parts_.modelRoots), std::move(*manifest)});
          results.setFiles(kj::heap<Files>(owner_, std::move(model)));
        });
  }

 private:
  std::optional<Refusal> refusalFor(const Result<ModelManifest>& manifest,
                                    const std::string& digest) const {
    if (!manifest) return manifest.refusal();
    if (manifest->digest != digest) {
      return Refusal{.code = RefusalCode::MODEL_NOT_FOUND,
                     .text = manifest->source + " is another model here (" + manifest->digest +
                             ", wanted " + digest + ")"};
    }
    if (owner_.readers() >= WEIGHT_READERS_MAX) {
      return Refusal{.code = RefusalCode::OVERLOADED,
                     .text = std::to_string(owner_.readers()) + " ranks read weights here already"};
    }
    return std::nullopt;
  }

  WeightServer& owner_;
  PeerIdentity peer_;
};

WeightServer::WeightServer(Parts parts)
    : parts_(kj::mv(parts)),
      server_(parts_.timer, [this](const RpcPeer& peer) -> capnp::Capability::Client {
        return kj::heap<Gate>(*this, peer);
      }) {}

kj::Promise<void> WeightServer::listen(Transport& transport, std::string address) {
  return transport.listen(std::move(address), server_.acceptor())
      .then([this](kj::Own<Listener> listener) { listener_ = kj::mv(listener); });
}

}  // namespace muster::worker
