//! Which GPUs the operating system shows, without touching a driver.

use std::fs;

/// Where the driver says what it is.
const DRIVER: &str = "/proc/driver/nvidia/version";

/// Names of the NVIDIA GPUs that have a device node, by index.
pub(super) fn nvidia() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/dev") else { return Vec::new() };
    let nodes = entries.flatten().filter(|entry| is_gpu(&entry.file_name().to_string_lossy()));
    let mut names = models();
    let count = nodes.count();
    names.resize(count, "NVIDIA GPU".into());
    names
}

/// The driver's version, as one line.
pub(super) fn driver() -> Option<String> {
    fs::read_to_string(DRIVER).ok()?.lines().next().map(str::to_owned)
}

/// `nvidia0`, and `dxg` under WSL; not `nvidiactl` or `nvidia-uvm`.
fn is_gpu(node: &str) -> bool {
    node == "dxg"
        || node
            .strip_prefix("nvidia")
            .is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
}

fn models() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc/driver/nvidia/gpus") else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .iter()
        .filter_map(|gpu| model(&fs::read_to_string(gpu.join("information")).ok()?))
        .collect()
}

fn model(information: &str) -> Option<String> {
    let line = information.lines().find_map(|line| line.strip_prefix("Model:"))?;
    Some(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_nodes_are_no_gpus() {
        assert!(is_gpu("nvidia0") && is_gpu("nvidia15") && is_gpu("dxg"));
        assert!(!is_gpu("nvidiactl") && !is_gpu("nvidia-uvm") && !is_gpu("nvidia"));
    }

    #[test]
    fn the_model_is_what_the_driver_says() {
        let text = "Model: \t\t NVIDIA L4\nIRQ:   \t\t 55\n";
        assert_eq!(model(text).as_deref(), Some("NVIDIA L4"));
    }
}
