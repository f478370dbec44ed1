#include "base/unix_control.h"

#include "base/co.h"
#include "base/message_stream.h"
#include "base/tasks.h"

#include <kj/debug.h>

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace muster {
namespace {

constexpr mode_t PERMISSIONS = 07777;
constexpr mode_t OWNER_ONLY = 0700;
constexpr size_t PATH_MAX_BYTES = sizeof(sockaddr_un::sun_path) - 1;

void checkPath(const std::string& path) {
  KJ_REQUIRE(path.size() <= PATH_MAX_BYTES, "the path of a control socket is too long",
             path.c_str(), path.size(), PATH_MAX_BYTES);
  auto folder = path.substr(0, path.rfind('/'));
  struct stat status {};
  KJ_REQUIRE(lstat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode),
             "the folder of a control socket is missing", folder.c_str());
  KJ_REQUIRE(status.st_uid == geteuid(), "the folder of a control socket belongs to another user",
             folder.c_str(), status.st_uid);
  KJ_REQUIRE((status.st_mode & PERMISSIONS) == OWNER_ONLY,
             "the folder of a control socket must have mode 0700", folder.c_str(),
             kj::hex(static_cast<uint32_t>(status.st_mode & PERMISSIONS)));
}

// What a dead process left; never anything but a socket.
void removeStaleSocket(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return;
  KJ_REQUIRE(S_ISSOCK(status.st_mode), "something else is in the place of a control socket",
             path.c_str());
  KJ_SYSCALL(unlink(path.c_str()), path.c_str());
}

bool isOurUser(kj::PeerIdentity& peer) {
  KJ_IF_MAYBE (uid, kj::downcast<kj::LocalPeerIdentity>(peer).getCredentials().uid) {
    return *uid == geteuid();
  }
  return false;
}

kj::Own<Connection> makeConnection(kj::AuthenticatedStream authenticated, const std::string& path) {
  return kj::heap<Connection>(Connection{makeMessageStream(kj::mv(authenticated.stream)),
                                         PeerIdentity{Role::WORKER, "local"}, "unix:" + path});
}

class UnixListener final : public Listener {
 public:
  UnixListener(kj::Own<kj::ConnectionReceiver> receiver, std::string path,
               kj::Function<void(kj::Own<Connection>)> accept)
      : receiver_(kj::mv(receiver)),
        path_(std::move(path)),
        accept_(kj::mv(accept)),
        tasks_("control socket") {
    tasks_.add(acceptLoop());
  }
  ~UnixListener() noexcept(false) override { unlink(path_.c_str()); }
  std::string address() const override { return path_; }

 private:
  Co<void> acceptLoop() {
    for (;;) {
      auto stream = co_await receiver_->acceptAuthenticated();
      if (!isOurUser(*stream.peerIdentity)) {
        KJ_LOG(WARNING, "control connection of another user refused", path_.c_str());
        continue;
      }
      accept_(makeConnection(kj::mv(stream), path_));
    }
  }

  kj::Own<kj::ConnectionReceiver> receiver_;
  std::string path_;
  kj::Function<void(kj::Own<Connection>)> accept_;
  Tasks tasks_;
};

Co<kj::Own<Listener>> listenCo(kj::Network& network, std::string path,
                               kj::Function<void(kj::Own<Connection>)> accept) {
  checkPath(path);
  removeStaleSocket(path);
  auto name = "unix:" + path;
  auto address = co_await network.parseAddress(name.c_str());
  auto receiver = address->listen();
  co_return kj::heap<UnixListener>(kj::mv(receiver), std::move(path), kj::mv(accept));
}

Co<kj::Own<Connection>> connectCo(kj::Network& network, std::string path) {
  checkPath(path);
  auto name = "unix:" + path;
  auto address = co_await network.parseAddress(name.c_str());
  auto stream = co_await address->connectAuthenticated();
  KJ_REQUIRE(isOurUser(*stream.peerIdentity), "another user listens on the control socket",
             path.c_str());
  co_return makeConnection(kj::mv(stream), path);
}

}  // namespace

kj::Promise<kj::Own<Listener>> listenUnix(kj::Network& network, std::string path,
                                          kj::Function<void(kj::Own<Connection>)> accept) {
  return listenCo(network, std::move(path), kj::mv(accept));
}

kj::Promise<kj::Own<Connection>> connectUnix(kj::Network& network, std::string path) {
  return connectCo(network, std::move(path));
}

}  // namespace muster
