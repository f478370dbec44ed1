# The Debian packages: `cmake --build --preset release --target packages` writes build/release/packages/*.deb.
#
# One per component, each with its unit, its user, its configuration and its manual. The same commit gives the same
# bytes: times are the commit's, and nothing in a package knows the folder it was built in.
set(MUSTER_DEPLOY ${CMAKE_SOURCE_DIR}/deploy)
set(MUSTER_PACKAGE_FILES ${CMAKE_BINARY_DIR}/package_files)
set(MUSTER_PACKAGE_FOLDER ${CMAKE_BINARY_DIR}/packages)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME muster)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The Muster maintainers <maintainers@users.noreply.muster.example>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_COMPONENTS_ALL "")
set(MUSTER_PACKAGED_TARGETS "")

# muster_package(component NAME muster-worker SUMMARY text DEPENDS "a, b" CONTROL file... TARGETS program...)
macro(muster_package component)
  cmake_parse_arguments(ARG "" "NAME;SUMMARY;DEPENDS" "CONTROL;TARGETS" ${ARGN})
  string(TOUPPER ${component} upper)
  list(APPEND CPACK_COMPONENTS_ALL ${component})
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${ARG_NAME})
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "${ARG_SUMMARY}")
  set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "${ARG_DEPENDS}")
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA "${ARG_CONTROL}")
  list(APPEND MUSTER_PACKAGED_TARGETS ${ARG_TARGETS})
  install(TARGETS ${ARG_TARGETS} RUNTIME DESTINATION bin COMPONENT ${component})
endmacro()

# muster_conffile(component file): FILE of deploy/packages as /etc/muster/FILE, which an upgrade leaves as it is.
function(muster_conffile component file)
  install(FILES ${MUSTER_DEPLOY}/packages/${file} DESTINATION /etc/muster COMPONENT ${component})
  file(MAKE_DIRECTORY ${MUSTER_PACKAGE_FILES}/${component})
  file(WRITE ${MUSTER_PACKAGE_FILES}/${component}/conffiles "/etc/muster/${file}\n")
endfunction()

