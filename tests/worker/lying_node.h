// A weight port that gives other bytes than those of its files.
#pragma once

#include "base/rpc.h"
#include "protocol/weights.capnp.h"

#include <kj/async.h>
#include <kj/timer.h>
#include <xxhash.h>

#include <string>

namespace muster::worker {

enum class Lie { WITH_ITS_CHECKSUM, WITHOUT };  // whether the checksum is of what is sent

// Asks an honest node and changes the first byte of what it gives of `file` at `offset`.
class LyingNode {
 public:
  struct About {
    std::string file;
    uint64_t offset = 0;
    Lie lie = Lie::WITH_ITS_CHECKSUM;
  };
  LyingNode(kj::Timer& timer, kj::Own<Transport> transport, About about)
      : timer_(timer), transport_(kj::mv(transport)), about_(std::move(about)) {}

  // Resolves with where it listens.
  kj::Promise<std::string> start(std::string honest) {
    return connectRpc(*transport_, timer_, std::move(honest), Role::WORKER)
        .then([this](kj::Own<RpcConnection> connection) {
          honest_ = kj::mv(connection);
          return transport_->listen("127.0.0.1:0", server_.acceptor());
        })
        .then([this](kj::Own<Listener> listener) {
          listener_ = kj::mv(listener);
          return listener_->address();
        });
  }

 private:
  class Files final : public schema::ModelFiles::Server {
   public:
    Files(schema::ModelFiles::Client honest, const About& about)
        : honest_(kj::mv(honest)), about_(about) {}
    virtual ~Files() noexcept(false) = default;

    kj::Promise<void> read(ReadContext context) override {
      auto asked = context.getParams();
      auto request = honest_.readRequest();
      request.setFile(asked.getFile());
      request.setOffsetBytes(asked.getOffsetBytes());
      request.setRows(asked.getRows());
      request.setRowBytes(asked.getRowBytes());
      request.setStrideBytes(asked.getStrideBytes());
      bool shallLie =
          asked.getFile() == about_.file.c_str() && asked.getOffsetBytes() == about_.offset;
      return request.send().then([this, context, shallLie](auto&& answer) mutable {
        auto results = context.getResults();
        results.setBytes(answer.getBytes());
        results.setChecksum(answer.getChecksum());
        if (!shallLie) return;
        auto bytes = results.getBytes();
        bytes[0] ^= 0x40;
        if (about_.lie == Lie::WITHOUT) return;
        results.setChecksum(XXH3_64bits(bytes.begin(), bytes.size()));
      });
    }

   private:
    schema::ModelFiles::Client honest_;
    const About& about_;
  };

  class Gate final : public schema::WeightGate::Server {
   public:
    explicit Gate(LyingNode& owner) : owner_(owner) {}
    virtual ~Gate() noexcept(false) = default;

    kj::Promise<void> open(OpenContext context) override {
      auto asked = context.getParams();
      auto request = owner_.honest_->bootstrap<schema::WeightGate>().openRequest();
      request.setSource(asked.getSource());
      request.setManifestDigest(asked.getManifestDigest());
      return request.send().then([this, context](auto&& answer) mutable {
        context.getResults().setFiles(kj::heap<Files>(answer.getFiles(), owner_.about_));
      });
    }

   private:
    LyingNode& owner_;
  };

  kj::Timer& timer_;
  kj::Own<Transport> transport_;
  About about_;
  kj::Own<RpcConnection> honest_;
  RpcServer server_{timer_, [this](const RpcPeer&) -> capnp::Capability::Client {
                      return schema::WeightGate::Client(kj::heap<Gate>(*this));
                    }};
  kj::Own<Listener> listener_;
};

}  // namespace muster::worker
