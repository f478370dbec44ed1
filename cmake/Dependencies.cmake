# Everything Muster links, found once. All of it is in Debian 12; tools/setup installs it.
find_package(Threads REQUIRED)
find_package(CapnProto CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(RocksDB CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(yaml-cpp CONFIG REQUIRED)
find_package(simdjson CONFIG REQUIRED)
find_package(GTest CONFIG REQUIRED)
find_package(benchmark CONFIG REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)

# The allocator of the daemons, which hold many small pieces for long: with glibc's, a coordinator of thousands of workers takes
# a fifth more time. The sanitizers bring their own.
add_library(muster_allocator INTERFACE)
if(NOT MUSTER_SANITIZE)
  target_link_libraries(muster_allocator INTERFACE PkgConfig::JEMALLOC)
endif()

# Libraries that Debian ships without a CMake or pkg-config description.
find_path(ZOOKEEPER_INCLUDE_DIR zookeeper/zookeeper.h REQUIRED)
find_library(ZOOKEEPER_LIBRARY zookeeper_st REQUIRED)
add_library(muster_zookeeper_client INTERFACE)
target_include_directories(muster_zookeeper_client SYSTEM INTERFACE ${ZOOKEEPER_INCLUDE_DIR})
target_link_libraries(muster_zookeeper_client INTERFACE ${ZOOKEEPER_LIBRARY})

find_library(PROMETHEUS_CORE_LIBRARY prometheus-cpp-core REQUIRED)
find_library(RAPIDCHECK_LIBRARY rapidcheck REQUIRED)
