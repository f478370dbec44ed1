#include "gateway/gateway.h"

#include "base/files.h"
#include "base/service_manager.h"
#include "base/version.h"
#include "gateway/front.h"
#include "gateway/monotonic_now.h"
#include "gateway/tls_context.h"
#include "gateway/watcher.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace muster::gateway {
namespace {

namespace asio = boost::asio;

Logger makeLogger(const Settings& settings) {
  LogOptions options;
  options.level = settings.logLevel;
  options.format = settings.logFormat;
  return Logger(options).with({{"gateway", settings.id}});
}

// A front with the loop and the thread that are its own.
class FrontThread {
 public:
  FrontThread(TlsContext tls, std::string listen, const Settings& settings, const Logger& logger,
              GatherFacts gather) {
    // Here, where there is a loop already.
    front_ = std::make_unique<Front>(Front::Parts{loop_, std::move(tls), std::move(listen),
                                                  settings, logger, std::move(gather)});
  }
  ~FrontThread() {
    loop_.stop();
    if (thread_.joinable()) thread_.join();
    front_->end();
  }
  KJ_DISALLOW_COPY(FrontThread);

  Front& front() { return *front_; }
  void start() {
    thread_ = std::thread([this] { loop_.run(); });
  }
  // On its thread, soon.
  template <class Act>
  void post(Act act) {
    asio::post(loop_, [this, act = std::move(act)]() mutable { act(*front_); });
  }

 private:
  std::unique_ptr<Front> front_;  // outlives the loop, which holds its connections
  asio::io_context loop_{1};
  std::thread thread_;
};

void addTo(FrontFacts& all, const FrontFacts& one) {
  all.facts.connections += one.facts.connections;
  all.facts.retries += one.facts.retries;
  for (auto [status, count] : one.facts.own) all.facts.own[status] += count;
  for (const auto& [id, row] : one.rows) {
    auto [entry, isNew] = all.rows.try_emplace(id, row);
    if (isNew) continue;
    entry->second.outstanding += row.outstanding;
    entry->second.ejected |= row.ejected;
    entry->second.metrics.add(row.metrics);
  }
}

// Facts of all fronts as they come in; the last one calls back.
struct Gathering {
  std::mutex mutex;
  FrontFacts all;
  size_t missing = 0;
  std::function<void(FrontFacts)> done;
};

class Gateway {
 public:
  Gateway(const Settings& settings, const Logger& logger)
      : settings_(settings),
        logger_(logger),
        signals_(loop_, SIGTERM, SIGINT),
        reload_(loop_, SIGHUP),
        drainDeadline_(loop_),
        serviceManager_(ServiceManager::fromEnvironment()),
        signOfLife_(loop_) {}

  Result<Done> start() {
    auto tls = readTls(settings_.tls);
    if (!tls) return tls.refusal();
    std::error_code error;
    std::filesystem::create_directories(settings_.dataDirectory, error);
    if (error) {
      return Refusal{RefusalCode::INVALID_VALUE,
                     "cannot make the folder " + settings_.dataDirectory + ": " + error.message()};
    }
    if (auto opened = openFronts(*tls); !opened) return opened;
    watcher_.emplace(loop_, *tls, settings_, logger_,
                     [this](const std::shared_ptr<const RouteTable>& table) {
                       for (auto& one : fronts_) {
                         one->post([table](Front& front) { front.update(table); });
                       }
                     });
    watcher_->start();
    for (auto& one : fronts_) one->start();
    serviceManager_.ready();
    tellServiceManager();
    return Done{};
  }

  void run() {
    awaitSignal();
    awaitReload();
    loop_.run();
    watcher_.reset();
  }

 private:
  // All listen on one port: the first one's, where the kernel was asked for any.
  Result<Done> openFronts(const TlsContext& tls) {
    std::string listen = settings_.listen;
    for (uint32_t i = 0; i < settings_.threads; ++i) {
      size_t asking = fronts_.size();
      fronts_.push_back(std::make_unique<FrontThread>(
          tls, listen, settings_, logger_, [this, asking](std::function<void(FrontFacts)> done) {
            gather(asking, std::move(done));
          }));
      Front& front = fronts_.back()->front();
      if (auto refusal = front.listen()) return std::move(*refusal);
      listen = listen.substr(0, listen.rfind(':') + 1) + std::to_string(front.port());
    }
    logger_.info("ready", {{"http", listen}, {"threads", settings_.threads}, {"version", VERSION}});
    return Done{};
  }

