//! What a process has of memory for itself alone.

/// The pages of a process that no other has, in KiB.
pub(crate) fn private_kib(pid: u32) -> f64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
    let rollup = rollup.expect("the process lives and is ours");
    let private = |line: &&str| line.starts_with("Private_Dirty:") || line.starts_with("Private_Clean:");
    let kib = |line: &str| line.split_whitespace().nth(1).and_then(|number| number.parse::<f64>().ok());
    rollup.lines().filter(private).filter_map(kib).sum()
}
