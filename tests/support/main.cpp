// The main of every test program: MPI is up for the tests that want it, and a run outside mpirun has one rank.
#include "parallel/communicator.hpp"

#include <gtest/gtest.h>

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    gpas::MpiSession mpi(&argc, &argv);
    return RUN_ALL_TESTS();
}
