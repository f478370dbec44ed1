# muster_library(), muster_binary(), muster_test() and muster_schema(): the one place that says how our code is compiled.
# -O2 instead of the default -O3, for a shorter clean build.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(MUSTER_SANITIZE "" CACHE STRING "Sanitizers to build with, for instance address,undefined")

# Half of what a file of ours costs is what it includes and the templates of kj that it makes again. So a build that
# nobody edits in compiles the files of a folder a few at a time: a third of the time, measured. In return, names in an
# anonymous namespace are used once per folder. Debug builds compile each file alone, which finds includes that are missing.
set(_unity OFF)
if(CMAKE_BUILD_TYPE STREQUAL Release)
  set(_unity ON)
endif()
option(MUSTER_UNITY "Compile several files of a folder at once" ${_unity})
set(MUSTER_UNITY_FILES 6)

find_program(MUSTER_CCACHE ccache)
if(MUSTER_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${MUSTER_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${MUSTER_CCACHE})
endif()
find_program(MUSTER_MOLD mold)

# Warnings, language level and sanitizers of every target of ours.
add_library(muster_options INTERFACE)
target_compile_features(muster_options INTERFACE cxx_std_20)
target_include_directories(muster_options INTERFACE ${CMAKE_SOURCE_DIR})
# -Wdelete-non-virtual-dtor in place of -Wnon-virtual-dtor: Cap'n Proto's generated servers have no virtual destructor
# (kj::Own destroys through the concrete type), so the latter would fire at every server of ours.
target_compile_options(muster_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Werror;-Wdelete-non-virtual-dtor;-Woverloaded-virtual;-Wimplicit-fallthrough;-Wcast-qual>
  # Designated initialisers leave the rest at its default on purpose.
  $<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers>
  # g++ 12 reports uninitialised and overlapping reads inside std::optional, std::variant and std::string at -O2.
  $<$<CONFIG:Release>:-Wno-maybe-uninitialized;-Wno-restrict>)
# Messages name our files from the top of the tree, and objects are the same whatever folder the clone lies in, for the
# compiler cache and for packages.
target_compile_options(muster_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=>)
if(MUSTER_UNITY)
  # g++ takes the files that are compiled at once for headers, whose coroutines must not keep types of this file alone.
  target_compile_options(muster_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
endif()
if(MUSTER_SANITIZE)
  # The sanitizers' own code makes g++ see uninitialised reads in kj::Maybe and std::optional, too. Not optimised, and with
  # lines alone for the debugger: the build takes half the time.
  target_compile_options(muster_options INTERFACE -Wno-maybe-uninitialized
    -fsanitize=${MUSTER_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -O0 -g1)
  target_link_options(muster_options INTERFACE -fsanitize=${MUSTER_SANITIZE})
endif()
if(NOT MUSTER_SANITIZE AND NOT MUSTER_FUZZ)
  # In place of glibc's malloc (docs/adr/0024-memory-by-mimalloc.md). The sanitizers have one of their own.
  target_link_libraries(muster_options INTERFACE $<LINK_ONLY:mimalloc>)
endif()
if(MUSTER_MOLD)
  target_link_options(muster_options INTERFACE -fuse-ld=mold)
endif()

function(_muster_name out folder)
  string(REPLACE "/" "_" name ${folder})
  set(${out} muster_${name} PARENT_SCOPE)
endfunction()

# Tests put an object of their own in place of one of these files (schema_level: the level after ours; the others: a planted
# mistake). The linker leaves out the library's only while it holds nothing else.
function(_muster_replaceable)
  foreach(source ${ARGN})
    file(STRINGS ${source} found REGEX "MUSTER_PLANTED_BUG\\(" LIMIT_COUNT 1)
    if(found OR source MATCHES "schema_level")
      set_source_files_properties(${source} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    endif()
  endforeach()
endfunction()

# muster_library(folder SOURCES a.cpp ... DEPENDS muster::base ... [WARN_CONVERSION])
# One target per folder, known to others as muster::folder ("/" in a nested folder becomes "_").
function(muster_library folder)
  cmake_parse_arguments(ARG "WARN_CONVERSION" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  _muster_name(target ${folder})
  add_library(${target} STATIC ${ARG_SOURCES})
  _muster_replaceable(${ARG_SOURCES})
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${MUSTER_UNITY} UNITY_BUILD_BATCH_SIZE ${MUSTER_UNITY_FILES})
  string(REPLACE "muster_" "muster::" alias ${target})
  add_library(${alias} ALIAS ${target})
  target_link_libraries(${target} PUBLIC muster_options ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
  if(ARG_WARN_CONVERSION)
    target_compile_options(${target} PRIVATE -Wconversion)
  endif()
endfunction()

# muster_binary(muster-rank SOURCES rank_main.cpp DEPENDS muster::worker)
function(muster_binary name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE muster_options ${ARG_DEPENDS})
endfunction()

# muster_schema(folder a.capnp ...): the generated code as muster::folder_schema, compiled without our warnings.
function(muster_schema folder)
  set(CAPNPC_SRC_PREFIX ${CMAKE_SOURCE_DIR})
  set(CAPNPC_OUTPUT_DIR ${CMAKE_BINARY_DIR}/schema)
  set(CAPNPC_IMPORT_DIRS ${CMAKE_SOURCE_DIR})
  file(MAKE_DIRECTORY ${CAPNPC_OUTPUT_DIR}/${folder})
  list(TRANSFORM ARGN PREPEND ${CMAKE_SOURCE_DIR}/${folder}/)
  capnp_generate_cpp(sources headers ${ARGN})
  _muster_name(target ${folder}_schema)
  add_library(${target} STATIC ${sources} ${headers})
  string(REPLACE "muster_" "muster::" alias ${target})
  add_library(${alias} ALIAS ${target})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} SYSTEM PUBLIC ${CAPNPC_OUTPUT_DIR})
  target_link_libraries(${target} PUBLIC CapnProto::capnp CapnProto::capnp-rpc)
endfunction()

# `ninja tests_unit` builds no more than the tests with the label unit.
foreach(label unit property golden sim integration nemesis gpu tsan model crash)
  add_custom_target(tests_${label})
endforeach()

# Threads exist in base/ and in adapters only; their tests run under the thread sanitizer as well, by the label tsan.
set(MUSTER_THREADED_TESTS "^base/|^failover/zookeeper|rocks")
# Not these: the sanitizer's clone() ends a child that shares our memory, and a memory keeper is one.
set(MUSTER_NO_THREAD_SANITIZER "^base/memory_keeper_test$")

# What every program of tests is: where it lies, what it knows.
function(_muster_test_program target)
  add_executable(${target} ${ARGN})
  target_link_libraries(${target} PRIVATE muster_options GTest::gmock muster_tests_main)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests
    UNITY_BUILD ${MUSTER_UNITY} UNITY_BUILD_BATCH_SIZE ${MUSTER_UNITY_FILES})
  target_compile_definitions(${target} PRIVATE
    MUSTER_SOURCE_DIR="${CMAKE_SOURCE_DIR}" MUSTER_BINARY_DIR="${CMAKE_BINARY_DIR}/bin")
endfunction()

# The program of one file, or, for files that need none of their own, the one of all such files of the folder with the same
# labels: linked once, and compiled a few files at a time where MUSTER_UNITY is on.
function(_muster_test_target out name labels sources)
  if(sources)
    _muster_name(target ${name})
    _muster_test_program(${target} ${sources})
  else()
    get_filename_component(folder ${name} DIRECTORY)
    list(JOIN labels "_" suffix)
    _muster_name(target ${folder}_${suffix}_tests)
    if(NOT TARGET ${target})
      _muster_test_program(${target})
    endif()
  endif()
  target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/${name}.cpp)
  set(${out} ${target} PARENT_SCOPE)
endfunction()

# muster_test(sharding/placer_test LABELS unit DEPENDS muster::sharding)
# Source tests/sharding/placer_test.cpp, ctest name sharding/placer_test, a process of its own. LABELS: unit, property,
# golden, sim, integration, nemesis, gpu, model, crash. TIMEOUT in seconds, 60 unless given. SERIAL: never beside another
# test. STARTS: programs that it starts. SOURCES: more files; such a test is a program of its own, muster_sharding_placer_test.
function(muster_test name)
  cmake_parse_arguments(ARG "SERIAL" "TIMEOUT;PROCESSORS" "LABELS;DEPENDS;SOURCES;STARTS" ${ARGN})
  if(name MATCHES "${MUSTER_THREADED_TESTS}" AND NOT name MATCHES "${MUSTER_NO_THREAD_SANITIZER}")
    list(APPEND ARG_LABELS tsan)
  endif()
  _muster_test_target(target ${name} "${ARG_LABELS}" "${ARG_SOURCES}")
  target_link_libraries(${target} PRIVATE ${ARG_DEPENDS})
  if(ARG_STARTS)
    add_dependencies(${target} ${ARG_STARTS})
  endif()
  add_test(NAME ${name} COMMAND ${target} --file=tests/${name}.cpp)
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
    if(MUSTER_SANITIZE)
      set(ARG_TIMEOUT 300)  # sanitized code is five to ten times as slow
    endif()
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  foreach(label ${ARG_LABELS})
    if(NOT TARGET tests_${label})
      message(FATAL_ERROR "${name}: there is no test label \"${label}\"")
    endif()
    add_dependencies(tests_${label} ${target})
  endforeach()
  if(ARG_SERIAL)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
  if(ARG_PROCESSORS)
    set_tests_properties(${name} PROPERTIES PROCESSORS ${ARG_PROCESSORS})
  endif()
endfunction()

# `ninja benches` builds all benchmarks, which are no part of the default build: `tools/bench` builds the one that it runs.
add_custom_target(benches)

# muster_bench(placement DEPENDS muster::sharding): bench/placement_bench.cpp, run by `tools/bench placement`.
function(muster_bench name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  muster_binary(bench_${name} SOURCES ${CMAKE_SOURCE_DIR}/bench/${name}_bench.cpp DEPENDS muster::bench ${ARG_DEPENDS})
  set_target_properties(bench_${name} PROPERTIES OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
  target_compile_definitions(bench_${name} PRIVATE MUSTER_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_dependencies(benches bench_${name})
endfunction()
