#include "parallel/schedule/simulation.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

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

// A message. It arrives costs.message seconds after both ends have started (send_start, receive_start).
struct SimulatedMessage {
    PipelineAction sent;    // the action whose output it is
    PipelineAction wanted;  // the action whose input the receiver expects
    std::optional<double> send_start, receive_start;
};

// The messages from one stage to another, of forwards or of backwards: the k-th send matches the k-th receive.
struct SimulatedChannel {
    std::deque<SimulatedMessage> messages;
    std::size_t sends = 0;
    std::size_t receives = 0;
};
using ChannelKey = std::tuple<int, int, bool>;  // from, to, forward

struct MessageKey {
    ChannelKey channel;
    std::size_t index = 0;
};

// What a stage does next for its current action.
enum class RankPhase { to_receive, to_take_input, to_compute };

struct Stage {
    std::size_t next = 0;  // index of the current action
    RankPhase phase = RankPhase::to_receive;
    double now = 0.0;
    std::optional<MessageKey> input;                             // the input of the current action
    std::optional<MessageKey> early;                             // the input of the next action: the early receive
    std::vector<MessageKey> leaving;                             // gradients that are being sent, the oldest first
    int gradients = 0;                                           // gradient buffers in use
    std::map<std::pair<std::int64_t, int>, MessageKey> outputs;  // outputs of forwards whose backward has not ended
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

