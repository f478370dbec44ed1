#include "base/reload.h"

#include "base/pki.h"

#include <kj/debug.h>

#include <signal.h>

namespace muster {
namespace {

kj::Promise<void> waitForOne(EventLoop& loop, kj::Function<void()>& reload) {
  return loop.eventPort().onSignal(SIGHUP).then([&loop, &reload](siginfo_t&&) {
    reload();
    return waitForOne(loop, reload);
  });
}

}  // namespace

ReloadSignal::ReloadSignal() { kj::UnixEventPort::captureSignal(SIGHUP); }

kj::Promise<void> ReloadSignal::onEach(EventLoop& loop, kj::Function<void()> reload) {
  auto owned = kj::heap(kj::mv(reload));
  auto& borrowed = *owned;
  return waitForOne(loop, borrowed).attach(kj::mv(owned));
}

CertificateReload::CertificateReload(TlsFiles files, ReloadableTransport& transport,
                                     HttpServer* http, ServiceManager& manager, Logger logger)
    : files_(std::move(files)),
      name_(readCertificate(files_.certificate).commonName),
      transport_(transport),
      http_(http),
      manager_(manager),
      logger_(std::move(logger)) {}

void CertificateReload::run() {
  manager_.reloading();
  auto done = tryIt();
  if (done) {
    auto ends = readCertificate(files_.certificate).notAfter;
    logger_.info("certificates are read again; connections go on",
                 {{"certificate", files_.certificate}, {"not_after", toRfc3339(ends)}});
  } else {
    logger_.error("certificates are not read again; the earlier ones stay",
                  {{"why", done.refusal().text}});
  }
  manager_.ready();
}

Result<Done> CertificateReload::tryIt() {
  Result<Done> done = Done{};
  KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] {
                 auto name = readCertificate(files_.certificate).commonName;
                 KJ_REQUIRE(name == name_, "the certificate is of somebody else", name.c_str(),
                            name_.c_str());
                 transport_.reload();
                 if (http_ != nullptr) done = http_->reloadTls();
               })) {
    return Refusal{RefusalCode::NOT_AUTHENTICATED, why->getDescription().cStr()};
  }
  return done;
}

}  // namespace muster
