# What `cmake --install build --prefix P` puts where: P/bin/memtrack, the shim in the private
# folder P/lib/memtrack (memtrack finds it from where it itself lies), headers in P/include.
if(TARGET memtrack)
  install(TARGETS memtrack RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
if(TARGET memtrack_shim)
  install(TARGETS memtrack_shim LIBRARY DESTINATION lib/memtrack)
endif()
if(EXISTS "${CMAKE_SOURCE_DIR}/include/memtrack")
  install(DIRECTORY "${CMAKE_SOURCE_DIR}/include/memtrack"
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
endif()

# P/lib/cmake/memtrack: find_package(memtrack).
include(CMakePackageConfigHelpers)
configure_package_config_file(
  "${CMAKE_SOURCE_DIR}/cmake/memtrackConfig.cmake.in" "${CMAKE_BINARY_DIR}/memtrackConfig.cmake"
  INSTALL_DESTINATION lib/cmake/memtrack
  PATH_VARS CMAKE_INSTALL_BINDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file("${CMAKE_BINARY_DIR}/memtrackConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/memtrackConfig.cmake"
  "${CMAKE_BINARY_DIR}/memtrackConfigVersion.cmake" DESTINATION lib/cmake/memtrack)
