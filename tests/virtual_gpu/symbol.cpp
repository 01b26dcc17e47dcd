#include "tests/virtual_gpu/symbol.hpp"

#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <vector>

namespace gpas::virtual_gpu {
namespace {

std::uintptr_t load_address() {
    std::uintptr_t address = 0;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* out) {
            *static_cast<std::uintptr_t*>(out) = info->dlpi_addr;
            return 1;  // the first entry is the program
        },
        &address);
    return address;
}

using Names = std::map<std::uintptr_t, std::string>;

Names read_names() {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    Names names;
    if (bytes.size() < sizeof(Elf64_Ehdr)) return names;
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(bytes.data());
    const auto* sections = reinterpret_cast<const Elf64_Shdr*>(bytes.data() + header->e_shoff);
    for (int i = 0; i < header->e_shnum; ++i) {
        if (sections[i].sh_type != SHT_SYMTAB) continue;
        const auto* symbols = reinterpret_cast<const Elf64_Sym*>(bytes.data() + sections[i].sh_offset);
        const char* texts = bytes.data() + sections[sections[i].sh_link].sh_offset;
        for (std::size_t k = 0; k < sections[i].sh_size / sizeof(Elf64_Sym); ++k)
            if (ELF64_ST_TYPE(symbols[k].st_info) == STT_FUNC) names[symbols[k].st_value] = texts + symbols[k].st_name;
    }
    return names;
}

// "void gpas::cuda::f<4>(int)" becomes "f<4>".
std::string short_name(const std::string& mangled) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status),
                                                      std::free);
    std::string name = text ? text.get() : mangled;
    int depth = 0;
    std::size_t begin = 0, end = name.size();
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] == '<') ++depth;
        if (name[i] == '>') --depth;
        if (depth == 0 && (name[i] == ' ' || name[i] == ':') && i + 1 < end) begin = i + 1;
        if (depth == 0 && name[i] == '(' && i > begin) {
            end = i;
            break;
        }
    }
    return name.substr(begin, end - begin);
}

}  // namespace

std::string symbol_of(const void* function) {
    static std::mutex mutex;
    static const Names names = read_names();
    static std::map<const void*, std::string> known;
    const std::lock_guard lock(mutex);
    std::string& name = known[function];
    if (!name.empty()) return name;
    const auto found = names.find(reinterpret_cast<std::uintptr_t>(function) - load_address());
    std::ostringstream address;
    address << function;
    name = found != names.end() ? short_name(found->second) : address.str();
    return name;
}

}  // namespace gpas::virtual_gpu