# The maintainer scripts of a daemon. STOP: what removing it does once its unit has stopped.
function(muster_daemon_scripts component)
  cmake_parse_arguments(ARG "" "STOP" "" ${ARGN})
  set(UNIT muster-${component})
  set(STATE ${component})
  set(STOP "${ARG_STOP}")
  foreach(script postinst prerm postrm)
    configure_file(${MUSTER_DEPLOY}/packages/daemon.${script}.in ${MUSTER_PACKAGE_FILES}/${component}/${script} @ONLY
      FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  endforeach()
endfunction()

# muster_daemon(component SUMMARY text [DEPENDS "a, b"] [STOP command] TARGETS program...): package, unit, user, scripts.
macro(muster_daemon component)
  cmake_parse_arguments(DAEMON "" "SUMMARY;DEPENDS;STOP" "TARGETS" ${ARGN})
  muster_conffile(${component} ${component}.toml)
  muster_daemon_scripts(${component} STOP "${DAEMON_STOP}")
  set(files ${MUSTER_PACKAGE_FILES}/${component})
  muster_package(${component} NAME muster-${component} SUMMARY "${DAEMON_SUMMARY}"
    DEPENDS "${DAEMON_DEPENDS}"
    CONTROL ${files}/conffiles ${files}/postinst ${files}/prerm ${files}/postrm
    TARGETS ${DAEMON_TARGETS})
  install(FILES ${MUSTER_DEPLOY}/systemd/muster-${component}.service DESTINATION /lib/systemd/system
    COMPONENT ${component})
  install(FILES ${MUSTER_DEPLOY}/packages/muster-${component}.sysusers DESTINATION lib/sysusers.d
    RENAME muster-${component}.conf COMPONENT ${component})
endmacro()

muster_daemon(coordinator TARGETS muster-coordinator DEPENDS "systemd, passwd"
  SUMMARY "Coordinator of a Muster cluster\n Keeps the state of a bare-metal GPU cluster, plans, places and gives orders. Needs ZooKeeper.")
muster_daemon(worker TARGETS muster-worker muster-rank muster-make-model DEPENDS "systemd, passwd, dbus"
  STOP "runuser -u muster-worker -- muster-worker --stop-ranks || true\n  systemctl stop muster-rank-scope.socket muster-ranks.slice muster.slice"
  SUMMARY "Worker of a Muster cluster\n Runs the ranks of one machine and watches over them.")
# Ranks in scopes of their own.
install(TARGETS muster-enter-scope RUNTIME DESTINATION lib/muster COMPONENT worker)
install(PROGRAMS ${MUSTER_DEPLOY}/packages/rank-scope DESTINATION lib/muster COMPONENT worker)
install(FILES ${MUSTER_DEPLOY}/systemd/muster-rank-scope.socket ${MUSTER_DEPLOY}/systemd/muster-rank-scope@.service
  DESTINATION /lib/systemd/system COMPONENT worker)
list(APPEND MUSTER_PACKAGED_TARGETS muster-enter-scope)

# The native engine on GPUs, where this build has it. What CUDA brings is in no package of Debian's: dpkg-shlibdeps would look
# for it in vain, so NVIDIA's packages are recommended by name, and whoever installed CUDA otherwise needs none of them.
if(MUSTER_CUDA_BUILT)
  list(APPEND CPACK_COMPONENTS_ALL cuda)
  list(APPEND MUSTER_PACKAGED_TARGETS muster_cuda)
  set(CPACK_DEBIAN_CUDA_PACKAGE_NAME muster-engine-cuda)
  set(CPACK_COMPONENT_CUDA_DESCRIPTION "GPUs for the native engine of Muster\n Lets ranks compute on NVIDIA's GPUs. Needs cuBLAS and NCCL, which are not in Debian.")
  set(CPACK_DEBIAN_CUDA_PACKAGE_SHLIBDEPS OFF)
  # In any version: what the two say to each other has a number, and the worker refuses another one.
  set(CPACK_DEBIAN_CUDA_PACKAGE_DEPENDS "muster-worker, libc6, libgcc-s1, libstdc++6")
  set(CPACK_DEBIAN_CUDA_PACKAGE_RECOMMENDS "libcublas-${MUSTER_CUDA_PACKAGES}, libnccl2")
  install(TARGETS muster_cuda LIBRARY DESTINATION lib/muster COMPONENT cuda)
endif()

muster_daemon(gateway TARGETS muster-gateway DEPENDS "systemd, passwd"
  SUMMARY "Gateway of a Muster cluster\n Takes OpenAI requests and finds a replica that answers them.")

muster_conffile(cli cli.toml)
muster_package(cli NAME muster TARGETS muster CONTROL ${MUSTER_PACKAGE_FILES}/cli/conffiles
  SUMMARY "Command of a Muster cluster\n Plans, places, looks and repairs; `muster up` runs a whole cluster on one machine.")

# muster_manual(component program section title [heading of CONFIGURATION.md]): made of the program's own help.
set(MUSTER_MADE_FILES "")
macro(muster_manual component program section title)
  set(page ${MUSTER_PACKAGE_FILES}/${program}.${section}.gz)
  set(configuration "")
  if(${ARGC} GREATER 4)
    set(configuration "${CMAKE_SOURCE_DIR}/docs/CONFIGURATION.md ${ARGV4}")
  endif()
  add_custom_command(OUTPUT ${page}
    COMMAND sh -c "${CMAKE_SOURCE_DIR}/tools/make_man $<TARGET_FILE:${program}> ${section} '${title}' ${configuration} | gzip -9n >${page}"
    DEPENDS ${program} ${CMAKE_SOURCE_DIR}/tools/make_man ${CMAKE_SOURCE_DIR}/docs/CONFIGURATION.md VERBATIM)
  list(APPEND MUSTER_MADE_FILES ${page})
  install(FILES ${page} DESTINATION share/man/man${section} COMPONENT ${component})
endmacro()
muster_manual(cli muster 1 "one command for a cluster of GPU machines")
muster_manual(coordinator muster-coordinator 8 "keeps the state of a cluster of GPU machines" coordinator.toml)
muster_manual(worker muster-worker 8 "runs the ranks of one machine" worker.toml)
muster_manual(gateway muster-gateway 8 "takes OpenAI requests for a cluster of GPU machines" gateway.toml)

# muster_completion(shell folder file)
macro(muster_completion shell folder file)
  set(script ${MUSTER_PACKAGE_FILES}/completion.${shell})
  add_custom_command(OUTPUT ${script} COMMAND sh -c "$<TARGET_FILE:muster> completion ${shell} >${script}"
    DEPENDS muster VERBATIM)
  list(APPEND MUSTER_MADE_FILES ${script})
  install(FILES ${script} DESTINATION ${folder} RENAME ${file} COMPONENT cli)
endmacro()
muster_completion(bash share/bash-completion/completions muster)
muster_completion(zsh share/zsh/vendor-completions _muster)
muster_completion(fish share/fish/vendor_completions.d muster.fish)

# The commit's time, for all files of a package; without a repository that of the newest change known to everybody.
set(MUSTER_SOURCE_TIME 1735689600)
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${CMAKE_SOURCE_DIR} log -1 --format=%ct
    OUTPUT_VARIABLE time OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(failed EQUAL 0)
    set(MUSTER_SOURCE_TIME ${time})
  endif()
endif()

set(CPACK_PACKAGE_DIRECTORY ${MUSTER_PACKAGE_FOLDER})
include(CPack)
add_custom_target(package_files DEPENDS ${MUSTER_MADE_FILES})
add_custom_target(packages
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${MUSTER_PACKAGE_FOLDER}
  COMMAND ${CMAKE_COMMAND} -E env SOURCE_DATE_EPOCH=${MUSTER_SOURCE_TIME} ${CMAKE_CPACK_COMMAND} -G DEB
  WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
  COMMENT "Debian packages in ${MUSTER_PACKAGE_FOLDER}"
  VERBATIM USES_TERMINAL)
add_dependencies(packages package_files ${MUSTER_PACKAGED_TARGETS})
