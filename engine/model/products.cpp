#include "engine/model/products.hpp"

#include <algorithm>

namespace gpas {
namespace {

class Products {
public:
    explicit Products(const ModelShape& shape) : shape_(shape) {}

    // y [rows, n] = x [rows, k] wᵀ, w [n, k], and in training the gradients of x and w.
    void linear(std::int64_t rows, std::int64_t n, std::int64_t k, Dtype y_dtype) {
        if (rows == 0 || n == 0 || k == 0) return;
        forward_and_dx({0, rows}, n, k, y_dtype);
        weight_gradient(rows, n, k);
    }
    // The same for the products of a layer. With tensor_overlap y and the gradient of x are computed in blocks of R
    // rows, one per tensor-parallel rank; the gradient of w is one product over all rows.
    void layer(std::int64_t n, std::int64_t k) {
        const std::int64_t tokens = shape_.tokens();
        if (tokens == 0 || n == 0 || k == 0) return;
        const std::int64_t block = shape_.tensor_overlap ? shape_.rows() : tokens;
        for (std::int64_t begin = 0; begin < tokens; begin += block)
            forward_and_dx({begin, std::min(begin + block, tokens)}, n, k, shape_.dtype);
        weight_gradient(tokens, n, k);
    }
    std::vector<cuda::MatmulKey> take() { return std::move(keys_); }

private:
    // The alignment of an operand selects its algorithm. A whole tensor has an arena's alignment; a chunk of the head's
    // rows begins a multiple of 64 bytes after an aligned tensor.
    static Tensor matrix(Dtype dtype, std::int64_t rows, std::int64_t columns) {
        return Tensor(nullptr, dtype, {rows, columns});
    }
    void forward_and_dx(Range rows, std::int64_t n, std::int64_t k, Dtype y_dtype) {
        const auto part = [&](Dtype dtype, std::int64_t columns) {  // with the address it has if row 0 is at address 0
            const std::int64_t address = rows.begin * columns * bytes_per_element(dtype);
            return Tensor(reinterpret_cast<void*>(std::uintptr_t(address)), dtype, {rows.size(), columns});
        };
        const Tensor w = matrix(shape_.dtype, n, k);
        add(cuda::key_of_matmul(part(y_dtype, n), part(shape_.dtype, k), w));
        if (shape_.training) add(cuda::key_of_matmul_dx(part(shape_.dtype, k), part(shape_.dtype, n), w));
    }
    void weight_gradient(std::int64_t rows, std::int64_t n, std::int64_t k) {
        if (shape_.training)
            add(cuda::key_of_matmul_dw(matrix(Dtype::fp32, n, k), matrix(shape_.dtype, rows, n),
                                       matrix(shape_.dtype, rows, k)));
    }
    void add(const cuda::MatmulKey& key) {
        if (std::ranges::find(keys_, key) == keys_.end()) keys_.push_back(key);
    }

    const ModelShape& shape_;
    std::vector<cuda::MatmulKey> keys_;
};

}  // namespace

std::vector<cuda::MatmulKey> products_of(const ModelConfig& model, const ModelShape& shape,
                                         const std::vector<ModelPart>& parts) {
    const AttentionShape attention = attention_shape(model, shape);
    const std::int64_t tokens = shape.tokens(), hidden = model.hidden_size, ffn = ffn_columns(model, shape);
    Products products(shape);
    if (std::ranges::any_of(parts, [](const ModelPart& part) { return !part.layers.empty(); })) {
        products.layer(attention.qkv_columns(), hidden);
        products.layer(hidden, attention.heads * attention.head_dim);
        products.layer(2 * ffn, hidden);
        products.layer(hidden, ffn);
    }
    if (std::ranges::any_of(parts, &ModelPart::head)) {
        const std::int64_t chunk = std::min(tokens, shape.head_chunk);
        const std::int64_t columns = vocabulary_rows(model, shape).size();
        products.linear(chunk, columns, hidden, Dtype::fp32);
        products.linear(tokens % chunk, columns, hidden, Dtype::fp32);  // the last chunk, if it is smaller
    }
    return products.take();
}

}  // namespace gpas
