# Targets of memtrack: one per folder, each with an include root of its own.
#
# A folder's headers are included as "folder/header.h". The include root of a target is
# a directory in the build tree that holds nothing but a link to that folder, so that a
# target sees the headers of the targets it depends on and no others: an include in the
# wrong direction does not compile.

set(MEMTRACK_WARNINGS
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wcast-qual -Wwrite-strings -Wundef
  -Wvla -Wformat=2 -Wswitch-enum -fno-common
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
  $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>)
if(MEMTRACK_WERROR)
  list(APPEND MEMTRACK_WARNINGS -Werror)
endif()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g")

function(memtrack_include_root target folder)
  get_filename_component(name "${folder}" NAME)
  set(root "${CMAKE_BINARY_DIR}/roots/${target}")
  file(MAKE_DIRECTORY "${root}")
  file(CREATE_LINK "${folder}" "${root}/${name}" SYMBOLIC)
  target_include_directories(${target} PUBLIC "$<BUILD_INTERFACE:${root}>")
endfunction()

# memtrack_library(NAME SOURCES a.c b.c DEPENDS other_target ...)
# A static library of the current folder.
function(memtrack_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${MEMTRACK_WARNINGS})
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE MEMTRACK_VERSION="${PROJECT_VERSION}")
  memtrack_include_root(${name} "${CMAKE_CURRENT_SOURCE_DIR}")
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
  if(MEMTRACK_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=${MEMTRACK_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(${name} INTERFACE -fsanitize=${MEMTRACK_SANITIZE})
  endif()
endfunction()

# All unit tests' programs and what they need, and nothing else: the sanitizer builds' target.
add_custom_target(unit_tests)

# memtrack_unit_test(NAME SOURCES a_test.c DEPENDS target ...)
# A cmocka program, registered with ctest under its name, with the labels "unit" and the
# name of its folder.
function(memtrack_unit_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${MEMTRACK_WARNINGS})
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE MEMTRACK_VERSION="${PROJECT_VERSION}")
  # For "support/...": what several folders' tests share.
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests/unit")
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} PkgConfig::CMOCKA)
  if(MEMTRACK_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=${MEMTRACK_SANITIZE} -fno-sanitize-recover=all)
  endif()
  add_dependencies(unit_tests ${name})
  add_test(NAME ${name} COMMAND ${name})
  get_filename_component(folder "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
  set_tests_properties(${name} PROPERTIES LABELS "unit;${folder}")
endfunction()
