// Checkpoints: one HDF5 file per step. Every parameter and every optimizer moment is a global, unpadded fp32 tensor.
// The file does not depend on the layout of the ranks that wrote it, so any layout can read it. docs/formats.md
// describes the format.
#pragma once

#include "parallel/communicator.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gpas {

inline constexpr std::int64_t checkpoint_format_version = 1;

// State of a run other than its tensors. Stored as attributes of the file's root group, one per member.
struct CheckpointHeader {
    std::string software;  // "gpas 0.1.0"
    std::string run_name;
    std::int64_t step = 0;  // number of finished steps
    std::int64_t consumed_samples = 0;
    std::int64_t consumed_tokens = 0;
    std::int64_t optimizer_steps = 0;  // number of AdamW updates: steps minus skipped steps
    std::int64_t seed = 0;
    std::string config;  // the resolved YAML
    std::string layout;  // layout of the ranks that wrote the file, for display: "tensor 2, pipeline 1, data 4"
    std::string dataset_fingerprint;
    std::string tokenizer_fingerprint;
    std::string rope_convention = "rotate-half";
    std::map<std::string, std::string> extra;  // attributes "extra.<key>"

    bool operator==(const CheckpointHeader&) const = default;
};

// The hyperslab of a named global tensor that this rank holds.
struct StateTensor {
    std::string name;                        // "<group>/<tensor>"; the groups are weights, adam_m and adam_v
    std::vector<std::int64_t> global_shape;  // unpadded, 1 to 8 dimensions
    std::vector<std::int64_t> start;         // first element along each dimension
    std::vector<std::int64_t> count;         // extent along each dimension; empty or with a 0: no elements on this rank
    float* data = nullptr;                   // [count], contiguous, row-major; saving reads it, loading writes it
    // For saving, if `data` is null: writes the elements to `to`. The thread that writes the rank's part calls it once
    // per part, one part after another. An exception fails the save.
    std::function<void(float* to)> produce;
};

struct TensorInfo {
    std::string name;  // "<group>/<tensor>"
    std::vector<std::int64_t> shape;
};

// The progress of a save, for display and for tests. Every rank reports creating and checksums; the thread that writes
// a rank's part reports writing; rank 0 reports the other points. An exception of an observer before `done` fails the
// save on all ranks.
enum class SavePoint { creating, writing, checksums, marker, renaming, done };

struct CheckpointOptions {
    std::int64_t piece_bytes = std::int64_t(256) << 20;  // largest single read
    std::function<void(SavePoint)> observe;
};

// A save to <directory>/step_<8 digits>.h5. Only the constructor and finish() are collective, and only they call HDF5.
// Between them each rank writes its own part, on a background thread if By::thread is given.
//
// Every rank passes the same set of (name, global shape), in any order, each with its own hyperslab. A name may occur
// several times, with different hyperslabs. Together, the hyperslabs of all ranks must cover every tensor exactly once
// (see split_range); finish() checks this. The header is that of rank 0. After an error the temporary file is
// removed, earlier checkpoints are unchanged, and every rank throws the same Error: environment (disk space,
// permissions, I/O) or internal (a wrong list).
class CheckpointSave {
public:
    enum class By { caller, thread };

    // Collective: creates the file under a temporary name and reserves the space of all tensors. By::thread: the thread
    // starts to write. The caller must not change or free the memory of the parts until finish() returns or this object
    // is destroyed.
    CheckpointSave(Communicator& group, std::filesystem::path directory, CheckpointHeader header,
                   std::vector<StateTensor> tensors, By by, CheckpointOptions options = {});
    ~CheckpointSave();  // without finish(): cancels the save and removes the temporary file
    CheckpointSave(const CheckpointSave&) = delete;
    CheckpointSave& operator=(const CheckpointSave&) = delete;

    // Whether this rank's thread has ended: its part is on disk, or writing has failed. Does not wait.
    bool written() const;
    // Collective: waits until all ranks have written their parts (By::caller: writes this rank's part), adds checksums
    // and the completion marker, and renames the file. Returns its path.
    std::filesystem::path finish();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

// Constructs a CheckpointSave and finishes it.
std::filesystem::path save_checkpoint(Communicator& group, const std::filesystem::path& directory,
                                      const CheckpointHeader& header, std::span<const StateTensor> tensors,
                                      const CheckpointOptions& options = {});

// Collective. Reads the hyperslabs, which may overlap between ranks, and verifies all block checksums of every group
// that `tensors` names. Each of these groups must contain exactly the listed tensors; other groups are not read. So a
// caller that lists only weights gets the weights without the moments. Error(bad_file) on every rank if the file is
// damaged or has other tensors; the data are then undefined.
CheckpointHeader load_checkpoint(Communicator& group, const std::filesystem::path& file,
                                 std::span<const StateTensor> tensors, const CheckpointOptions& options = {});

// Not collective. All three functions check the completion marker and the table of contents. Error(bad_file) if the
// file is incomplete or damaged. read_header and list_tensors do not read the tensors' data.
CheckpointHeader read_header(const std::filesystem::path& file);
std::vector<TensorInfo> list_tensors(const std::filesystem::path& file);  // sorted by name
// One whole tensor, row-major, with verified checksums. For inspection and conversion.
std::vector<float> read_tensor(const std::filesystem::path& file, const std::string& name);

// As these functions, for several tensors of one file. Error(bad_file).
class CheckpointFile {
public:
    explicit CheckpointFile(const std::filesystem::path& file);
    ~CheckpointFile();
    const CheckpointHeader& header() const;
    const std::vector<TensorInfo>& tensors() const;  // sorted by name
    std::vector<float> read(const std::string& name) const;

private:
    std::filesystem::path path_;
    std::unique_ptr<struct Contents> contents_;
};

struct VerifyReport {
    std::vector<std::string> problems;  // one line each; empty: intact
    std::int64_t tensors = 0;
    std::int64_t blocks = 0;
    std::int64_t data_bytes = 0;
    bool intact() const { return problems.empty(); }
};
// Reads the whole file and reports all problems. Never throws because of the file's content.
VerifyReport verify(const std::filesystem::path& file);

// Empty if the file is complete and is of this step; otherwise the reason. Does not read the tensors' data.
std::string why_incomplete(const std::filesystem::path& file, std::int64_t step);
// The steps of the checkpoints of the current branch (branch.hpp), newest first; complete or not. Empty if the
// directory is missing.
std::vector<std::int64_t> current_steps(const std::filesystem::path& directory);
// The complete checkpoint of the current branch with the highest step below `below`; nullopt if there is no such
// checkpoint. Appends one line to `passed_over` for each newer file that `check` rejected. Does not read the tensors'
// data if `check` does not.
std::optional<std::filesystem::path> newest_complete(
    const std::filesystem::path& directory, std::vector<std::string>* passed_over = nullptr,
    std::int64_t below = std::numeric_limits<std::int64_t>::max(),
    const std::function<std::string(const std::filesystem::path&, std::int64_t)>& check = why_incomplete);
// Removes the temporary files of killed saves. If another process is still writing one of them, its save fails.
void remove_leftovers(const std::filesystem::path& directory);
// The step in the name of a checkpoint; nullopt for any other file name.
std::optional<std::int64_t> checkpoint_step(const std::filesystem::path& file);
std::string checkpoint_file_name(std::int64_t step);  // "step_00000100.h5"

// Elements [begin, end) of the row-major data of `whole`, as a few hyperslabs. For optimizer shards that do not begin
// or end at a row.
std::vector<StateTensor> split_range(const StateTensor& whole, std::int64_t begin, std::int64_t end);

}  // namespace gpas
