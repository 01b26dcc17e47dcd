// An independent reader of event files: it checks every CRC bit by bit, parses the messages, and forgets at each
// session start what TensorBoard forgets. The real TensorBoard reads the same files when it is installed.
#include "io/metrics/tensorboard.hpp"

#include "tests/io/metrics/metrics_support.hpp"

#include <cstring>
#include <map>

namespace gpas::metrics_tests {
namespace {

struct Event {
    double wall_time = 0;
    std::int64_t step = 0;
    std::string version;
    bool session_start = false;
    std::map<std::string, float> scalars;
};

std::uint32_t slow_crc32c(std::string_view bytes) {
    std::uint32_t crc = 0xffffffffu;
    for (char byte : bytes)
        for (int bit = 0; bit < 8; ++bit) {
            const std::uint32_t feedback = (crc ^ (std::uint8_t(byte) >> bit)) & 1;
            crc = (crc >> 1) ^ (feedback ? 0x82f63b78u : 0);
        }
    return ~crc;
}

template <class T>
T take(std::string_view& bytes) {
    T value;
    if (bytes.size() < sizeof value) throw std::runtime_error("short");
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes.remove_prefix(sizeof value);
    return value;
}

std::string_view take_bytes(std::string_view& bytes, std::uint64_t count) {
    if (bytes.size() < count) throw std::runtime_error("short");
    const std::string_view taken = bytes.substr(0, count);
    bytes.remove_prefix(count);
    return taken;
}

std::uint64_t take_varint(std::string_view& bytes) {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        const auto byte = take<std::uint8_t>(bytes);
        value |= std::uint64_t(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
}

struct Field {
    std::uint64_t number = 0, integer = 0;
    std::string_view bytes;
};

std::vector<Field> fields_of(std::string_view message) {
    std::vector<Field> fields;
    while (!message.empty()) {
        const std::uint64_t key = take_varint(message);
        Field field{key >> 3, 0, {}};
        switch (key & 7) {
            case 0: field.integer = take_varint(message); break;
            case 1: field.bytes = take_bytes(message, 8); break;
            case 2: field.bytes = take_bytes(message, take_varint(message)); break;
            case 5: field.bytes = take_bytes(message, 4); break;
            default: throw std::runtime_error("wire type");
        }
        fields.push_back(field);
    }
    return fields;
}

template <class T>
T as(std::string_view bytes) {
    return take<T>(bytes);
}

Event parse_event(std::string_view message) {
    Event event;
    for (const Field& field : fields_of(message)) {
        if (field.number == 1) event.wall_time = as<double>(field.bytes);
        if (field.number == 2) event.step = std::int64_t(field.integer);
        if (field.number == 3) event.version = field.bytes;
        if (field.number == 7)
            for (const Field& part : fields_of(field.bytes))
                event.session_start = part.number == 1 && part.integer == 1;
        if (field.number != 5) continue;
        for (const Field& value : fields_of(field.bytes)) {
            std::string tag;
            float number = 0;
            for (const Field& part : fields_of(value.bytes)) {
                if (part.number == 1) tag = part.bytes;
                if (part.number == 2) number = as<float>(part.bytes);
            }
            event.scalars[tag] = number;
        }
    }
    return event;
}

std::uint32_t mask(std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

std::vector<Event> read_events(const path& file) {
    const std::string content = text_of(file);
    std::string_view rest = content;
    std::vector<Event> events;
    while (!rest.empty()) {
        const std::string_view length_bytes = rest.substr(0, 8);
        const auto length = take<std::uint64_t>(rest);
        if (take<std::uint32_t>(rest) != mask(slow_crc32c(length_bytes))) throw std::runtime_error("length CRC");
        const std::string_view data = take_bytes(rest, length);
        if (take<std::uint32_t>(rest) != mask(slow_crc32c(data))) throw std::runtime_error("data CRC");
        events.push_back(parse_event(data));
    }
    return events;
}

std::vector<path> files_in(const path& directory) {
    std::vector<path> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

// Step -> value of one tag over all files, as TensorBoard shows it.
std::map<std::int64_t, float> curve(const path& directory, const std::string& tag) {
    std::map<std::int64_t, float> values;
    for (const path& file : files_in(directory))
        for (const Event& event : read_events(file)) {
            if (event.session_start) values.erase(values.lower_bound(event.step), values.end());
            const auto found = event.scalars.find(tag);
            if (found == event.scalars.end()) continue;
            EXPECT_FALSE(values.contains(event.step)) << "step " << event.step << " twice";
            values[event.step] = found->second;
        }
    return values;
}

TEST(Crc32c, IsThatOfRfc3720) {
    EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
    EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
    EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(Tensorboard, WritesEventsThatAnIndependentReaderParses) {
    ScratchDirectory scratch;
    {
        TensorboardSink sink(scratch.get(), 0);
        sink.write(step_metrics(300, 2.5));
        sink.write(EvalMetrics{300, 3.5, 1000, 2.0});
        sink.write(gpas_metrics(300));
        sink.flush();
    }
    const auto files = files_in(scratch.get());
    ASSERT_EQ(files.size(), 1u);
    EXPECT_TRUE(files[0].filename().string().starts_with("events.out.tfevents."));
    const auto events = read_events(files[0]);
    ASSERT_EQ(events.size(), 5u);
    EXPECT_EQ(events[0].version, "brain.Event:2");
    EXPECT_GT(events[0].wall_time, 1e9);
    EXPECT_TRUE(events[1].session_start);
    EXPECT_EQ(events[1].step, 1);
    EXPECT_EQ(events[2].step, 300);
    EXPECT_EQ(events[2].scalars.at("train/loss"), 2.5f);
    EXPECT_EQ(events[2].scalars.at("train/learning_rate"), float(6e-4));
    EXPECT_EQ(events[2].scalars.at("memory/arena_bytes"), float(1 << 30));
    EXPECT_EQ(events[3].scalars.at("eval/loss"), 3.5f);
    EXPECT_EQ(events[4].scalars.at("gpas_gate/011_mlp"), -0.5f);
    EXPECT_EQ(events[4].scalars.at("gpas_value/011_mlp"), -0.125f);
    EXPECT_EQ(events[4].scalars.at("residual_variance/000_attention"), 1.5f);
}

void write_run(const path& directory, std::int64_t first, std::int64_t last, double loss) {
    TensorboardSink sink(directory, first - 1);
    for (std::int64_t step = first; step <= last; ++step) sink.write(step_metrics(step, loss));
}

TEST(Tensorboard, ShowsEachStepOnceAfterAResume) {
    ScratchDirectory scratch;
    write_run(scratch.get(), 1, 10, 5.0);
    write_run(scratch.get(), 7, 12, 4.0);
    EXPECT_EQ(files_in(scratch.get()).size(), 2u);
    const auto values = curve(scratch.get(), "train/loss");
    ASSERT_EQ(values.size(), 12u);
    for (const auto& [step, loss] : values) EXPECT_EQ(loss, step <= 6 ? 5.0f : 4.0f) << step;
}

TEST(Tensorboard, IsReadByTheRealOneWhereItIsInstalled) {
    const char* python = std::getenv("GPAS_TENSORBOARD_PYTHON");
    const std::string interpreter = python ? python : "/usr/bin/python3";
    if (std::system((interpreter + " -c 'import tensorboard' > /dev/null 2>&1").c_str()) != 0)
        GTEST_SKIP() << "no tensorboard; name a python that has it in GPAS_TENSORBOARD_PYTHON";
    ScratchDirectory scratch;
    write_run(scratch.get() / "run", 1, 10, 5.0);
    write_run(scratch.get() / "run", 7, 12, 4.0);
    const path script = scratch.get() / "read.py";
    std::ofstream(script) << "import sys\n"
                             "from tensorboard.backend.event_processing import event_accumulator as ea\n"
                             "a = ea.EventAccumulator(sys.argv[1], size_guidance={ea.TENSORS: 0, ea.SCALARS: 0})\n"
                             "a.Reload()\n"
                             "got = [(e.step, e.value) for e in a.Scalars('train/loss')]\n"
                             "want = [(s, 5.0 if s <= 6 else 4.0) for s in range(1, 13)]\n"
                             "assert got == want, got\n"
                             "assert 'seconds/total' in a.Tags()['scalars']\n";
    EXPECT_EQ(std::system((interpreter + " " + script.string() + " " + (scratch.get() / "run").string()).c_str()), 0);
}

}  // namespace
}  // namespace gpas::metrics_tests
