# cmake -DSOURCE=folder -DFOLDER=work -DOUTPUT=page.html -DNODE=node -DNPM=npm -DREQUIRED=bool
#       -DTESTS=bool -DLEFT_OUT=bool -P BuildPage.cmake
# Bundles the page. Where that is not possible (no node, no network for the libraries) the output
# is empty, with a warning, unless REQUIRED: memtrack then works without --html.
function(give_up reason)
  if(REQUIRED)
    message(FATAL_ERROR "the HTML report's page: ${reason}")
  endif()
  message(WARNING "memtrack is built without the HTML report: ${reason}")
  file(WRITE "${OUTPUT}" "")
  # Older than its sources, so that the next build tries again.
  execute_process(COMMAND touch -d @1 "${OUTPUT}")
endfunction()

if(LEFT_OUT)
  file(WRITE "${OUTPUT}" "")
  return()
endif()
if(NOT NODE OR NOT NPM)
  give_up("node and npm are not installed; scripts/packages.sh page installs them")
  return()
endif()

file(MAKE_DIRECTORY "${FOLDER}")
set(installed "${FOLDER}/installed-lock.json")
set(same 1)
if(EXISTS "${installed}" AND EXISTS "${FOLDER}/node_modules")
  execute_process(COMMAND "${CMAKE_COMMAND}" -E compare_files "${SOURCE}/package-lock.json" "${installed}"
    RESULT_VARIABLE same OUTPUT_QUIET ERROR_QUIET)
endif()
if(NOT same EQUAL 0)
  file(COPY "${SOURCE}/package.json" "${SOURCE}/package-lock.json" DESTINATION "${FOLDER}")
  set(omit --omit=dev)
  if(TESTS)
    set(omit)
  endif()
  execute_process(
    COMMAND "${NPM}" ci ${omit} --ignore-scripts --no-audit --no-fund --loglevel=error
    WORKING_DIRECTORY "${FOLDER}" RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE error)
  if(NOT result EQUAL 0)
    give_up("npm could not install its libraries: ${error}")
    return()
  endif()
  file(COPY_FILE "${SOURCE}/package-lock.json" "${installed}")
endif()

file(REMOVE_RECURSE "${FOLDER}/src")
file(COPY "${SOURCE}/src" "${SOURCE}/build.mjs" DESTINATION "${FOLDER}")
execute_process(COMMAND "${NODE}" build.mjs "${OUTPUT}"
  WORKING_DIRECTORY "${FOLDER}" RESULT_VARIABLE result ERROR_VARIABLE error)
if(NOT result EQUAL 0)
  # A mistake in the sources, not in the surroundings.
  message(FATAL_ERROR "the HTML report's page could not be bundled:\n${error}")
endif()
