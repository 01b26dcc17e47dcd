#include "engine/step/pipeline.hpp"

#include "base/error.hpp"
#include "kernels/cuda/profiling.hpp"

#include <cmath>
#include <deque>
#include <map>
#include <optional>
#include <utility>

namespace gpas {
namespace {

using Sending = std::unique_ptr<Transfer>;

const char* name_of(PipelineWork work) {
    switch (work) {
        case PipelineWork::forward: return "forward";
        case PipelineWork::backward: return "backward";
        case PipelineWork::backward_input: return "backward (inputs)";
        case PipelineWork::backward_weight: return "backward (weights)";
    }
    return "";
}

// Buffers [R,C] for the input streams of the model's parts.
class InputBuffers {
public:
    explicit InputBuffers(const std::vector<Tensor>& buffers) : free_(buffers) {}
    bool any() const { return !free_.empty(); }
    Tensor take() {
        require(any(), "no buffer is left for a stream: more micro-batches are in flight than planned");
        const Tensor buffer = free_.back();
        free_.pop_back();
        return buffer;
    }
    void give_back(Tensor buffer) { free_.push_back(buffer); }

private:
    std::vector<Tensor> free_;
};

// Buffers [R,C] for gradients of streams. After backward a buffer is sent to the previous stage; it is free once the
// send has completed. Which buffer take() returns and which send it waits for depend on the order of the calls only,
// never on timing.
class GradientBuffers {
public:
    explicit GradientBuffers(const std::vector<Tensor>& buffers) : free_(buffers) {}
    // True if take() can return a buffer: one is free, or becomes free when a send completes.
    bool any() const { return !free_.empty() || !leaving_.empty(); }
    Tensor take() {
        if (free_.empty()) collect();
        const Tensor buffer = free_.back();
        free_.pop_back();
        return buffer;
    }
    void give_back(Tensor buffer) { free_.push_back(buffer); }
    void send(Tensor buffer, Sending sending) { leaving_.emplace_back(buffer, std::move(sending)); }
    void wait() {
        while (!leaving_.empty()) collect();
    }

private:
    void collect() {
        require(!leaving_.empty(), "no buffer is left for a gradient");
        leaving_.front().second->wait();
        free_.push_back(leaving_.front().first);
        leaving_.pop_front();
    }

    std::vector<Tensor> free_;
    std::deque<std::pair<Tensor, Sending>> leaving_;
};

// One pass over a list of actions.
class Run {
public:
    Run(Replica& replica, Mesh& mesh, const PipelineShape& shape, const PipelinePass& pass, bool training)
        : replica_(replica),
          mesh_(mesh),
          shape_(shape),
          pass_(pass),
          training_(training),
          inputs_(replica.memory().inputs),
          gradients_(replica.memory().gradients),
          chunks_(replica.memory().models.size()) {
        for (std::size_t c = 0; c < chunks_.size(); ++c)
            for (std::size_t slot = replica.memory().models[c].size(); slot-- > 0;) chunks_[c].free.push_back(slot);
        for (Chunk& chunk : chunks_) chunk.sending.resize(chunk.free.size());
        for (std::size_t i = 0; i < pass.batches.size(); ++i)
            rows_.push_back(replica.load_rows(rows_of(pass.batches[i], pass.mask_documents), std::int64_t(i)));
        clear(replica.context, replica.memory().work.loss);
    }

    void run(const std::vector<PipelineAction>& actions) {
        for (std::size_t k = 0; k < actions.size(); ++k) {
            mesh_.world->progress().enter(phase_of(actions[k]), pass_.step, actions[k].micro_batch);
            if (!receiving_) receive(actions[k], allow(actions[k]));
            const std::optional<Tensor> arrived = take_received();
            // The next input may arrive while this action is computed, so its buffer is provided before. The receive
            // itself is started after this action's send. If both go through one queue, a receive in front would delay
            // the send, and the peer may need that message before it can send.
            const std::optional<Tensor> next = k + 1 < actions.size() ? allow_early(actions[k + 1]) : std::nullopt;
            perform(actions[k], arrived);
            if (next) receive(actions[k + 1], next);
        }
        for (Chunk& chunk : chunks_)
            for (Sending& sending : chunk.sending)
                if (sending) sending->wait();
        gradients_.wait();
        mesh_.world->progress().set_place(pass_.step, -1);
    }

private:
    struct InFlight {
        std::size_t slot = 0;
        Tensor input;
    };
    struct Chunk {
        std::vector<std::size_t> free;               // slots (models) without a micro-batch in flight
        std::vector<Sending> sending;                // per slot: send of its output under way, or null
        std::map<std::int64_t, InFlight> in_flight;  // by micro-batch
        std::int64_t done = 0;                       // micro-batches whose backward has ended
    };
    struct Receiving {
        Tensor buffer;
        Sending transfer;
    };

