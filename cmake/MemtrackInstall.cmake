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
