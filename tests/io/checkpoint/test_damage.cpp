// Damaged, foreign and hostile files. A load either fails with one clear line or returns the bits that were saved.
#include "base/error.hpp"
#include "tests/io/checkpoint/checkpoint_support.hpp"

#include "io/checkpoint/contents.hpp"
#include "io/checkpoint/seal.hpp"

#include <random>

namespace gpas::checkpoint_tests {
namespace {

struct Damage : testing::Test {
    ScratchDirectory scratch;
    std::unique_ptr<Communicator> self = make_self_communicator();
    std::vector<Named> tensors = sample_tensors();
    path good = save_checkpoint(*self, scratch.get() / "good", sample_header(), whole_state(tensors, true).parts);
    std::vector<char> bytes = bytes_of(good);
    path file = scratch.get() / "step_00000100.h5";

    // Empty when the load succeeded and returned what was saved.
    std::string load(const std::vector<char>& content) {
        write_bytes(file, content);
        return load_file();
    }
    std::string load_file() {
        State state = whole_state(tensors, false);
        try {
            EXPECT_EQ(load_checkpoint(*self, file, state.parts), sample_header());
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ExitCode::bad_file) << error.what();
            EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
            EXPECT_NE(std::string(error.what()).find(file.string()), std::string::npos) << error.what();
            return error.what();
        }
        EXPECT_EQ(state.wrong(), 0);
        return "";
    }
    // As somebody would who means it.
    void seal() const {
        const std::vector<char> content = bytes_of(file);
        PositionedFile out(file);
        write_seal(out, std::int64_t(content.size()), {}, [&](std::int64_t at, void* to, std::int64_t count) {
            std::memcpy(to, content.data() + at, std::size_t(count));
        });
    }
    // Applies `change` to a copy of the good file through HDF5 itself.
    template <class Change>
    std::string load_changed(Change&& change) {
        write_bytes(file, bytes);
        {
            h5::silence();
            h5::Handle handle(H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose, {file, "test"});
            change(hid_t(handle));
        }
        seal();
        return load_file();
    }
};

TEST_F(Damage, OfNothingLoads) { EXPECT_EQ(load(bytes), ""); }

TEST_F(Damage, ByTruncationIsRefusedAtEveryLength) {
    // Every length of the first kilobyte and of the last, and one in each 97 bytes between.
    int tried = 0;
    for (std::size_t length = 0; length < bytes.size();
         length += length < 1024 || length + 1024 > bytes.size() ? 1 : 97, ++tried) {
        const std::vector<char> cut(bytes.begin(), bytes.begin() + std::ptrdiff_t(length));
        EXPECT_NE(load(cut), "") << length;
    }
    EXPECT_GE(tried, 2000);
}

TEST_F(Damage, OfAnyByteIsFoundAndOfDataWithTheTensorsName) {
    std::vector<std::string> tensor_at(bytes.size());
    {
        const Contents contents = open_contents(good);
        for (const TensorInfo& tensor : contents.tensors) {
            h5::Handle dataset(H5Dopen2(contents.file, tensor.name.c_str(), H5P_DEFAULT), H5Dclose, {good, "test"});
            std::fill_n(tensor_at.begin() + H5Dget_offset(dataset), 4 * element_count(tensor.shape), tensor.name);
        }
    }
    std::mt19937_64 random(7);
    int in_data = 0, elsewhere = 0;
    for (int i = 0; i < 2000; ++i) {
        auto changed = bytes;
        // Data, and as often what is not.
        std::size_t at = random() % bytes.size();
        while (tensor_at[at].empty() == (i % 2 == 0)) at = random() % bytes.size();
        changed[at] ^= char(1 + random() % 255);
        const std::string message = load(changed);
        EXPECT_NE(message, "") << "byte " << at;
        EXPECT_NE(message.find(tensor_at[at]), std::string::npos) << message;
        (tensor_at[at].empty() ? elsewhere : in_data)++;
    }
    EXPECT_EQ(in_data, 1000);
    EXPECT_EQ(elsewhere, 1000);
}

// Where somebody has sealed it again, it is the reader of HDF5's structures that must hold.
TEST_F(Damage, OfAnyOneByteOfMetadataIsFoundOrHarmless) {
    // Everything that is not a tensor's data, in order: superblock, object headers, attributes, trees, checksums.
    std::vector<char> is_data(bytes.size(), 0);
    {
        const Contents contents = open_contents(good);
        for (const TensorInfo& tensor : contents.tensors) {
            h5::Handle dataset(H5Dopen2(contents.file, tensor.name.c_str(), H5P_DEFAULT), H5Dclose, {good, "test"});
            const std::size_t begin = std::size_t(H5Dget_offset(dataset));
            std::fill_n(is_data.begin() + std::ptrdiff_t(begin), 4 * element_count(tensor.shape), 1);
        }
    }
    std::mt19937_64 random(11);
    int tried = 0, found = 0;
    for (std::size_t at = 0; at < bytes.size(); at += 1 + random() % 23) {
        if (is_data[at]) continue;
        auto changed = bytes;
        changed[at] ^= char(1u << random() % 8);
        ++tried;
        write_bytes(file, changed);
        seal();
        found += !load_file().empty();
    }
    std::printf("%d of %d metadata bytes mattered\n", found, tried);
    EXPECT_GE(tried, 300);
}

TEST_F(Damage, OfEveryTensorsDataIsFound) {
    for (const Named& tensor : tensors) {
        const std::string message = load_changed([&](hid_t handle) {
            h5::Handle dataset(H5Dopen2(handle, tensor.name.c_str(), H5P_DEFAULT), H5Dclose, {file, "test"});
            std::vector<float> values(std::size_t(element_count(tensor.shape)), 0.0f);
            H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
            values.back() = std::nextafter(values.back(), 1e9f);
            H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
        });
        EXPECT_NE(message.find(tensor.name + ": data damaged"), std::string::npos) << message;
        const VerifyReport report = verify(file);
        ASSERT_EQ(report.problems.size(), 1u);
        EXPECT_NE(report.problems[0].find(tensor.name), std::string::npos);
    }
}

TEST_F(Damage, OfAttributesIsFound) {
    const auto rewrite = [&](const char* name, auto value) {
        return load_changed([&](hid_t handle) {
            H5Adelete(handle, name);
            h5::write_attribute(handle, name, value, {file, "test"});
        });
    };
    EXPECT_NE(rewrite("step", std::int64_t(101)).find("digest mismatch"), std::string::npos);
    EXPECT_NE(rewrite("config", std::string("model:\n")).find("digest mismatch"), std::string::npos);
    EXPECT_NE(rewrite("extra.words", std::string("two word")).find("digest mismatch"), std::string::npos);
    EXPECT_NE(rewrite("complete", std::uint64_t(1)).find("digest mismatch"), std::string::npos);
    EXPECT_NE(rewrite("step", std::string("100")).find("attribute step: not one 64-bit integer"), std::string::npos);
    EXPECT_NE(rewrite("seed_of_doubt", std::int64_t(1)).find("attribute"), std::string::npos);
    EXPECT_NE(rewrite("format_version", std::int64_t(2)).find("newer"), std::string::npos);
    EXPECT_NE(rewrite("format", std::string("other")).find("not a checkpoint of gpas"), std::string::npos);
    EXPECT_NE(load_changed([&](hid_t handle) { H5Adelete(handle, "complete"); }).find("unfinished"), std::string::npos);
    EXPECT_NE(load_changed([&](hid_t handle) { H5Adelete(handle, "seed"); }).find("attribute seed"), std::string::npos);
}

TEST_F(Damage, ByForeignFilesIsRefused) {
    EXPECT_NE(load({'P', 'K', 3, 4}).find("not a checkpoint"), std::string::npos);
    EXPECT_NE(load(std::vector<char>(100, 'x')).find("it does not end like a checkpoint"), std::string::npos);
    write_bytes(file, std::vector<char>(100, 'x'));
    seal();
    EXPECT_NE(load_file().find("not an HDF5 file"), std::string::npos);
    std::filesystem::remove(file);
    EXPECT_NE(load_file().find("no such checkpoint file"), std::string::npos);
    std::filesystem::create_directory(file);
    EXPECT_NE(load_file().find("it is a directory"), std::string::npos);
    std::filesystem::remove(file);
    H5Fclose(H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    EXPECT_NE(load_file().find("it does not end like a checkpoint"), std::string::npos);
    seal();
    EXPECT_NE(load_file().find("not a checkpoint of gpas"), std::string::npos);
}

TEST_F(Damage, ByLinksThatLeaveTheFileIsRefused) {
    const char* name = "weights/cube";
    const auto relink = [&](auto&& link) {
        return load_changed([&](hid_t handle) {
            H5Ldelete(handle, name, H5P_DEFAULT);
            link(handle);
        });
    };
    EXPECT_NE(relink([&](hid_t handle) {
                  H5Lcreate_external("/etc/passwd", "/x", handle, name, H5P_DEFAULT, H5P_DEFAULT);
              }).find("\"cube\" is a soft or external link"),
              std::string::npos);
    EXPECT_NE(relink([&](hid_t handle) {
                  H5Lcreate_soft("/adam_m/cube", handle, name, H5P_DEFAULT, H5P_DEFAULT);
              }).find("is a soft or external link"),
              std::string::npos);
    EXPECT_NE(relink([&](hid_t handle) { h5::create_group(handle, name, {file, "test"}); }).find("weights/cube"),
              std::string::npos);
    EXPECT_NE(load_changed([&](hid_t handle) {
                  h5::create_group(handle, "pickle", {file, "test"});
              }).find("\"pickle\" is not a part of a checkpoint"),
              std::string::npos);
    EXPECT_NE(load_changed([&](hid_t handle) { H5Ldelete(handle, "checksums", H5P_DEFAULT); }).find("checksums"),
              std::string::npos);
}

// Replaces weights/cube by a dataset of this type, shape and layout.
TEST_F(Damage, ByDatasetsOfAnotherKindIsRefused) {
    const auto replace = [&](hid_t type, std::vector<hsize_t> shape, auto&& prepare) {
        return load_changed([&](hid_t handle) {
            H5Ldelete(handle, "weights/cube", H5P_DEFAULT);
            h5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, {file, "test"});
            prepare(hid_t(creation));
            h5::Handle space(H5Screate_simple(int(shape.size()), shape.data(), nullptr), H5Sclose, {file, "test"});
            h5::Handle(H5Dcreate2(handle, "weights/cube", type, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose,
                       {file, "test"});
        });
    };
    const auto plain = [](hid_t creation) { H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY); };
    const std::vector<hsize_t> shape{5, 3, 7};
    EXPECT_NE(replace(H5T_IEEE_F64LE, shape, plain).find("its type is not little-endian fp32"), std::string::npos);
    EXPECT_NE(replace(H5T_IEEE_F32BE, shape, plain).find("its type is not little-endian fp32"), std::string::npos);
    EXPECT_NE(replace(H5T_IEEE_F32LE, {hsize_t(1) << 40, hsize_t(1) << 20}, [](hid_t) {}).find("does not fit into"),
              std::string::npos);
    EXPECT_NE(replace(H5T_IEEE_F32LE, {5, 3, 8}, plain), "");
    EXPECT_NE(replace(H5T_IEEE_F32LE, shape, [](hid_t) {}).find("does not contain all of its"), std::string::npos);
    EXPECT_NE(replace(H5T_IEEE_F32LE, shape, [](hid_t creation) { H5Pset_external(creation, "/etc/passwd", 0, 420); })
                  .find("not stored in one piece in this file"),
              std::string::npos);
    EXPECT_NE(replace(H5T_IEEE_F32LE, shape,
                      [](hid_t creation) {
                          const hsize_t chunk[] = {5, 3, 7};
                          H5Pset_chunk(creation, 3, chunk);
                      })
                  .find("not stored in one piece in this file"),
              std::string::npos);
}

}  // namespace
}  // namespace gpas::checkpoint_tests
