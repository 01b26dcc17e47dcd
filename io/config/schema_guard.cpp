#include "io/config/schema_parts.hpp"

namespace gpas::schema_parts {

void declare_watch(SchemaBuilder& schema) {
    auto watch = schema.section<WatchConfig>(
        "watch", "Lost and slow ranks", [](RunConfig& c) -> WatchConfig& { return c.watch; }, true);
    watch.add("silent_seconds", no_math, &WatchConfig::silent_seconds,
              {.help = "End the job with a report if the process of a rank is stopped, or its node is unreachable, for "
                       "this long. 0: end it only if a rank has died.",
               .unit = "seconds",
               .range = {0, 1e9},
               .aliases = {"heartbeat_timeout", "rank_heartbeat_timeout"},
               .unseen = "It limits a silence that a healthy run does not have."});
    watch.add(
        "straggler_factor", no_math, &WatchConfig::straggler_factor,
        {.help =
             "Report ranks whose own work takes longer than this multiple of their pipeline stage's median. 0: off.",
         .range = {0, 1e6},
         .aliases = {"log_straggler", "straggler_minmax_count"},
         .unseen = "It reports slow ranks, which takes several ranks."});
    watch.add("straggler_steps", no_math, &WatchConfig::straggler_steps,
              {.help = "Steps over which the work of each rank is measured for straggler_factor.",
               .unit = "steps",
               .range = one_or_more_steps,
               .unseen = "It reports slow ranks, which takes several ranks."});
}

void declare_guard(SchemaBuilder& schema) {
    auto guard = schema.section<GuardConfig>(
        "guard", "Suspicious numbers: spikes, and replicas whose weights differ",
        [](RunConfig& c) -> GuardConfig& { return c.guard; }, true);
    guard.add("spike_sigmas", later_steps, &GuardConfig::spike_sigmas,
              {.help = "A loss more than this many standard deviations above the mean of the last spike_window steps "
                       "is a spike. 0: off.",
               .unit = "standard deviations",
               .range = not_negative,
               .aliases = {"check_for_spiky_loss", "spike_factor"},
               .unseen = "It decides what a spike is; a short run has no spikes."});
    guard.add("spike_window", later_steps, &GuardConfig::spike_window,
              {.help = "Number of past steps with which a loss is compared.",
               .unit = "steps",
               .range = {2, 100000},
               .unseen = "It decides what a spike is; a short run has no spikes."});
    guard.add("spike_gradient", later_steps, &GuardConfig::spike_gradient,
              {.help = "Look for spikes in the gradient norm, too.",
               .unseen = "It decides what a spike is; a short run has no spikes."});
    guard.add("on_spike", later_steps, &GuardConfig::on_spike,
              {.help = "Action on a spike. warn: report it. skip: skip the step. roll_back: return to the last "
                       "checkpoint and continue with the data after the step. stop: end the run.",
               .unseen = "It decides what follows a spike."});
    guard.add("recompute", later_steps, &GuardConfig::recompute,
              {.help = "Recompute a step that has bad numbers or a spike. If the bits differ, hardware is failing, and "
                       "the second result is used.",
               .aliases = {"rerun_mode"},
               .unseen = "It checks suspicious steps, which a healthy run does not have."});
    guard.add("weights_every", later_steps, &GuardConfig::weights_every,
              {.help = "Steps between comparisons of weights that several ranks hold identically. 0: never.",
               .unit = "steps",
               .range = step_count,
               .aliases = {"check_weight_hash_across_dp_replicas_interval"},
               .unseen = "It compares ranks; a run of one rank has nothing to compare."});
    guard.add(
        "on_different_weights", later_steps, &GuardConfig::on_different_weights,
        {.help = "Action if the compared weights differ. stop: end the run. roll_back: return to the last checkpoint.",
         .unseen = "It decides what follows when ranks differ."});
    guard.add("max_roll_backs", later_steps, &GuardConfig::max_roll_backs,
              {.help = "Number of roll-backs allowed per start of the run. The next one ends the run.",
               .range = {0, 1e6},
               .unseen = "It limits roll-backs, which only failures cause."});
}

}  // namespace gpas::schema_parts
