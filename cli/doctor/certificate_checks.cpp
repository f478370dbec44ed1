#include "cli/doctor/certificate_checks.h"

#include "base/pki.h"
#include "sharding/text.h"

#include <kj/exception.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace muster::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t DAY_MS = 86'400'000;
constexpr int64_t RENEW_DAYS = 30;

Check checkCertificate(const fs::path& path, WallTime now, const std::string& fix) {
  CertificateFacts facts;
  KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { facts = readCertificate(path.string()); })) {
    return {Verdict::FAILED, "certificate",
            path.string() + " cannot be read: " + why->getDescription().cStr(), fix};
  }
  int64_t days = (facts.notAfter.unixMs - now.unixMs) / DAY_MS;
  std::string what = facts.commonName + " (" + path.string() + ") ";
  if (facts.notAfter <= now) {
    return {Verdict::FAILED, "certificate", what + "ended on " + toRfc3339(facts.notAfter), fix};
  }
  std::string left = what + "ends in " + sharding::counted(static_cast<uint64_t>(days), "day");
  if (days >= RENEW_DAYS) return {Verdict::OK, "certificate", left, ""};
  return {Verdict::WARNING, "certificate", left, fix};
}

// ZooKeeper's own is a .pem with its key; other .pem files may be keys alone.
bool holdsCertificate(const fs::path& path) {
  if (path.extension() == ".crt") return true;
  if (path.extension() != ".pem") return false;
  std::ifstream file(path);
  std::string text(std::istreambuf_iterator<char>(file), {});
  return text.find("-----BEGIN CERTIFICATE-----") != std::string::npos;
}

}  // namespace

Checks checkCertificates(const std::string& folder, WallTime now, const std::string& fix) {
  std::set<fs::path> paths;  // sorted
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (holdsCertificate(entry.path())) paths.insert(entry.path());
  }
  Checks checks;
  for (const auto& path : paths) checks.push_back(checkCertificate(path, now, fix));
  return checks;
}

}  // namespace muster::cli
