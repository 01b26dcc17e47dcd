// What a rank's environment says about the job, under launchers that the other tests do not use.
#include "parallel/watch/launch.hpp"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <utility>

namespace gpas {
namespace {

// Only these variables of launchers, from here on.
void set_launcher(std::initializer_list<std::pair<const char*, const char*>> variables) {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_MCA_ess_base_jobid",
                             "PMIX_NAMESPACE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE", "HYDI_CONTROL_FD", "SLURM_JOB_ID",
                             "SLURM_STEP_ID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS"})
        unsetenv(name);
    for (const auto& [name, value] : variables) setenv(name, value, 1);
}

// The job key of a process that starts a session of its own, as MPICH's launcher starts ranks.
std::string key_in_a_session() {
    int ends[2];
    if (pipe(ends) != 0) return "no pipe";
    const pid_t child = fork();
    if (child == 0) {
        setsid();
        const std::string key = launch_of_environment().job_key;
        _exit(write(ends[1], key.data(), key.size()) == ssize_t(key.size()) ? 0 : 1);
    }
    close(ends[1]);
    char text[256];
    const ssize_t size = read(ends[0], text, sizeof text);
    close(ends[0]);
    waitpid(child, nullptr, 0);
    return std::string(text, std::size_t(std::max<ssize_t>(size, 0)));
}

TEST(Launch, ranks_that_mpich_starts_share_a_job_key) {
    set_launcher({{"HYDI_CONTROL_FD", "7"}, {"PMI_RANK", "1"}, {"PMI_SIZE", "4"}});
    const Launch launch = launch_of_environment();
    EXPECT_EQ(launch.rank, 1);
    EXPECT_EQ(launch.size, 4);
    const std::string key = key_in_a_session();
    EXPECT_EQ(key, "hydra." + std::to_string(getpid()) + ".0");
    EXPECT_EQ(key_in_a_session(), key);
}

// MPICH's launcher starts its proxies by srun: the proxies' places are not the ranks'.
TEST(Launch, ranks_of_mpich_in_a_slurm_job_have_mpichs_numbers) {
    set_launcher({{"HYDI_CONTROL_FD", "7"},
                  {"PMI_RANK", "5"},
                  {"PMI_SIZE", "8"},
                  {"SLURM_JOB_ID", "12"},
                  {"SLURM_STEP_ID", "0"},
                  {"SLURM_PROCID", "1"},
                  {"SLURM_STEP_NUM_TASKS", "2"}});
    const Launch launch = launch_of_environment();
    EXPECT_EQ(launch.rank, 5);
    EXPECT_EQ(launch.size, 8);
    EXPECT_EQ(launch.job_id, "12");
}

TEST(Launch, ranks_of_srun_have_srun_s_numbers) {
    set_launcher(
        {{"SLURM_JOB_ID", "12"}, {"SLURM_STEP_ID", "0"}, {"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}});
    const Launch launch = launch_of_environment();
    EXPECT_EQ(launch.rank, 1);
    EXPECT_EQ(launch.size, 2);
    EXPECT_EQ(launch.job_key, "12.0.0");
}

}  // namespace
}  // namespace gpas

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
