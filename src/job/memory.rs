//! How much memory this process has of its own.

/// What the kernel says of the process that reads it (Linux, proc(5)).
const OF_THIS_PROCESS: &str = "/proc/self/status";

/// Bytes that are this process's alone: neither files nor what it shares, but what of it was swapped out.
/// `None` where the kernel does not say.
pub(super) fn of_this_process() -> Option<u64> {
    own(&std::fs::read_to_string(OF_THIS_PROCESS).ok()?)
}

fn own(status: &str) -> Option<u64> {
    let kibibytes = |name: &str| -> Option<u64> {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(1024 * (kibibytes("RssAnon:")? + kibibytes("VmSwap:").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        let status = "Name:\tcounterpart\nVmRSS:\t   9000 kB\nRssAnon:\t    7000 kB\nRssFile:\t    2000 kB\n";
        assert_eq!(own(status), Some(7000 * 1024));
        assert_eq!(own(&format!("{status}VmSwap:\t     500 kB\n")), Some(7500 * 1024));
        assert_eq!([own(""), own("VmRSS:\t 9000 kB"), own("RssAnon:\t many kB")], [None; 3]);
    }

    #[test]
    fn a_process_has_memory() {
        assert!(of_this_process().is_some_and(|bytes| bytes > 1 << 16));
    }
}
