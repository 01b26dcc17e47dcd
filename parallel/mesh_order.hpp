#pragma once

namespace gpas {

// The order of the mesh's dimensions, from the one that varies fastest with the rank number. The last dimension is the
// one whose groups cross nodes.
enum class MeshOrder { tensor_data_pipeline, tensor_pipeline_data };

}  // namespace gpas
