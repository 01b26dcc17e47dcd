// Checkpoints: one HDF5 file per step, every parameter and optimizer moment a global, unpadded fp32 tensor. The file
// does not depend on the layout of the ranks that wrote it, so any layout can read it. docs/formats.md has its format.
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

// What a run needs besides its tensors. Stored as attributes of the file's root, one per member.
struct CheckpointHeader {
    std::string software;  // "gpas 0.1.0"
    std::string run_name;
    std::int64_t step = 0;  // steps finished when this was written
    std::int64_t consumed_samples = 0;
    std::int64_t consumed_tokens = 0;
    std::int64_t optimizer_steps = 0;  // AdamW updates done: steps minus skipped ones
    std::int64_t seed = 0;
    std::string config;  // the resolved YAML
    std::string layout;  // ranks that wrote it, for people: "tensor 2, pipeline 1, data 4"
    std::string dataset_fingerprint;
    std::string tokenizer_fingerprint;
    std::string rope_convention = "rotate-half";
    std::map<std::string, std::string> extra;  // attributes "extra.<key>"

    bool operator==(const CheckpointHeader&) const = default;
};

// The hyperslab of a named global tensor that this rank holds.
struct StateTensor {
    std::string name;                        // "<group>/<tensor>", group one of weights, adam_m, adam_v
    std::vector<std::int64_t> global_shape;  // unpadded, 1 to 8 dimensions
    std::vector<std::int64_t> start;         // first element along each dimension
    std::vector<std::int64_t> count;         // extent along each; any 0 (or an empty vector): nothing on this rank
    float* data = nullptr;                   // contiguous, row-major, of shape `count`; written by loading only
    // Saving without `data`: puts them at `to`, called once by whoever writes, one part after the other. What it throws
    // fails the save.
    std::function<void(float* to)> produce;
};

struct TensorInfo {
    std::string name;  // "<group>/<tensor>"
    std::vector<std::int64_t> shape;
};

// Where saving stands, for progress and for tests. creating and checksums are seen by every rank, writing by whoever
// writes a rank's part, the others by rank 0. What an observer throws before `done` fails the whole save.
enum class SavePoint { creating, writing, checksums, marker, renaming, done };

struct CheckpointOptions {
    std::int64_t piece_bytes = std::int64_t(256) << 20;  // largest single read
    std::function<void(SavePoint)> observe;
};

// A checkpoint on its way to <directory>/step_<8 digits>.h5. All that is collective, and every call of HDF5, is in the
// constructor and in finish(); between them each rank writes its own part, by a thread of its own if asked to.
//
// Every rank passes the same set of (name, global shape), in any order, each with its own hyperslab; a name may occur
// several times with different hyperslabs. Together, the hyperslabs of all ranks cover every tensor exactly once (see
// split_replicas); this is checked. rank 0's header counts. On any error the temporary file is gone, earlier
// checkpoints are untouched, and every rank throws the same Error: environment (space, permissions, I/O) or internal (a
// wrong list).
class CheckpointSave {
public:
    enum class By { caller, thread };

    // Collective: lays the file out, under a temporary name. By::thread starts writing. What the parts point to is
    // neither changed nor freed until finish() has returned or this object is gone.
    CheckpointSave(Communicator& group, std::filesystem::path directory, CheckpointHeader header,
                   std::vector<StateTensor> tensors, By by, CheckpointOptions options = {});
    ~CheckpointSave();  // without finish(): gives up, and leaves nothing
    CheckpointSave(const CheckpointSave&) = delete;
    CheckpointSave& operator=(const CheckpointSave&) = delete;

    // Whether this rank's thread has nothing left to do: its part is on the disk, or it has failed.
    bool written() const;
    // Collective: waits until all ranks have written (By::caller: writes), adds checksums and completion marker, gives
    // the file its name and returns it.
    std::filesystem::path finish();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

// Constructs a CheckpointSave and finishes it.
std::filesystem::path save_checkpoint(Communicator& group, const std::filesystem::path& directory,
                                      const CheckpointHeader& header, std::span<const StateTensor> tensors,
                                      const CheckpointOptions& options = {});

// Fills the hyperslabs, which may overlap between ranks, and verifies the checksums of every block of every group that
// is asked for. Collective. The file must hold exactly the tensors asked for, in each group that any of them names: so
// a caller that lists weights only gets weights without the moments. Error(bad_file) on every rank; the data are then
// undefined.
CheckpointHeader load_checkpoint(Communicator& group, const std::filesystem::path& file,
                                 std::span<const StateTensor> tensors, const CheckpointOptions& options = {});

// Not collective. All three check the completion marker and that the table of contents is intact; tensor data are not
// read. Error(bad_file).
CheckpointHeader read_header(const std::filesystem::path& file);
std::vector<TensorInfo> list_tensors(const std::filesystem::path& file);  // sorted by name
// One whole tensor, verified. For inspection and conversion.
std::vector<float> read_tensor(const std::filesystem::path& file, const std::string& name);

// The same of many tensors of one file. Error(bad_file).
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
// Reads everything. Never throws for what is wrong inside the file.
VerifyReport verify(const std::filesystem::path& file);

// Empty if the file is complete and holds this step; otherwise the reason. The tensors' data are not read.
std::string why_incomplete(const std::filesystem::path& file, std::int64_t step);
// Steps that have a file in the directory, the newest first: of the current branch (branch.hpp). A missing directory
// has none.
std::vector<std::int64_t> current_steps(const std::filesystem::path& directory);
// The checkpoint of the highest step below `below` that is complete, of the current branch; one line for each file that
// was passed over. The tensors' data are not read.
std::optional<std::filesystem::path> newest_complete(
    const std::filesystem::path& directory, std::vector<std::string>* passed_over = nullptr,
    std::int64_t below = std::numeric_limits<std::int64_t>::max(),
    const std::function<std::string(const std::filesystem::path&, std::int64_t)>& check = why_incomplete);
// Removes the temporary files of killed saves. A process that still writes cannot finish its save.
void remove_leftovers(const std::filesystem::path& directory);
// The step in the name of a checkpoint; nothing for any other file name.
std::optional<std::int64_t> checkpoint_step(const std::filesystem::path& file);
std::string checkpoint_file_name(std::int64_t step);  // "step_00000100.h5"

// The share of replica `rank` of `replicas` ranks that all hold `whole`: a range of its rows. Empty where rows run out.
StateTensor split_replicas(const StateTensor& whole, int rank, int replicas);
// Elements [begin, end) of the row-major data of `whole`, as the few hyperslabs they make up. For optimizer shards
// that do not end at a row.
std::vector<StateTensor> split_range(const StateTensor& whole, std::int64_t begin, std::int64_t end);

}  // namespace gpas
