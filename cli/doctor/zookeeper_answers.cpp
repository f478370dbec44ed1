#include "cli/doctor/zookeeper_answers.h"

#include <netdb.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <sstream>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace muster::cli {
namespace {

constexpr timeval PATIENCE{2, 0};
constexpr const char* REFUSED = "is not executed because it is not in the whitelist";

class OpenSocket {
 public:
  explicit OpenSocket(const addrinfo& to)
      : fd_(socket(to.ai_family, to.ai_socktype | SOCK_CLOEXEC, to.ai_protocol)) {}
  ~OpenSocket() {
    if (fd_ >= 0) close(fd_);
  }
  OpenSocket(const OpenSocket&) = delete;
  OpenSocket& operator=(const OpenSocket&) = delete;

  bool connectTo(const addrinfo& to) const {
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &PATIENCE, sizeof(PATIENCE));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &PATIENCE, sizeof(PATIENCE));  // of connect() as well
    return fd_ >= 0 && connect(fd_, to.ai_addr, to.ai_addrlen) == 0;
  }

  std::string ask(const std::string& word) const {
    std::string answer;
    std::array<char, 4096> buffer{};
    ssize_t size = send(fd_, word.data(), word.size(), MSG_NOSIGNAL);
    while (size > 0 && (size = read(fd_, buffer.data(), buffer.size())) > 0) {
      answer.append(buffer.data(), static_cast<size_t>(size));
    }
    return answer;
  }

 private:
  int fd_;
};

// The answer to one word; empty when there is none. The server closes after each.
std::string answerTo(const std::string& word, const std::string& address) {
  auto colon = address.rfind(':');
  if (colon == std::string::npos) return "";
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found) != 0) return "";
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, freeaddrinfo);
  OpenSocket opened(*found);
  return opened.connectTo(*found) ? opened.ask(word) : "";
}

std::string lineAfter(const std::string& text, const std::string& label) {
  auto at = text.find(label);
  if (at == std::string::npos) return "";
  at += label.size();
  return text.substr(at, text.find('\n', at) - at);
}

// "NAME=VALUE" or "NAME<tab>VALUE" lines; what is no such line is left out.
std::map<std::string, std::string> pairsIn(const std::string& text, char between) {
  std::map<std::string, std::string> pairs;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto at = line.find(between);
    if (at != std::string::npos) pairs.emplace(line.substr(0, at), line.substr(at + 1));
  }
  return pairs;
}

std::optional<double> numberIn(const std::map<std::string, std::string>& pairs,
                               const std::string& name) {
  auto at = pairs.find(name);
  if (at == pairs.end()) return std::nullopt;
  double value = 0;
  const char* end = at->second.data() + at->second.size();
  auto parsed = std::from_chars(at->second.data(), end, value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<uint64_t> zxidIn(const std::string& status) {
  std::string text = lineAfter(status, "Zxid: 0x");
  uint64_t value = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

bool ZookeeperServer::mayServe() const {
  return !mode.empty() || std::find(untold.begin(), untold.end(), "srvr") != untold.end();
}

std::optional<double> ZookeeperServer::setting(const std::string& name) const {
  return numberIn(settings, name);
}

std::optional<double> ZookeeperServer::metric(const std::string& name) const {
  return numberIn(metrics, name);
}

size_t ZookeeperServer::members() const {
  return static_cast<size_t>(std::count_if(settings.begin(), settings.end(), [](const auto& one) {
    return one.first.starts_with("server.") && one.second.find(":observer") == std::string::npos;
  }));
}

ZookeeperServer readZookeeper(const std::string& address, const ZookeeperAnswers& answers) {
  ZookeeperServer server;
  server.address = address;
  server.answers = !answers.status.empty();
  server.mode = lineAfter(answers.status, "Mode: ");
  std::string version = lineAfter(answers.status, "Zookeeper version: ");
  server.version = version.substr(0, version.find_first_of("-, "));
  server.lastChange = zxidIn(answers.status);
  for (const auto& [word, text] :
       {std::pair("srvr", answers.status), {"conf", answers.settings}, {"mntr", answers.metrics}}) {
    if (text.find(REFUSED) != std::string::npos) server.untold.emplace_back(word);
  }
  server.settings = pairsIn(answers.settings, '=');
  server.metrics = pairsIn(answers.metrics, '\t');
  return server;
}

ZookeeperAnswers askZookeeper(const std::string& address) {
  ZookeeperAnswers answers;
  answers.status = answerTo("srvr", address);
  if (answers.status.empty()) return answers;
  answers.settings = answerTo("conf", address);
  answers.metrics = answerTo("mntr", address);
  return answers;
}

}  // namespace muster::cli