  void gather(size_t asking, std::function<void(FrontFacts)> done) {
    auto gathering = std::make_shared<Gathering>();
    gathering->missing = fronts_.size();
    gathering->done = std::move(done);
    for (auto& one : fronts_) {
      one->post([this, asking, gathering](Front& front) {
        FrontFacts facts = front.facts();
        std::lock_guard lock(gathering->mutex);
        addTo(gathering->all, facts);
        if (--gathering->missing > 0) return;
        addWatching(gathering->all.facts);
        fronts_[asking]->post([gathering](Front&) { gathering->done(gathering->all); });
      });
    }
  }

  void addWatching(GatewayFacts& facts) const {
    const WatchFacts& watch = watcher_->facts();
    facts.watching = watch.watching;
    facts.viewIndex = watch.index;
    int64_t heardAt = watch.heardAt;
    if (heardAt != 0) {
      facts.viewAgeSeconds = static_cast<double>(monotonicNow().nanos - heardAt) / 1e9;
    }
  }

  // Of this loop, and of the fronts only so far as they answer for themselves: /healthz.
  void tellServiceManager() {
    const WatchFacts& watch = watcher_->facts();
    std::string where = watch.watching ? "watching a coordinator" : "no coordinator answers";
    serviceManager_.tell(draining_
                             ? "stopping; running requests end"
                             : where + ", routes of log index " + std::to_string(watch.index));
    signOfLife_.expires_after(std::chrono::nanoseconds(serviceManager_.signOfLifeEvery().nanos));
    signOfLife_.async_wait([this](const boost::system::error_code& error) {
      if (!error) tellServiceManager();
    });
  }

  void awaitSignal() {
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) return;
      if (draining_) return loop_.stop();
      logger_.info("stopping; running requests end first", {{"signal", signal}});
      drain();
      awaitSignal();
    });
  }

  void awaitReload() {
    reload_.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      reload();
      awaitReload();
    });
  }

  void reload() {
    serviceManager_.reloading();
    auto tls = readTls(settings_.tls);
    if (tls) {
      watcher_->useTls(*tls);
      for (auto& one : fronts_) {
        one->post([tls = *tls](Front& front) { front.useTls(tls); });
      }
      logger_.info("certificates are read again; connections go on",
                   {{"certificate", settings_.tls.certificate}});
    } else {
      logger_.error("certificates are not read again; the earlier ones stay",
                    {{"why", tls.refusal().text}});
    }
    serviceManager_.ready();
  }

  void drain() {
    draining_ = true;
    serviceManager_.stopping();
    undrained_ = fronts_.size();
    for (auto& one : fronts_) {
      one->post([this](Front& front) {
        front.drain([this] { asio::post(loop_, [this] { frontDrained(); }); });
      });
    }
    drainDeadline_.expires_after(std::chrono::nanoseconds(settings_.deadlines.drain.nanos));
    drainDeadline_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      logger_.warn("some requests did not end in time and are broken off");
      loop_.stop();
    });
  }

  void frontDrained() {
    if (--undrained_ > 0) return;
    logger_.info("stopped");
    loop_.stop();
  }

  const Settings& settings_;
  const Logger& logger_;
  asio::io_context loop_{1};
  asio::signal_set signals_;
  asio::signal_set reload_;
  asio::steady_timer drainDeadline_;
  ServiceManager serviceManager_;
  asio::steady_timer signOfLife_;
  std::optional<Watcher> watcher_;
  std::vector<std::unique_ptr<FrontThread>> fronts_;
  bool draining_ = false;
  size_t undrained_ = 0;
};

}  // namespace

Result<Done> serve(const Settings& settings) {
  std::signal(SIGPIPE, SIG_IGN);
  Logger logger = makeLogger(settings);
  Gateway gateway(settings, logger);
  auto started = gateway.start();
  if (!started) return started;
  gateway.run();
  return Done{};
}

}  // namespace muster::gateway
