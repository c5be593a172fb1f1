# find_package(mote): the target mote::mote (shared where it is installed, else static), and mote::static.
# Everything is found from this file's own place, so an installed tree can be moved. It lies in <libdir>/cmake/mote.
get_filename_component(_mote_libdir "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
find_path(mote_INCLUDE_DIR mote/mote.h NO_DEFAULT_PATH
    PATHS "${_mote_libdir}/../include" "${_mote_libdir}/../../include" "${_mote_libdir}/../../../include")
find_library(mote_SHARED_LIBRARY NAMES "${CMAKE_SHARED_LIBRARY_PREFIX}mote${CMAKE_SHARED_LIBRARY_SUFFIX}"
    PATHS "${_mote_libdir}" NO_DEFAULT_PATH)
find_library(mote_STATIC_LIBRARY NAMES "${CMAKE_STATIC_LIBRARY_PREFIX}mote${CMAKE_STATIC_LIBRARY_SUFFIX}"
    PATHS "${_mote_libdir}" NO_DEFAULT_PATH)
mark_as_advanced(mote_INCLUDE_DIR mote_SHARED_LIBRARY mote_STATIC_LIBRARY)

if(NOT mote_INCLUDE_DIR OR NOT (mote_SHARED_LIBRARY OR mote_STATIC_LIBRARY))
    set(mote_FOUND FALSE)
    set(mote_NOT_FOUND_MESSAGE "no libmote in ${_mote_libdir} or no mote/mote.h near it")
    return()
endif()

include(CMakeFindDependencyMacro)
find_dependency(Threads)
if(mote_STATIC_LIBRARY AND NOT TARGET mote::static)
    add_library(mote::static STATIC IMPORTED)
    set_target_properties(mote::static PROPERTIES IMPORTED_LOCATION "${mote_STATIC_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${mote_INCLUDE_DIR}" INTERFACE_LINK_LIBRARIES "Threads::Threads;m;${CMAKE_DL_LIBS}"
        IMPORTED_LINK_INTERFACE_LANGUAGES C)
endif()
if(NOT TARGET mote::mote)
    if(mote_SHARED_LIBRARY)
        add_library(mote::mote SHARED IMPORTED)
        set_target_properties(mote::mote PROPERTIES IMPORTED_LOCATION "${mote_SHARED_LIBRARY}"
            INTERFACE_INCLUDE_DIRECTORIES "${mote_INCLUDE_DIR}")
    else()
        add_library(mote::mote INTERFACE IMPORTED)
        set_target_properties(mote::mote PROPERTIES INTERFACE_LINK_LIBRARIES mote::static)
    endif()
endif()
