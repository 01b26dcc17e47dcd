// Returns 0 if HDF5 works and this program, with all libraries that it loads, uses one MPI. Does not start MPI, because many
// clusters forbid this outside a job.
#include <dlfcn.h>
#include <hdf5.h>
#include <link.h>
#include <mpi.h>

#include <set>
#include <string>

static int add_mpi_of(dl_phdr_info* object, std::size_t, void* found) {
    void* handle = dlopen(object->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    void* function = handle != nullptr ? dlsym(handle, "MPI_Init") : nullptr;
    Dl_info place;
    if (function != nullptr && dladdr(function, &place) != 0)
        static_cast<std::set<std::string>*>(found)->insert(place.dli_fname);
    return 0;
}

int main() {
    if (H5open() < 0) return 2;
    int version = 0, subversion = 0;
    if (MPI_Get_version(&version, &subversion) != MPI_SUCCESS) return 3;
    std::set<std::string> libraries;
    dl_iterate_phdr(add_mpi_of, &libraries);
    return libraries.size() <= 1 ? 0 : 1;
}
