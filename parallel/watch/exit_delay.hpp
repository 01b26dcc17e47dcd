// Delays exit() of a watched process, so that its watcher can report a lost rank before the process ends. The state is
// global, because it serves an atexit() handler. All functions: any thread.
#pragma once

namespace gpas::exit_delay {

// Whether this process has a watcher. A forked child has none. The first call with `true` registers the atexit()
// handler, which is wait_for_report().
void set_watched(bool watched);
// The watcher has begun to end the job.
void set_ending_job();
bool is_ending_job();
// Waits up to 0.5 s for the watcher to detect a lost rank, then up to 10 s for it to write the report and end the
// process. Returns at once if this process has no watcher.
void wait_for_report();

}  // namespace gpas::exit_delay