    // Always performs the step that is earliest in time, so that all messages that end before it are already known.
    PipelineSimulation run() {
        while (true) {
            std::optional<double> first;
            int who = 0;
            for (int s = 0; s < int(stages_.size()); ++s)
                if (const auto time = time_of_next(s); time && (!first || *time < *first)) first = time, who = s;
            if (!first) break;
            step(who, *first);
        }
        for (int s = 0; s < int(stages_.size()); ++s) {
            const Stage& stage = stages_[std::size_t(s)];
            result_.seconds = std::max(result_.seconds, stage.now);
            if (stage.next < list(s).size())
                problem("stage {} waits indefinitely before the {}: {}", s, text_of(action(s)), obstacle(s));
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

    SimulatedMessage& message(const MessageKey& key) { return channels_[key.channel].messages[key.index]; }
    // When the message arrives; nothing if one end has not started.
    std::optional<double> arrival(const MessageKey& key) {
        const SimulatedMessage& m = message(key);
        if (!m.send_start || !m.receive_start) return std::nullopt;
        return std::max(*m.send_start, *m.receive_start) + costs_.message;
    }
    MessageKey next_message(const ChannelKey& key, bool sending) {
        SimulatedChannel& channel = channels_[key];
        const std::size_t index = sending ? channel.sends++ : channel.receives++;
        if (index == channel.messages.size()) channel.messages.emplace_back();
        return {key, index};
    }

    const std::vector<PipelineAction>& list(int s) const { return actions_[std::size_t(s)]; }
    const PipelineAction& action(int s) const { return list(s)[stages_[std::size_t(s)].next]; }
    bool has_input(int s, const PipelineAction& a) const { return input_of(shape_, s, a).exists; }

    // Whether the next step needs a gradient buffer: to receive the input of the current or the next action, or, on the
    // last model stage, to compute the first gradient.
    bool needs_buffer(int s) const {
        const Stage& stage = stages_[std::size_t(s)];
        if (stage.phase == RankPhase::to_take_input && receives_early(s)) return has_gradient(list(s)[stage.next + 1]);
        if (!has_gradient(action(s))) return false;
        if (has_input(s, action(s))) return stage.phase == RankPhase::to_receive && !stage.early;
        return stage.phase == RankPhase::to_compute;
    }
    // When a stage can make its next step; nothing if it has finished, or if that depends on a step of another stage.
    std::optional<double> time_of_next(int s) {
        const Stage& stage = stages_[std::size_t(s)];
        if (stage.next == list(s).size()) return std::nullopt;
        std::optional<double> ready = stage.now;
        if (stage.phase == RankPhase::to_take_input && stage.input) ready = arrival(*stage.input);
        if (ready && needs_buffer(s) && stage.gradients == gradient_buffers_) {
            const auto left = stage.leaving.empty() ? std::nullopt : arrival(stage.leaving.front());
            ready = left ? std::optional(std::max(*ready, *left)) : std::nullopt;
        }
        return ready ? std::optional(std::max(stage.now, *ready)) : std::nullopt;
    }
    std::string obstacle(int s) {
        const Stage& stage = stages_[std::size_t(s)];
        if (stage.phase == RankPhase::to_take_input && stage.input && !arrival(*stage.input))
            return fmt::format("stage {} does not send", input_of(shape_, s, action(s)).peer);
        if (stage.leaving.empty()) return "no buffer for a gradient";
        return fmt::format("no buffer for a gradient while stage {} does not receive",
                           std::get<1>(stage.leaving.front().channel));
    }

    void step(int s, double time) {
        Stage& stage = stages_[std::size_t(s)];
        stage.now = time;
        collect(stage);
        switch (stage.phase) {
            case RankPhase::to_receive:
                stage.input = std::exchange(stage.early, std::nullopt);
                if (!stage.input && has_input(s, action(s))) stage.input = receive(s, action(s));
                stage.phase = RankPhase::to_take_input;
                return;
            case RankPhase::to_take_input:
                if (stage.input) check_input(s);
                if (receives_early(s)) stage.early = receive(s, list(s)[stage.next + 1]);
                stage.phase = RankPhase::to_compute;
                return;
            case RankPhase::to_compute:
                if (needs_buffer(s)) ++stage.gradients;
                compute(s, action(s));
                ++stage.next;
                stage.phase = RankPhase::to_receive;
                return;
        }
    }

    // Frees the buffers of gradients that have arrived at their receivers by now.
    void collect(Stage& stage) {
        std::erase_if(stage.leaving, [&](const MessageKey& key) {
            if (!has_arrived(key, stage.now)) return false;
            --stage.gradients;
            return true;
        });
    }
    bool has_arrived(const MessageKey& key, double now) {
        const auto arrived = arrival(key);
        return arrived && *arrived <= now;
    }

    MessageKey receive(int s, const PipelineAction& a) {
        Stage& stage = stages_[std::size_t(s)];
        const MessageKey key = next_message({input_of(shape_, s, a).peer, s, is_forward(a)}, false);
        message(key).receive_start = stage.now;
        message(key).wanted = a;
        if (!is_forward(a)) ++stage.gradients;
        return key;
    }
    // Whether the stage receives the next action's input early. Not if actions hold every gradient buffer. A buffer
    // whose gradient is still being sent counts as available, so that the decision does not depend on message times.
    bool receives_early(int s) const {
        const Stage& stage = stages_[std::size_t(s)];
        if (stage.next + 1 >= list(s).size() || !has_input(s, list(s)[stage.next + 1])) return false;
        return is_forward(list(s)[stage.next + 1]) || stage.gradients < gradient_buffers_ || !stage.leaving.empty();
    }
    void check_input(int s) {
        const SimulatedMessage& m = message(*stages_[std::size_t(s)].input);
        const PipelineMessage expected = input_of(shape_, s, m.wanted);
        if (m.sent.micro_batch != expected.micro_batch || m.sent.chunk != expected.chunk)
            problem("the {} received the output of the {}", text_of(m.wanted), text_of(m.sent));
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

    void compute(int s, const PipelineAction& a) {
        Stage& stage = stages_[std::size_t(s)];
        const double seconds = seconds_of(s, a);
        stage.now += seconds;
        result_.busy[std::size_t(s)] += seconds;
        send(s, a);
        if (a.work == PipelineWork::backward || a.work == PipelineWork::backward_weight) check_output_left(s, a);
    }
    void send(int s, const PipelineAction& a) {
        Stage& stage = stages_[std::size_t(s)];
        const PipelineMessage output = output_of(shape_, s, a);
        if (!output.exists) {
            if (has_gradient(a)) --stage.gradients;
            return;
        }
        const MessageKey key = next_message({s, output.peer, is_forward(a)}, true);
        message(key).send_start = stage.now;
        message(key).sent = a;
        if (has_gradient(a)) stage.leaving.push_back(key);
        if (is_forward(a)) stage.outputs[{a.micro_batch, a.chunk}] = key;
    }
    // The output of a forward is stored with the activations that its backward reads. A later micro-batch overwrites
    // all of them after the backward, so the output must have been sent by then.
    void check_output_left(int s, const PipelineAction& a) {
        Stage& stage = stages_[std::size_t(s)];
        const auto output = stage.outputs.find({a.micro_batch, a.chunk});
        if (output == stage.outputs.end()) return;
        if (!has_arrived(output->second, stage.now)) problem("the {} ends before its output was sent", text_of(a));
        stage.outputs.erase(output);
    }

    const PipelineShape& shape_;
    const PipelineCosts& costs_;
    const std::vector<std::vector<PipelineAction>>& actions_;
    int gradient_buffers_;
    std::vector<Stage> stages_;
    std::map<ChannelKey, SimulatedChannel> channels_;
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