    Phase phase_of(const PipelineAction& action) const {
        return !training_ ? Phase::evaluation : is_forward(action) ? Phase::forward : Phase::backward;
    }
    static bool is_forward(const PipelineAction& action) { return action.work == PipelineWork::forward; }

    Communicator& channel_to(const PipelineAction& action) {
        return is_forward(action) ? *mesh_.pipeline_forward : *mesh_.pipeline_backward;
    }
    // Takes the buffer for the input that an action receives from another stage, and permits the channel to write it
    // from now on. Nothing if the action receives no input.
    std::optional<Tensor> allow(const PipelineAction& action) {
        if (!input_of(shape_, mesh_.place.pipeline, action).exists) return std::nullopt;
        const Tensor buffer = is_forward(action) ? inputs_.take() : gradients_.take();
        channel_to(action).allow_receive();
        return buffer;
    }
    // allow() while the previous action is computed. Nothing if no buffer is free yet: then run() calls allow() when it
    // reaches the action.
    std::optional<Tensor> allow_early(const PipelineAction& action) {
        return (is_forward(action) ? inputs_.any() : gradients_.any()) ? allow(action) : std::nullopt;
    }
    void receive(const PipelineAction& action, const std::optional<Tensor>& buffer) {
        if (!buffer) return;
        const int peer = input_of(shape_, mesh_.place.pipeline, action).peer;
        const char* what = is_forward(action) ? "activations" : "gradient of activations";
        receiving_ = Receiving{*buffer, channel_to(action).start_receive(*buffer, peer, what)};
    }
    std::optional<Tensor> take_received() {
        if (!receiving_) return std::nullopt;
        receiving_->transfer->wait();
        const Tensor buffer = receiving_->buffer;
        receiving_.reset();
        return buffer;
    }

    void perform(const PipelineAction& action, const std::optional<Tensor>& arrived) {
        const cuda::Range range(replica_.context, "{} of micro-batch {}, chunk {}", name_of(action.work),
                                action.micro_batch, action.chunk);
        switch (action.work) {
            case PipelineWork::forward: return forward(action, arrived ? *arrived : inputs_.take());
            case PipelineWork::backward:
            case PipelineWork::backward_input: return backward(action, arrived ? *arrived : gradients_.take());
            case PipelineWork::backward_weight: return backward_weight(action);
        }
    }

    const TokenRows& rows(const PipelineAction& action) const { return rows_[std::size_t(action.micro_batch)]; }
    const ModelPart& part(const PipelineAction& action) const {
        return replica_.shape().parts[std::size_t(action.chunk)];
    }
    bool is_last(const PipelineAction& action) const {
        return action.micro_batch + 1 == std::int64_t(pass_.batches.size());
    }

    // Waits for the send of the output of the micro-batch that a slot held.
    static void wait_until_sent(Chunk& chunk, std::size_t slot) {
        if (chunk.sending[slot]) std::exchange(chunk.sending[slot], nullptr)->wait();
    }

    void forward(const PipelineAction& action, Tensor input) {
        Chunk& chunk = chunks_[std::size_t(action.chunk)];
        require(!chunk.free.empty(), "more micro-batches are in flight than planned");
        const std::size_t slot = chunk.free.back();
        chunk.free.pop_back();
        wait_until_sent(chunk, slot);

        Model& model = replica_.memory().models[std::size_t(action.chunk)][slot];
        if (pass_.probe != nullptr) pass_.probe->set_micro_batch(action.micro_batch);
        const Tensor output = model.forward(replica_.context, rows(action), input,
                                            {.moments = is_last(action) ? pass_.moments : nullptr,
                                             .without_layer = pass_.without_layer,
                                             .angles = pass_.angles});
        const PipelineMessage message = output_of(shape_, mesh_.place.pipeline, action);
        if (message.exists)
            chunk.sending[slot] = mesh_.pipeline_forward->start_send(output, message.peer, "activations");
        // Without its only layer, a part sends its input. Once given back, the input's memory is written again.
        if (output.data == input.data) wait_until_sent(chunk, slot);
        if (training_) {
            chunk.in_flight[action.micro_batch] = {slot, input};
            return;
        }
        if (part(action).head) evaluate_head(model, action);
        inputs_.give_back(input);
        chunk.free.insert(chunk.free.begin(), slot);  // taken last, since the send of its output may still run
    }

