// What surrounds the ranks: launchers, control groups, shortage of memory.
#include "base/cgroup.hpp"
#include "base/error_of.hpp"
#include "parallel/agree.hpp"
#include "parallel/watch/launch.hpp"
#include "parallel/watch/peers.hpp"
#include "parallel/watch/stop_signals.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <new>
#include <system_error>

namespace gpas {
namespace {

using test_support::ScratchDirectory;
using Variables = std::map<std::string, std::string>;

void write(const std::filesystem::path& file, const std::string& text) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
}

// What a process of this environment knows of its launch. The tests themselves may run under a launcher.
Launch launch_in(const Variables& variables) {
    Variables before;
    for (const char* name :
         {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "PMI_SIZE", "PMI_RANK",
          "PMI_FD", "PMI_JOBID", "PMIX_RANK", "PMIX_NAMESPACE", "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS",
          "SLURM_PROCID", "SLURM_JOB_ID", "SLURM_STEP_NUM_NODES", "MV2_COMM_WORLD_SIZE", "JSM_NAMESPACE_SIZE"}) {
        if (const char* value = std::getenv(name)) before[name] = value;
        unsetenv(name);
    }
    for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
    const Launch launch = launch_of_environment();
    for (const auto& [name, value] : variables) unsetenv(name.c_str());
    for (const auto& [name, value] : before) setenv(name.c_str(), value.c_str(), 1);
    return launch;
}

TEST(Launch, tasks_that_mpi_does_not_know_of_are_refused_with_what_to_load) {
    const Launch srun = launch_in(
        {{"SLURM_JOB_ID", "7"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "3"}, {"SLURM_PROCID", "2"}});
    EXPECT_EQ(srun.rank, 2);
    for (const int mpi_size : {0, 1}) {  // already before MPI is up: nothing of PMI or PMIx is there
        const std::string why = launch_mismatch(srun, mpi_size);
        EXPECT_NE(why.find("srun started 3 tasks"), std::string::npos) << why;
        EXPECT_NE(why.find("srun --mpi=pmix"), std::string::npos) << why;
    }
    EXPECT_EQ(launch_mismatch(srun, 3), "");

    for (const auto& [variable, launcher] :
         Variables{{"PMI_SIZE", "MPICH"}, {"OMPI_COMM_WORLD_SIZE", "Open MPI"}, {"MV2_COMM_WORLD_SIZE", "MVAPICH"}}) {
        const Launch launch = launch_in({{variable, "4"}});
        EXPECT_NE(launch_mismatch(launch, 1).find(launcher), std::string::npos) << launch_mismatch(launch, 1);
        EXPECT_EQ(launch_mismatch(launch, 0), "");
        EXPECT_EQ(launch_mismatch(launch, 4), "");
    }
}

TEST(Launch, one_process_inside_a_larger_allocation_is_none_of_several_tasks) {
    // A batch script; the shell of salloc; mpirun of both kinds under Slurm, whose daemons srun has started.
    const Variables slurm{{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}};
    Variables shell = slurm, open_mpi = slurm, hydra = slurm, pmix = slurm;
    shell.insert({{"SLURM_STEP_ID", "4294967290"}, {"SLURM_STEP_NUM_TASKS", "1"}});
    open_mpi.insert({{"SLURM_STEP_ID", "0"},
                     {"SLURM_STEP_NUM_TASKS", "2"},
                     {"OMPI_COMM_WORLD_SIZE", "1"},
                     {"OMPI_COMM_WORLD_RANK", "0"}});
    hydra.insert({{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}, {"PMI_SIZE", "1"}, {"PMI_RANK", "0"}});
    pmix.insert({{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"PMIX_RANK", "0"}});
    for (const Variables& variables : {slurm, shell, open_mpi, hydra})
        for (const int mpi_size : {0, 1}) EXPECT_EQ(launch_mismatch(launch_in(variables), mpi_size), "");
    EXPECT_EQ(launch_mismatch(launch_in(pmix), 0), "");  // MPI may yet find the others
    EXPECT_NE(launch_mismatch(launch_in(pmix), 1), "");
}

TEST(Cgroup, limits_of_version_2_hold_for_all_groups_within) {
    const ScratchDirectory scratch;
    const std::filesystem::path root = scratch.get();
    EXPECT_EQ(cgroup_memory_limit(root), std::nullopt);
    EXPECT_TRUE(cgroup_cpu_quotas(root).empty());
    write(root / "proc/self/cgroup", "0::/job/step\n");
    write(root / "sys/fs/cgroup/job/memory.max", "4000000\n");
    write(root / "sys/fs/cgroup/job/cpu.max", "150000 100000\n");
    write(root / "sys/fs/cgroup/job/memory.events", "low 0\noom 9\noom_kill 2\n");
    write(root / "sys/fs/cgroup/job/step/memory.max", "max\n");
    write(root / "sys/fs/cgroup/job/step/cpu.max", "max 100000\n");
    write(root / "sys/fs/cgroup/job/step/memory.events", "oom_kill 1\n");
    write(root / "proc/vmstat", "nr_free_pages 3\noom_kill 5\n");
    EXPECT_EQ(cgroup_memory_limit(root), 4000000);
    const std::vector<CpuQuota> quotas = cgroup_cpu_quotas(root);
    ASSERT_EQ(quotas.size(), 1U);
    EXPECT_EQ(quotas[0].path, "/job");
    EXPECT_DOUBLE_EQ(quotas[0].cpus, 1.5);
    EXPECT_EQ(memory_kills(root).in_groups, 2);
    EXPECT_EQ(memory_kills(root).on_node, 5);
}

TEST(Cgroup, limits_of_version_1_are_those_of_each_controller) {
    const ScratchDirectory scratch;
    const std::filesystem::path root = scratch.get();
    write(root / "proc/self/cgroup", "9:cpu,cpuacct:/job\n4:memory:/other\n0::/\n");
    write(root / "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "50000\n");
    write(root / "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
    write(root / "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    write(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    write(root / "sys/fs/cgroup/memory/other/memory.limit_in_bytes", "123456\n");
    write(root / "sys/fs/cgroup/memory/other/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    EXPECT_EQ(cgroup_memory_limit(root), 123456);
    ASSERT_EQ(cgroup_cpu_quotas(root).size(), 1U);
    EXPECT_DOUBLE_EQ(cgroup_cpu_quotas(root)[0].cpus, 0.5);
    EXPECT_EQ(memory_kills(root).in_groups, 3);
}

TEST(Cgroup, a_killed_rank_is_said_to_be_killed_for_memory_only_if_the_kernel_counts_it) {
    EXPECT_EQ(memory_kills_text({.in_groups = 1, .on_node = 7}, {.in_groups = 1, .on_node = 7}, 1 << 30), "");
    EXPECT_EQ(memory_kills_text({}, {.in_groups = 1}, std::int64_t(3) << 30), "the cgroup's memory limit is 3.00 GiB");
    EXPECT_NE(memory_kills_text({.on_node = 4}, {.on_node = 5}, std::nullopt).find("has killed 1 process for lack"),
              std::string::npos);
    Finding finding{.how = Loss::out_of_memory, .last = {.rank = 3, .pid = 5, .host = "n1"}};
    std::snprintf(finding.detail, sizeof finding.detail, "the cgroup's memory limit is 3.00 GiB");
    EXPECT_EQ(text_of(finding),
              "rank 3 (pid 5 on n1) was killed for lack of memory (the cgroup's memory limit is "
              "3.00 GiB) in start-up");
}

TEST(ErrorOf, shortage_of_memory_is_an_error_of_the_environment_and_says_which) {
    const Error memory = error_of(std::bad_alloc());
    EXPECT_EQ(memory.code(), ExitCode::environment);
    EXPECT_NE(std::string(memory.what()).find("host memory is short"), std::string::npos);
    const Error thread = error_of(std::system_error(EAGAIN, std::generic_category()));
    EXPECT_EQ(thread.code(), ExitCode::environment);
    EXPECT_NE(std::string(thread.what()).find("a thread cannot be started"), std::string::npos);
    EXPECT_EQ(error_of(std::system_error(ENOMEM, std::generic_category())).code(), ExitCode::environment);
    EXPECT_EQ(error_of(Error(ExitCode::bad_file, "x")).code(), ExitCode::bad_file);
    EXPECT_EQ(error_of(std::logic_error("x")).code(), ExitCode::internal);
}

TEST(Agree, a_rank_without_memory_ends_all_with_5) {
    const auto self = make_self_communicator();
    try {
        agree(*self, []() -> int { throw std::bad_alloc(); });
        ADD_FAILURE();
    } catch (const AgreedError& error) {
        EXPECT_EQ(error.code(), ExitCode::environment);
    }
}

// In a process of its own: signals stay blocked.
int request_after(int signal, bool ignored_before) {
    const pid_t child = fork();
    if (child == 0) {
        ::signal(signal, ignored_before ? SIG_IGN : SIG_DFL);  // whatever the test's own parent has set
        StopSignals signals(true);
        raise(signal);
        signals.receive(0);
        _exit(int(signals.request()));
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(StopSignals, those_by_which_schedulers_and_shells_end_programs_ask_for_a_save) {
    for (const int signal : {SIGUSR1, SIGUSR2, SIGTERM, SIGHUP, SIGXCPU})
        EXPECT_EQ(request_after(signal, false), int(StopRequest::unfinished)) << signal;
    EXPECT_EQ(request_after(SIGINT, false), int(StopRequest::stop));
    EXPECT_EQ(request_after(SIGHUP, true), int(StopRequest::none));  // nohup
}

TEST(Listener, takes_connections_of_both_versions_of_ip) {
    Listener listener(false);
    for (const char* address : {"127.0.0.1", "::1"}) {
        std::string why;
        const MeetingPoint point{
            .addresses = {address}, .port = listener.point().port, .secret = listener.point().secret};
        const bool has_version_6 = std::filesystem::exists("/proc/net/if_inet6");
        if (std::string(address) == "::1" && !has_version_6) continue;
        EXPECT_TRUE(connect_to(point, 2.0, &why)) << why;
    }
}

TEST(Peers, drop_a_connection_that_does_not_say_who_it_is) {
    Peers peers("test.strangers", 0, 1, 0.05);
    auto listener = std::make_unique<Listener>(true);
    const MeetingPoint point = meeting_point_of(text_of(listener->point()));
    peers.listen(std::move(listener));
    std::string why;
    auto silent = connect_to(point, 2.0, &why);
    auto known = connect_to(point, 2.0, &why);
    ASSERT_TRUE(silent && known) << why;
    known->send(Message::hello, RankStatus{.rank = 5});
    for (int i = 0; i < 500 && !(silent->closed() && peers.link_to(5) != nullptr); ++i) {
        peers.receive([](int, const Frame&) {});
        silent->receive();
        usleep(2000);
    }
    EXPECT_TRUE(silent->closed());
    EXPECT_NE(peers.link_to(5), nullptr);
    EXPECT_TRUE(known->receive().empty());
    EXPECT_FALSE(known->closed());
}

}  // namespace
}  // namespace gpas
