#include "tests/reference/model.hpp"

#include <cmath>

namespace gpas::reference {
namespace {

Vec add(const Vec& a, const Vec& b, double factor = 1.0) {
    Vec sum(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) sum[i] = factor * a[i] + b[i];
    return sum;
}

bool gated(Architecture a) {
    switch (a) {
        case Architecture::pre_gpas:
        case Architecture::lns_gpas:
        case Architecture::sandwich_gpas:
        case Architecture::deeppost_gpas:
        case Architecture::post_pre_gpas:
        case Architecture::post_gpas:
        case Architecture::reordered_gpas: return true;
        default: return false;
    }
}

bool is_post(const ModelConfig& c, Int layer) {
    switch (c.architecture) {
        case Architecture::post:
        case Architecture::post_gpas:
        case Architecture::deeppost:
        case Architecture::deeppost_gpas: return true;
        case Architecture::post_pre:
        case Architecture::post_pre_gpas: return layer < (c.mix_post_layers >= 0 ? c.mix_post_layers : c.layers / 4);
        default: return false;
    }
}

double lns_scale(const ModelConfig& c, Int layer) {
    const bool lns = c.architecture == Architecture::lns || c.architecture == Architecture::lns_gpas;
    return lns && c.lns == LnsMode::output ? 1.0 / std::sqrt(double(layer + 1)) : 1.0;
}

double variance(const Vec& x) {
    double sum = 0.0;
    double squares = 0.0;
    for (double v : x) {
        sum += v;
        squares += v * v;
    }
    const double n = double(x.size());
    return squares / n - sum / n * (sum / n);
}

}  // namespace

Vec Model::rounded(Vec x) const {
    if (round)
        for (double& v : x) v = round(v);
    return x;
}

Vec Model::weight(const std::string& name) const { return rounded(weights.at(name)); }

Heads Model::heads(const Rows& rows) const {
    const Int kv = config_.kv_heads > 0 ? config_.kv_heads : config_.heads;
    const Int dim = config_.head_dim > 0 ? config_.head_dim : config_.hidden_size / config_.heads;
    return {rows.sequence, rows.batch, config_.heads, kv, dim, config_.rope_base, config_.sliding_window};
}

std::string Model::prefix(const Site& site) const {
    return "layers." + std::to_string(site.layer) + (site.attention ? ".attention." : ".mlp.");
}

std::string Model::gate_name(Int layer, const std::string& site) const {
    return config_.gate.per_sublayer ? site + "gate" : "layers." + std::to_string(layer) + ".gate";
}

Vec Model::norm(Norm& saved, const std::string& name, const Vec& x, double scale) {
    saved = {name, x, scale};
    return rounded(rmsnorm(x, weight(name), config_.norm_eps, scale));
}

Vec Model::norm_backward(const Norm& saved, const Vec& dn) {
    return rmsnorm_backward(gradients[saved.name], dn, saved.x, weight(saved.name), config_.norm_eps, saved.scale);
}

// y = x - s(g) stop_gradient(x)
Vec Model::gate(Gated& saved, const std::string& name, const Vec& x, Operands operands) {
    const double s = gate_value(config_.gate.function, weights.at(name)[0], config_.gate.scale);
    saved.name = name;
    saved.x = x;
    const bool frozen = operands == Operands::frozen && config_.gate.stop_gradient;
    if (!frozen) saved.x0 = x;
    return add(saved.x0, x, -s);
}

// dx = dy; dg = -s'(g) Σ dy ⊙ x
Vec Model::gate_backward(const Gated& saved, const Vec& dy) {
    const double g = weights.at(saved.name)[0];
    const double slope = gate_slope(config_.gate.function, g, config_.gate.scale);
    double dot = 0.0;
    for (std::size_t i = 0; i < dy.size(); ++i) {
        dot += dy[i] * saved.x[i];
        gate_term_sums[saved.name] += std::abs(slope * dy[i] * saved.x[i]);
    }
    gradients[saved.name][0] += -slope * dot;
    Vec dx = dy;
    if (!config_.gate.stop_gradient)
        for (double& d : dx) d *= 1.0 - gate_value(config_.gate.function, g, config_.gate.scale);
    return dx;
}

Vec Model::linear(const std::string& name, const Vec& x, Int T, Int N, Int K) const {
    Vec y = matmul(x, weight(name + ".weight"), T, N, K);
    if (weights.count(name + ".bias") == 0) return y;
    if (round) y = rounded(y);
    add_bias(y, weight(name + ".bias"));
    return y;
}

void Model::linear_gradients(const std::string& name, const Vec& dy, const Vec& x, Int T, Int N, Int K) {
    matmul_dw(gradients[name + ".weight"], dy, x, T, N, K);
    if (weights.count(name + ".bias") != 0) add_bias_gradient(gradients[name + ".bias"], dy);
}

HeadNorm Model::head_norm(const Site& site) const {
    return {config_.qk_norm == QkNormKind::projection, weight(prefix(site) + "q_norm.weight"),
            weight(prefix(site) + "k_norm.weight"), config_.norm_eps};
}

Vec Model::branch(Site& site, const Vec& n, const Rows& rows) {
    const Int T = rows.batch * rows.sequence;
    const Int C = config_.hidden_size;
    site.n = n;
    if (site.attention) {
        const Heads h = heads(rows);
        site.qkv = rounded(linear(prefix(site) + "qkv", n, T, h.columns(), C));
        if (config_.qk_norm != QkNormKind::none) {
            site.raw = site.qkv;
            site.qkv = rounded(norm_heads(site.raw, h, head_norm(site)));
        }
        rope(site.qkv, h, 1);
        site.qkv = rounded(site.qkv);
        site.o = rounded(attention(site.qkv, h, rows.segment_begin));
        return rounded(linear(prefix(site) + "out", site.o, T, C, h.heads * h.dim));
    }
    const Int F = config_.ffn_size;
    site.gate_up = rounded(linear(prefix(site) + "gate_up", n, T, 2 * F, C));
    site.act = rounded(swiglu(site.gate_up, F));
    return rounded(linear(prefix(site) + "down", site.act, T, C, F));
}

Vec Model::branch_backward(Site& site, const Vec& db, const Rows& rows) {
    const Int T = rows.batch * rows.sequence;
    const Int C = config_.hidden_size;
    const std::string p = prefix(site);
    if (site.attention) {
        const Heads h = heads(rows);
        linear_gradients(p + "out", db, site.o, T, C, h.heads * h.dim);
        const Vec d_o = rounded(matmul_dx(db, weight(p + "out.weight"), T, C, h.heads * h.dim));
        Vec dqkv = rounded(attention_backward(d_o, site.qkv, h, rows.segment_begin));
        rope(dqkv, h, -1);
        dqkv = rounded(dqkv);
        if (config_.qk_norm != QkNormKind::none)
            dqkv = rounded(norm_heads_backward(gradients[p + "q_norm.weight"], gradients[p + "k_norm.weight"], dqkv,
                                               site.raw, h, head_norm(site)));
        linear_gradients(p + "qkv", dqkv, site.n, T, h.columns(), C);
        return rounded(matmul_dx(dqkv, weight(p + "qkv.weight"), T, h.columns(), C));
    }
    const Int F = config_.ffn_size;
    linear_gradients(p + "down", db, site.act, T, C, F);
    const Vec dact = rounded(matmul_dx(db, weight(p + "down.weight"), T, C, F));
    const Vec dgate_up = rounded(swiglu_backward(dact, site.gate_up, F));
    linear_gradients(p + "gate_up", dgate_up, site.n, T, 2 * F, C);
    return rounded(matmul_dx(dgate_up, weight(p + "gate_up.weight"), T, 2 * F, C));
}

Vec Model::site_forward(Site& site, const Vec& h, const Rows& rows, Operands operands) {
    const std::string p = prefix(site);
    site.h = h;
    if (site.post) {  // h <- N(alpha G(h) + F(h))
        const Vec b = branch(site, h, rows);
        const Vec shortcut = site.has_gate ? gate(site.gate, gate_name(site.layer, p), h, operands) : h;
        return norm(site.sum, p + "sum_norm.weight", rounded(add(shortcut, b, site.alpha)), 1.0);
    }
    const Vec n = site.pre_norm ? norm(site.pre, p + "pre_norm.weight", h, lns_scale(config_, site.layer)) : rounded(h);
    Vec b = branch(site, n, rows);
    if (site.branch_norm) b = norm(site.branch, p + "branch_norm.weight", b, 1.0);
    const Vec sum = rounded(add(h, b));
    return site.has_gate ? gate(site.gate, gate_name(site.layer, p), sum, operands) : sum;  // h <- G(h + b)
}

Vec Model::site_backward(Site& site, const Vec& dh, const Rows& rows) {
    if (site.post) {
        const Vec dsum = rounded(norm_backward(site.sum, dh));
        Vec dshortcut = dsum;
        for (double& d : dshortcut) d *= site.alpha;
        if (site.has_gate) dshortcut = gate_backward(site.gate, dshortcut);
        return rounded(add(dshortcut, branch_backward(site, dsum, rows)));
    }
    const Vec dsum = site.has_gate ? rounded(gate_backward(site.gate, dh)) : dh;
    const Vec db = site.branch_norm ? rounded(norm_backward(site.branch, dsum)) : dsum;
    const Vec dn = branch_backward(site, db, rows);
    return rounded(add(dsum, site.pre_norm ? norm_backward(site.pre, dn) : dn));
}

double Model::loss(const Rows& rows, Operands operands) {
    const Int C = config_.hidden_size;
    const Vec embedding = weight("embedding.weight");
    Vec h;
    for (std::int32_t token : rows.tokens)
        h.insert(h.end(), embedding.begin() + token * C, embedding.begin() + (token + 1) * C);

    sites_.resize(std::size_t(2 * config_.layers));
    variances_.clear();
    streams_.clear();
    for (std::size_t i = 0; i < sites_.size(); ++i) {
        if (i % 2 == 0) streams_.push_back(h);
        if (Int(i / 2) == without_layer) continue;
        Site& site = sites_[i];
        const Architecture a = config_.architecture;
        site.layer = Int(i / 2);
        site.attention = i % 2 == 0;
        site.post = is_post(config_, site.layer);
        const bool reordered = a == Architecture::reordered || a == Architecture::reordered_gpas;
        site.pre_norm = !site.post && !reordered;
        site.branch_norm = reordered || a == Architecture::sandwich || a == Architecture::sandwich_gpas;
        site.has_gate = gated(a);
        site.alpha = a == Architecture::deeppost || a == Architecture::deeppost_gpas
                         ? std::pow(2.0 * double(config_.layers), 0.25)
                         : 1.0;
        h = site_forward(site, h, rows, operands);
        variances_.push_back(variance(h));
    }
    streams_.push_back(h);
    final_ = norm(final_norm_, "final_norm.weight", h, 1.0);
    const Vec head = weight(config_.tied_embeddings ? "embedding.weight" : "head.weight");
    const Vec logits = matmul(final_, head, Int(rows.tokens.size()), config_.vocab_size, C);
    return cross_entropy(dlogits_, logits, rows.labels, config_.vocab_size);
}

double Model::loss_and_gradients(const Rows& rows) {
    const double sum = loss(rows);
    gradients.clear();
    gate_term_sums.clear();
    for (const auto& [name, w] : weights) gradients[name].assign(w.size(), 0.0);
    const Int T = Int(rows.tokens.size());
    const Int C = config_.hidden_size;
    const std::string head = config_.tied_embeddings ? "embedding.weight" : "head.weight";
    dlogits_ = rounded(dlogits_);
    matmul_dw(gradients[head], dlogits_, final_, T, config_.vocab_size, C);
    Vec dh = rounded(norm_backward(final_norm_, rounded(matmul_dx(dlogits_, weight(head), T, config_.vocab_size, C))));
    for (std::size_t i = sites_.size(); i-- > 0;) dh = site_backward(sites_[i], dh, rows);
    for (Int t = 0; t < T; ++t)
        for (Int j = 0; j < C; ++j)
            gradients["embedding.weight"][std::size_t(rows.tokens[std::size_t(t)] * C + j)] +=
                dh[std::size_t(t * C + j)];
    return sum;
}

}  // namespace gpas::reference
