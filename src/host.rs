//! What is read off the computer, as plain data.

/// Counts the logical processors that this process may use, as .NET's `Environment.ProcessorCount` does.
pub fn processor_count() -> Option<u64> {
    std::thread::available_parallelism().ok().map(|count| count.get() as u64)
}

/// Names the operating system, for hosts that do not say it themselves.
pub fn os_description() -> Option<String> {
    sysinfo::System::long_os_version().ok()
}
