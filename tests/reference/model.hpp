// The whole model in double precision: every row of GPAS.md's table and the reordered norm, with hand-written backward.
#pragma once

#include "tests/reference/ops.hpp"

#include <map>
#include <string>

namespace gpas::reference {

struct Rows {  // one batch, row = position · batch + sample
    Int batch = 0;
    Int sequence = 0;
    std::vector<std::int32_t> tokens, labels, segment_begin;
};

// What the gates' stop-gradient operands are. A gate computes x - s(g) · x₀.
enum class Operands {
    live,    // x₀ = x: the forward pass as it is trained; recorded for replay
    frozen,  // x₀ as recorded: the surrogate whose derivative is GPAS's backward
};

class Model {
public:
    explicit Model(const ModelConfig& config) : config_(config) {}

    std::map<std::string, Vec> weights;    // by the engine's names, flattened row-major
    std::map<std::string, Vec> gradients;  // of the sum of losses; set by backward()
    // For each gate, Σ |terms| of the sum that its gradient is: the size against which rounding errors of a sum that
    // cancels are to be judged.
    std::map<std::string, double> gate_term_sums;
    // loss() only: passes the stream on unchanged in place of this layer (from 0); -1: computes every layer.
    Int without_layer = -1;
    // Applied to every value that an engine stores (weights as used, activations, their gradients): emulates a dtype.
    std::function<double(double)> round;

    double loss(const Rows& rows, Operands operands = Operands::live);  // Σ over labels
    double loss_and_gradients(const Rows& rows);
    Vec stream_variances() const { return variances_; }
    // Of the last pass: the stream that enters each layer, and at the end the one that the final norm reads.
    const std::vector<Vec>& layer_streams() const { return streams_; }

private:
    struct Gated {
        Vec x;   // operand of the gate
        Vec x0;  // its frozen copy
        std::string name;
    };
    struct Norm {
        std::string name;
        Vec x;
        double scale = 1.0;
    };
    struct Site {
        bool post = false, pre_norm = false, branch_norm = false, attention = false;
        double alpha = 1.0;
        Vec h, n, raw, qkv, o, gate_up, act;  // raw: queries and keys before QK-norm
        Norm pre, branch, sum;
        Gated gate;
        bool has_gate = false;
        Int layer = 0;
    };

    Vec rounded(Vec x) const;
    Vec weight(const std::string& name) const;
    Vec norm(Norm& saved, const std::string& name, const Vec& x, double scale);
    Vec norm_backward(const Norm& saved, const Vec& dn);
    Vec gate(Gated& saved, const std::string& name, const Vec& x, Operands operands);
    Vec gate_backward(const Gated& saved, const Vec& dy);
    std::string gate_name(Int layer, const std::string& site) const;
    // matmul, plus the bias if the model has one
    Vec linear(const std::string& name, const Vec& x, Int T, Int N, Int K) const;
    // dw and dbias +=
    void linear_gradients(const std::string& name, const Vec& dy, const Vec& x, Int T, Int N, Int K);
    HeadNorm head_norm(const Site& site) const;
    Vec branch(Site& site, const Vec& n, const Rows& rows);
    Vec branch_backward(Site& site, const Vec& db, const Rows& rows);
    Vec site_forward(Site& site, const Vec& h, const Rows& rows, Operands operands);
    Vec site_backward(Site& site, const Vec& dh, const Rows& rows);
    Heads heads(const Rows& rows) const;
    std::string prefix(const Site& site) const;

    ModelConfig config_;
    std::vector<Site> sites_;
    Norm final_norm_;
    Vec final_, dlogits_, variances_;
    std::vector<Vec> streams_;
};

}  // namespace gpas::reference
