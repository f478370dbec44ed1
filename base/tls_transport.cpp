#include "base/tls_transport.h"

#include "base/co.h"
#include "base/kj_time.h"
#include "base/message_stream.h"
#include "base/reload.h"
#include "base/tasks.h"

#include <kj/compat/tls.h>
#include <kj/debug.h>
#include <kj/filesystem.h>
#include <kj/vector.h>
#include <openssl/ssl.h>

#include <fstream>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sstream>
#include <sys/socket.h>

namespace muster {
namespace {

// kj 0.9.2 has no name for TLS 1.3, but compares by number.
constexpr auto TLS_1_3 = static_cast<kj::TlsVersion>(4);
constexpr Duration ACCEPT_RETRY{100'000'000};  // after an error such as "too many open files"
// What the kernel of the peer has not acknowledged by then never will be: the host is gone, or the
// way to it. A process that is busy or stopped has its kernel acknowledge.
constexpr Duration HOST_GONE_AFTER = 2_s;

// The first byte a server sends. In TLS 1.3 a client's handshake is over before the server has
// judged its certificate; with this byte connect() knows the judgement, and a refusal is not taken
// for a lost connection.
enum Verdict : kj::byte { REFUSED = 0, WELCOME = 1 };

std::string readFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  KJ_REQUIRE(file.good() && content << file.rdbuf(), "cannot read the PEM file", path.c_str());
  return content.str();
}

// Runs `parse` on the content of a file; what it throws names the file.
template <class Parse>
auto fromPem(const std::string& path, Parse parse) {
  KJ_CONTEXT("reading PEM file", path.c_str());
  auto content = readFile(path);
  return parse(kj::StringPtr(content.c_str()));
}

// Each certificate of a bundle is trusted by itself; kj would read the text as one chain.
kj::Array<kj::TlsCertificate> readBundle(kj::StringPtr pem) {
  constexpr std::string_view BEGIN = "-----BEGIN CERTIFICATE-----";
  std::string text(pem.cStr());
  kj::Vector<kj::TlsCertificate> bundle;
  for (auto at = text.find(BEGIN); at != std::string::npos;) {
    auto next = text.find(BEGIN, at + 1);
    bundle.add(kj::TlsCertificate(kj::StringPtr(text.substr(at, next - at).c_str())));
    at = next;
  }
  KJ_REQUIRE(bundle.size() > 0, "no certificate in the file");
  return bundle.releaseAsArray();
}

// OpenSSL's context of kj's, which kj keeps to itself though it has no other way to set what tune()
// sets. To name a private member is allowed in an explicit instantiation, and nowhere else (C++20,
// [temp.spec.general] 6).
void* innerContext(kj::TlsContext& tls);
template <void* kj::TlsContext::*MEMBER>
struct InnerContext {
  friend void* innerContext(kj::TlsContext& tls) { return tls.*MEMBER; }
};
template struct InnerContext<&kj::TlsContext::ctx>;

// For thousands of connections that mostly wait. Buffers of 34 kB each live only while they hold
// something. Clients of kj resume no session, and a handshake without tickets is cheaper.
void tuneContext(kj::TlsContext& tls) {
  auto* context = static_cast<SSL_CTX*>(innerContext(tls));
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  KJ_ASSERT(SSL_CTX_set_num_tickets(context, 0) == 1);
}

// Replaced as a whole when the files are read again; a handshake under way goes on with the one it
// began with.
using SharedContext = std::shared_ptr<kj::TlsContext>;

SharedContext makeContext(const TlsFiles& files) {
  auto trusted = fromPem(files.ca, readBundle);
  kj::TlsKeypair keypair{
      fromPem(files.key, [](kj::StringPtr pem) { return kj::TlsPrivateKey(pem); }),
      fromPem(files.certificate, [](kj::StringPtr pem) { return kj::TlsCertificate(pem); })};
  kj::TlsContext::Options options;
  options.useSystemTrustStore = false;
  options.verifyClients = true;
  options.trustedCertificates = trusted;
  options.defaultKeypair = keypair;
  options.minVersion = TLS_1_3;
  auto context = std::make_shared<kj::TlsContext>(kj::mv(options));
  tuneContext(*context);
  return context;
}

void setOption(kj::AsyncIoStream& stream, int level, int option, int value) {
  stream.setsockopt(level, option, &value, sizeof(value));
}

// Small messages go at once, and a host that vanished is noticed even when nobody speaks.
void tune(kj::AsyncIoStream& stream) {
  setOption(stream, IPPROTO_TCP, TCP_NODELAY, 1);
  setOption(stream, SOL_SOCKET, SO_KEEPALIVE, 1);
  setOption(stream, IPPROTO_TCP, TCP_KEEPIDLE, 10);
  setOption(stream, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  setOption(stream, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

// Whoever dials can dial again. Whoever was dialled may have much to send to a peer that reads
// slowly, which the kernel would take for gone.
void tuneDialled(kj::AsyncIoStream& stream) {
  tune(stream);
  setOption(stream, IPPROTO_TCP, TCP_USER_TIMEOUT,
            static_cast<int>(HOST_GONE_AFTER.nanos / 1'000'000));
}

std::optional<PeerIdentity> identityOf(kj::PeerIdentity& peer) {
  auto& certificate = kj::downcast<kj::TlsPeerIdentity>(peer);
  return parseCommonName(certificate.getCommonName().cStr());
}

std::string addressOf(kj::PeerIdentity& peer) { return peer.toString().cStr(); }

kj::Own<Connection> makeConnection(kj::Own<kj::AsyncIoStream> stream, PeerIdentity peer,
                                   std::string address) {
  return kj::heap<Connection>(
      Connection{makeMessageStream(kj::mv(stream)), std::move(peer), std::move(address)});
}

class TlsListener final : public Listener {
 public:
  // `tls` is the transport's, which outlives its listeners.
  TlsListener(const SharedContext& tls, kj::Timer& timer, TlsLimits limits,
              kj::Own<kj::ConnectionReceiver> receiver, std::string address,
              kj::Function<void(kj::Own<Connection>)> accept)
      : tls_(tls),
        timer_(timer),
        limits_(limits),
        receiver_(kj::mv(receiver)),
        address_(std::move(address)),
        accept_(kj::mv(accept)),
        tasks_("TLS listener") {
    tasks_.add(acceptLoop());
  }
  std::string address() const override { return address_; }

 private:
  // One handshake under way; counted as long as it lives.
  class Slot {
   public:
    explicit Slot(TlsListener& listener) : listener_(listener) { listener_.pending_++; }
    ~Slot() noexcept {
      listener_.pending_--;
      KJ_IF_MAYBE (waiting, listener_.slotFreed_) {
        (*waiting)->fulfill();
      }
    }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

   private:
    TlsListener& listener_;
  };

  Co<void> acceptLoop() {
    for (uint32_t accepts = 1;; accepts++) {
      bool failed = false;
      try {
        auto raw = co_await receiver_->acceptAuthenticated();
        startHandshake(kj::mv(raw));
      } catch (const kj::Exception& exception) {
        KJ_LOG(ERROR, "cannot accept connections", address_.c_str(), exception.getDescription());
        failed = true;
      }
      if (failed) co_await timer_.afterDelay(toKj(ACCEPT_RETRY));
      if (accepts % limits_.acceptsAtOnce == 0)
        co_await timer_.afterDelay(toKj(limits_.acceptPause));
      while (pending_ >= limits_.pendingHandshakesMax) co_await freeSlot();
    }
  }
  kj::Promise<void> freeSlot() {
    auto freed = kj::newPromiseAndFulfiller<void>();
    slotFreed_ = kj::mv(freed.fulfiller);
    return kj::mv(freed.promise);
  }

  void startHandshake(kj::AuthenticatedStream raw) {
    auto from = addressOf(*raw.peerIdentity);
    auto work = withDeadline(timer_, limits_.handshakeDeadline, "TLS handshake",
                             handshake(kj::mv(raw)).asPromise());
    tasks_.add(work.catch_([from = std::move(from)](kj::Exception&& exception) {
      KJ_LOG(WARNING, "connection refused", from.c_str(), exception.getDescription());
    }));
  }
  Co<void> handshake(kj::AuthenticatedStream raw) {
    Slot slot(*this);
    auto from = addressOf(*raw.peerIdentity);
    tune(*raw.stream);
    SharedContext tls = tls_;
    auto secure = co_await tls->wrapServer(kj::mv(raw));
    auto peer = identityOf(*secure.peerIdentity);
    kj::byte verdict = peer ? WELCOME : REFUSED;
    co_await secure.stream->write(&verdict, 1);
    KJ_REQUIRE(peer.has_value(), "the certificate names no role and name");
    accept_(makeConnection(kj::mv(secure.stream), std::move(*peer), std::move(from)));
  }

  const SharedContext& tls_;
  kj::Timer& timer_;
  TlsLimits limits_;
  kj::Own<kj::ConnectionReceiver> receiver_;
  std::string address_;
  kj::Function<void(kj::Own<Connection>)> accept_;
  uint32_t pending_ = 0;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> slotFreed_;
  Tasks tasks_;
};

class TlsTransport final : public ReloadableTransport {
 public:
  TlsTransport(kj::Network& network, kj::Timer& timer, ClusterName cluster, const TlsFiles& files,
               TlsLimits limits)
      : network_(network),
        timer_(timer),
        cluster_(std::move(cluster)),
        files_(files),
        limits_(limits),
        tls_(makeContext(files)) {}

  void reload() override { tls_ = makeContext(files_); }

  kj::Promise<kj::Own<Connection>> connect(std::string address, Role expectedRole) override {
    auto what = "connecting to " + address;
    return withDeadline(timer_, limits_.handshakeDeadline, std::move(what),
                        connectCo(std::move(address), expectedRole).asPromise());
  }

  kj::Promise<kj::Own<Listener>> listen(std::string address,
                                        kj::Function<void(kj::Own<Connection>)> accept) override {
    return listenCo(std::move(address), kj::mv(accept));
  }

 private:
  Co<kj::Own<Connection>> connectCo(std::string address, Role expectedRole) {
    auto target = co_await network_.parseAddress(address.c_str());
    auto raw = co_await target->connectAuthenticated();
    tuneDialled(*raw.stream);
    auto expectedName = serverName(expectedRole, cluster_.value);
    SharedContext tls = tls_;
    auto secure = co_await tls->wrapClient(kj::mv(raw), expectedName.c_str());
    auto peer = identityOf(*secure.peerIdentity);
    KJ_REQUIRE(peer.has_value() && peer->role == expectedRole,
               "the server's certificate has another role", address.c_str(), expectedName.c_str());
    kj::byte verdict = REFUSED;
    co_await secure.stream->read(&verdict, 1);
    KJ_REQUIRE(verdict == WELCOME, "the server refused our certificate", address.c_str());
    co_return makeConnection(kj::mv(secure.stream), std::move(*peer), std::move(address));
  }

  Co<kj::Own<Listener>> listenCo(std::string address,
                                 kj::Function<void(kj::Own<Connection>)> accept) {
    auto target = co_await network_.parseAddress(address.c_str());
    auto receiver = target->listen();
    auto host = address.substr(0, address.rfind(':'));
    auto real = host + ":" + std::to_string(receiver->getPort());
    co_return kj::heap<TlsListener>(tls_, timer_, limits_, kj::mv(receiver), std::move(real),
                                    kj::mv(accept));
  }

  kj::Network& network_;
  kj::Timer& timer_;
  ClusterName cluster_;
  TlsFiles files_;
  TlsLimits limits_;
  SharedContext tls_;
};

}  // namespace

kj::Own<Transport> makeTlsTransport(kj::Network& network, kj::Timer& timer, ClusterName cluster,
                                    const TlsFiles& files, TlsLimits limits) {
  return makeReloadableTransport(network, timer, std::move(cluster), files, limits);
}

kj::Own<ReloadableTransport> makeReloadableTransport(kj::Network& network, kj::Timer& timer,
                                                     ClusterName cluster, const TlsFiles& files,
                                                     TlsLimits limits) {
  return kj::heap<TlsTransport>(network, timer, std::move(cluster), files, limits);
}

}  // namespace muster