    void evaluate_head(Model& model, const PipelineAction& action) {
        const bool each = bool(pass_.token_losses);
        model.loss(replica_.context, rows(action), each ? replica_.memory().work.token_losses : Tensor{});
        if (each) pass_.token_losses(action.micro_batch, replica_.token_losses());
    }

    // Factor of the gradient of a micro-batch's loss; 0 for the mean loss of a micro-batch without loss tokens.
    float factor_of(const PipelineAction& action) const {
        if (!pass_.batch_means) return pass_.factor;
        const std::int64_t tokens = pass_.batches[std::size_t(action.micro_batch)].loss_tokens;
        return tokens > 0 ? pass_.factor / float(tokens) : 0.0F;
    }

    void backward(const PipelineAction& action, Tensor d) {
        Chunk& chunk = chunks_[std::size_t(action.chunk)];
        const std::size_t slot = chunk.in_flight.at(action.micro_batch).slot;
        wait_until_sent(chunk, slot);  // recomputation writes to the memory that the output is sent from
        Model& model = replica_.memory().models[std::size_t(action.chunk)][slot];
        const bool whole = action.work == PipelineWork::backward;
        const Model::LayerDone done = done_hook(chunk);
        if (part(action).head)
            model.loss_and_gradient(replica_.context, rows(action), d, factor_of(action), done);
        else if (std::isnan(pass_.factor))
            fill(replica_.context, d, pass_.factor);
        if (whole)
            model.backward(replica_.context, rows(action), d, done);
        else
            model.backward_input(replica_.context, rows(action), d);
        const PipelineMessage message = output_of(shape_, mesh_.place.pipeline, action);
        if (message.exists)
            gradients_.send(d, mesh_.pipeline_backward->start_send(d, message.peer, "gradient of activations"));
        else
            gradients_.give_back(d);
        if (whole) end(action);
    }

    void backward_weight(const PipelineAction& action) {
        Chunk& chunk = chunks_[std::size_t(action.chunk)];
        replica_.memory()
            .models[std::size_t(action.chunk)][chunk.in_flight.at(action.micro_batch).slot]
            .backward_weight(replica_.context, done_hook(chunk));
        end(action);
    }

    void end(const PipelineAction& action) {
        Chunk& chunk = chunks_[std::size_t(action.chunk)];
        const InFlight over = chunk.in_flight.at(action.micro_batch);
        chunk.in_flight.erase(action.micro_batch);
        inputs_.give_back(over.input);
        chunk.free.push_back(over.slot);
        ++chunk.done;
    }

    Model::LayerDone done_hook(const Chunk& chunk) const {
        return chunk.done + 1 == std::int64_t(pass_.batches.size()) ? pass_.done : Model::LayerDone{};
    }

    Replica& replica_;
    Mesh& mesh_;
    const PipelineShape& shape_;
    const PipelinePass& pass_;
    bool training_;
    InputBuffers inputs_;
    GradientBuffers gradients_;
    std::vector<Chunk> chunks_;
    std::optional<Receiving> receiving_;
    std::vector<TokenRows> rows_;  // per micro-batch
};

// As in the interleaved schedule, a chunk gets micro-batches in groups of the number of stages.
std::vector<PipelineAction> forward_actions(const PipelineShape& shape) {
    std::vector<PipelineAction> actions;
    for (std::int64_t first = 0; first < shape.micro_batches; first += shape.stages)
        for (int chunk = 0; chunk < shape.chunks; ++chunk)
            for (std::int64_t i = first; i < std::min(first + shape.stages, shape.micro_batches); ++i)
                actions.push_back({PipelineWork::forward, i, chunk});
    return actions;
}

}  // namespace

void Pipeline::train(const PipelinePass& pass) {
    require(!pass.without_layer && pass.angles == nullptr, "a training step without a layer, or with angles");
    require(std::int64_t(pass.batches.size()) == shape_.micro_batches, "{} micro-batches for a schedule of {}",
            pass.batches.size(), shape_.micro_batches);
    Run(replica_, mesh_, shape_, pass, true).run(pipeline_actions(shape_, mesh_.place.pipeline));
}

double Pipeline::evaluate(const PipelinePass& pass) {
    PipelineShape shape = shape_;
    shape.micro_batches = std::int64_t(pass.batches.size());
    replica_.memory().work.probe = pass.probe;
    Run(replica_, mesh_, shape, pass, false).run(forward_actions(shape));
    replica_.memory().work.probe = nullptr;
    return replica_.loss_sum();
}

}  // namespace gpas
