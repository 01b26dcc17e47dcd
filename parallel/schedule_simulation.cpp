#include "parallel/schedule_simulation.hpp"

#include "kernels/error.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <tuple>

namespace gpas {
namespace {

const char* work_name(PipelineWork work) {
    switch (work) {
        case PipelineWork::forward: return "forward";
        case PipelineWork::backward: return "backward";
        case PipelineWork::backward_input: return "backward of the input";
        case PipelineWork::backward_weight: return "backward of the weights";
    }
    return "?";
}

std::string text_of(const PipelineAction& action) {
    return fmt::format("{} of micro-batch {}, chunk {}", work_name(action.work), action.micro_batch, action.chunk);
}

bool is_forward(const PipelineAction& action) { return action.work == PipelineWork::forward; }
bool has_gradient(const PipelineAction& action) {
    return action.work == PipelineWork::backward || action.work == PipelineWork::backward_input;
}

// A message: both ends note when they were there. It has arrived some time after the later one.
struct Message {
    PipelineAction sent;    // what the sender has computed
    PipelineAction wanted;  // what the receiver is about to compute
    std::optional<double> send_start, receive_start;
};

// From one stage to another in one direction: the k-th send meets the k-th receive.
struct Channel {
    std::deque<Message> messages;
    std::size_t sends = 0;
    std::size_t receives = 0;
};
using ChannelKey = std::tuple<int, int, bool>;  // from, to, forward

struct MessageKey {
    ChannelKey channel;
    std::size_t index = 0;
};

struct Stage {
    std::size_t next = 0;  // action
    double now = 0.0;
    std::optional<MessageKey> expected;  // the input of the next action, for which the stage is ready
    std::vector<MessageKey> leaving;     // gradients on their way out
    int gradients = 0;                   // buffers in use
};

class Simulator {
public:
    Simulator(const PipelineShape& shape, const PipelineCosts& costs,
              const std::vector<std::vector<PipelineAction>>& actions, int gradient_buffers)
        : shape_(shape),
          costs_(costs),
          actions_(actions),
          gradient_buffers_(gradient_buffers),
          stages_(actions.size()) {
        result_.busy.assign(actions.size(), 0.0);
        for (const auto& list : actions) result_.in_flight.push_back(peak_in_flight(list));
    }

    PipelineSimulation run() {
        for (bool moved = true; moved;) {
            moved = false;
            for (std::size_t s = 0; s < stages_.size(); ++s)
                while (advance(int(s))) moved = true;
        }
        for (std::size_t s = 0; s < stages_.size(); ++s) {
            result_.seconds = std::max(result_.seconds, stages_[s].now);
            if (stages_[s].next < actions_[s].size())
                problem("stage {} waits for ever before the {}", s, text_of(actions_[s][stages_[s].next]));
        }
        for (const auto& [ends, channel] : channels_)
            if (channel.sends != channel.receives)
                problem("from stage {} to stage {}: {} messages sent, {} received", std::get<0>(ends),
                        std::get<1>(ends), channel.sends, channel.receives);
        return std::move(result_);
    }

private:
    template <class... Args>
    void problem(fmt::format_string<Args...> format, Args&&... args) {
        result_.problems.push_back(fmt::format(format, std::forward<Args>(args)...));
    }

    Message& message(const MessageKey& key) { return channels_[key.channel].messages[key.index]; }
    // When it will have arrived; nothing while one end is not there.
    std::optional<double> arrival(const MessageKey& key) {
        const Message& m = message(key);
        if (!m.send_start || !m.receive_start) return std::nullopt;
        return std::max(*m.send_start, *m.receive_start) + costs_.message;
    }
    MessageKey next_message(const ChannelKey& key, bool sending) {
        Channel& channel = channels_[key];
        const std::size_t index = sending ? channel.sends++ : channel.receives++;
        if (index == channel.messages.size()) channel.messages.emplace_back();
        return {key, index};
    }

    // Frees the buffers whose gradients have left by now.
    void collect(Stage& stage) {
        std::erase_if(stage.leaving, [&](const MessageKey& key) {
            const auto arrived = arrival(key);
            if (!arrived || *arrived > stage.now) return false;
            --stage.gradients;
            return true;
        });
    }
    // Until a buffer is free. False: when that is, is not known yet.
    bool wait_for_buffer(Stage& stage) {
        collect(stage);
        if (stage.gradients < gradient_buffers_) return true;
        std::optional<double> first;
        for (const MessageKey& key : stage.leaving)
            if (const auto arrived = arrival(key); arrived && (!first || *arrived < *first)) first = arrived;
        if (!first) return false;
        stage.now = std::max(stage.now, *first);
        collect(stage);
        return true;
    }

    void receive(int s, const PipelineAction& action, const PipelineMessage& from) {
        Stage& stage = stages_[std::size_t(s)];
        stage.expected = next_message({from.peer, s, is_forward(action)}, false);
        Message& m = message(*stage.expected);
        m.receive_start = stage.now;
        m.wanted = action;
        if (!is_forward(action)) ++stage.gradients;
    }
    void receive_early(int s, const PipelineAction& action) {
        Stage& stage = stages_[std::size_t(s)];
        collect(stage);
        const PipelineMessage input = input_of(shape_, s, action);
        if (input.exists && (is_forward(action) || stage.gradients < gradient_buffers_)) receive(s, action, input);
    }
    // Until the expected message is there. False: when that is, is not known yet.
    bool take(Stage& stage) {
        const auto arrived = arrival(*stage.expected);
        if (!arrived) return false;
        stage.now = std::max(stage.now, *arrived);
        const Message& m = message(*stage.expected);
        if (m.sent.micro_batch != m.wanted.micro_batch || is_forward(m.sent) != is_forward(m.wanted))
            problem("the {} got the output of the {}", text_of(m.wanted), text_of(m.sent));
        stage.expected.reset();
        return true;
    }

    // Does the next action of a stage. False: the stage is at its end, or must wait for one that is not as far.
    bool advance(int s) {
        Stage& stage = stages_[std::size_t(s)];
        const std::vector<PipelineAction>& list = actions_[std::size_t(s)];
        if (stage.next == list.size()) return false;
        const PipelineAction& action = list[stage.next];
        const PipelineMessage input = input_of(shape_, s, action);
        if (!stage.expected) {
            if (has_gradient(action) && !wait_for_buffer(stage)) return false;
            if (input.exists)
                receive(s, action, input);
            else if (has_gradient(action))
                ++stage.gradients;
        }
        if (input.exists && !take(stage)) return false;
        ++stage.next;
        if (stage.next < list.size()) receive_early(s, list[stage.next]);
        compute(s, action);
        return true;
    }

    double seconds_of(int s, const PipelineAction& action) const {
        const std::size_t stage = std::size_t(action.chunk * shape_.stages + s);
        switch (action.work) {
            case PipelineWork::forward: return costs_.forward[stage];
            case PipelineWork::backward: return costs_.backward_input[stage] + costs_.backward_weight[stage];
            case PipelineWork::backward_input: return costs_.backward_input[stage];
            case PipelineWork::backward_weight: return costs_.backward_weight[stage];
        }
        return 0.0;
    }

    void compute(int s, const PipelineAction& action) {
        Stage& stage = stages_[std::size_t(s)];
        const double seconds = seconds_of(s, action);
        stage.now += seconds;
        result_.busy[std::size_t(s)] += seconds;
        const PipelineMessage output = output_of(shape_, s, action);
        if (!output.exists) {
            if (has_gradient(action)) --stage.gradients;
            return;
        }
        const MessageKey key = next_message({s, output.peer, is_forward(action)}, true);
        Message& m = message(key);
        m.send_start = stage.now;
        m.sent = action;
        if (has_gradient(action)) stage.leaving.push_back(key);
    }

    const PipelineShape& shape_;
    const PipelineCosts& costs_;
    const std::vector<std::vector<PipelineAction>>& actions_;
    int gradient_buffers_;
    std::vector<Stage> stages_;
    std::map<ChannelKey, Channel> channels_;
    PipelineSimulation result_;
};

}  // namespace

PipelineCosts PipelineCosts::uniform(const PipelineShape& shape, double forward, double backward_input,
                                     double backward_weight, double message) {
    const std::size_t stages = std::size_t(shape.stages * shape.chunks);
    return {.forward = std::vector<double>(stages, forward),
            .backward_input = std::vector<double>(stages, backward_input),
            .backward_weight = std::vector<double>(stages, backward_weight),
            .message = message};
}

double PipelineSimulation::bubble() const { return seconds - *std::max_element(busy.begin(), busy.end()); }

PipelineSimulation simulate(const PipelineShape& shape, const PipelineCosts& costs, int gradient_buffers) {
    std::vector<std::vector<PipelineAction>> actions;
    for (int stage = 0; stage < shape.stages; ++stage) actions.push_back(pipeline_actions(shape, stage));
    return simulate(shape, costs, actions, gradient_buffers);
}

PipelineSimulation simulate(const PipelineShape& shape, const PipelineCosts& costs,
                            const std::vector<std::vector<PipelineAction>>& actions, int gradient_buffers) {
    return Simulator(shape, costs, actions, gradient_buffers).run();
}

}  // namespace gpas
